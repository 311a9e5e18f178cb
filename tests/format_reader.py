#!/usr/bin/python3
"""A reader of Lore stores that shares no line with the engine: written from docs/format.md alone.

Usage: format_reader.py STORE        prints the content as `lore dump --canonical` does
       format_reader.py --check STORE    only checks; prints what was read

Every check in every file is verified, every key is asked of its filter and of its hash index, and every number
that a parent tells of a child is compared. Damage ends the run with exit code 2, what is not supported with 3.

Needs the modules xxhash and lz4 (Debian: python3-xxhash, python3-lz4). Numbers in comments are sections of the page.
"""
import base64
import bisect
import hashlib
import json
import os
import re
import struct
import sys
from collections import defaultdict

import lz4.block
import xxhash


class Damage(Exception):
    pass


class Unsupported(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Damage(what)


# ---- 1 conventions ----

U64 = (1 << 64) - 1


def x64(data, seed=0):
    return xxhash.xxh3_64_intdigest(data, seed=seed)


def x128(data):
    return xxhash.xxh3_128_digest(data)


class Bytes:
    """Walks bytes; every shortfall is damage."""

    def __init__(self, data, what):
        self.data, self.at, self.what = data, 0, what

    def left(self):
        return len(self.data) - self.at

    def take(self, size):
        need(size <= self.left(), f"{self.what}: cut short")
        self.at += size
        return bytes(self.data[self.at - size:self.at])

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def u8(self): return self.number("<B")
    def u16(self): return self.number("<H")
    def u32(self): return self.number("<I")
    def u64(self): return self.number("<Q")
    def i64(self): return self.number("<q")
    def be32(self): return self.number(">I")
    def be64(self): return self.number(">Q")

    def varint(self):
        value = 0
        for i in range(10):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                need(value <= U64 and not (i > 0 and byte == 0), f"{self.what}: not a varint")
                return value
        raise Damage(f"{self.what}: not a varint")

    def string(self):
        return self.take(self.varint())

    def boolean(self):
        value = self.u8()
        need(value <= 1, f"{self.what}: not a boolean")
        return value == 1

    def end(self):
        need(self.left() == 0, f"{self.what}: {self.left()} bytes too many")


def u64_bytes(*numbers):
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def be64_at(data, at):
    return struct.unpack_from(">Q", data, at)[0]


# ---- 2 the directory ----

def parse_current(line):
    match = re.fullmatch(rb"(lore (\d+) g-(\d+) ([0-9a-f]{32}) )([0-9a-f]{16})\n", line)
    need(match and len(line) <= 256, "CURRENT: not a line of its form")
    body, version, generation, store_id, check = match.groups()
    need(b"%016x" % x64(body) == check, "CURRENT: fails its check")
    if int(version) != 1:
        raise Unsupported(f"CURRENT: store format {int(version)}")
    generation = int(generation)
    need(generation > 0 and body == b"lore 1 g-%06d %s " % (generation, store_id), "CURRENT: not in its one form")
    return generation, bytes.fromhex(store_id.decode())


# ---- 3 the chained log ----

LOG_HEADER = 160
BATCH, PROMISE, CLOSE, EDIT, PART, PART_END = 1, 2, 3, 4, 5, 6
PROMISE_MAGIC = 0x4553494D4F52504C
KINDS = {b"LORELOG1": {BATCH, PROMISE, CLOSE}, b"LOREEDT1": {PROMISE, CLOSE, EDIT, PART, PART_END}}


class Log:
    """One file in the chained framing: header fields, records as (offset, kind, time, payload), how it ends."""

    def __init__(self, data, path, magic):
        self.path, self.data = path, data
        need(len(data) >= LOG_HEADER and data[:8] == magic, f"{path}: no header")
        head = data[:LOG_HEADER]
        self.check = struct.unpack_from("<Q", head, 152)[0]
        need(x64(head[:152]) == self.check, f"{path}: the header fails its check")
        version, required = struct.unpack_from("<II", head, 8)
        if version != 1 or required != 0 or any(head[112:128]):
            raise Unsupported(f"{path}: version {version}, required features {required:#x}, or sealed")
        self.identity = head[24:56]
        (self.number, self.salt, self.before_number, self.before_length, self.before_sequence,
         self.first_sequence) = struct.unpack_from("<6Q", head, 56)
        self.records, self.closed, promised = [], False, 0
        at, previous = LOG_HEADER, self.check
        while not self.closed:
            record = self.record_at(at, previous, KINDS[magic])
            if record is None:
                break
            size, previous, kind, time, payload = record
            if kind in (PROMISE, CLOSE):
                promised = max(promised, self.promise_at(at))
            self.records.append((at, kind, time, payload))
            self.closed = kind == CLOSE
            at += size
        self.end = at
        self.promised = promised
        for place in range(at, len(data) - 23, 8):
            if place >= 24 and data[place:place + 8] == u64_bytes(PROMISE_MAGIC):
                synced = self.promise_at(place - 24)
                promised = max(promised, -1 if synced is None else synced)
        need(promised <= at, f"{path}: offset {at}: damaged below a promise at {promised}")
        self.torn = len(data[at:].rstrip(b"\0"))

    def promise_at(self, offset):
        """What the promise whose record is at `offset` says, None if there is none."""
        payload = self.data[offset + 24:offset + 48]
        if len(payload) < 24:
            return None
        magic, synced, check = struct.unpack("<3Q", payload)
        sound = (magic == PROMISE_MAGIC and synced <= offset and
                 check == x64(payload[:16] + u64_bytes(offset), self.salt))
        return synced if sound else None

    def record_at(self, at, previous, kinds):
        data = self.data
        if at + 24 > len(data) or data[at + 12] == 0:
            return None
        length = struct.unpack_from("<I", data, at + 8)[0]
        size = (24 + length + 7) // 8 * 8
        if at + size > len(data):
            return None
        record = data[at:at + size]
        check = struct.unpack_from("<Q", record)[0]
        if check != x64(record[8:], x64(u64_bytes(self.salt, at, previous))):
            return None
        kind, flags, zero, time = struct.unpack_from("<BBHq", record, 12)
        if kind not in kinds or flags != 0 or zero != 0:
            raise Unsupported(f"{self.path}: offset {at}: record of kind {kind}, flags {flags:#x}")
        need(not any(record[24 + length:]), f"{self.path}: offset {at}: padding that is not zero")
        if kind in (PROMISE, CLOSE) and (length != 24 or self.promise_at(at) is None):
            return None
        return size, check, kind, time, record[24:24 + length]


# ---- 4 batches ----

PUT, DELETE, RANGE_DELETE, MERGE, PUT_BLOB, VECTOR, VECTOR_ROW = 1, 2, 3, 4, 5, 6, 7
KEY_MAX = 4 + 4096
SEQUENCE_MAX = (1 << 56) - 1
KEYSPACE_VECTORS = 0xF0000001


def is_operand(value):
    return 0 < len(value) <= 72 and len(value) % 9 == 0 and all(op in (1, 2) for op in value[::9])


def vector_key(key, what):
    need(len(key) == 16 and struct.unpack_from(">I", key)[0] == KEYSPACE_VECTORS, f"{what}: not a vector's key")
    return struct.unpack_from(">IQ", key, 4)


def parse_batch(payload, what):
    r = Bytes(payload, what)
    sequence, row, rows, count = r.u64(), r.u64(), r.u32(), r.u32()
    need(count > 0 and 0 < sequence and sequence + count - 1 <= SEQUENCE_MAX, f"{what}: its sequence")
    entries = []
    for i in range(count):
        kind, key = r.u8(), r.string()
        value = b"" if kind == DELETE else r.string()
        need(4 <= len(key) <= KEY_MAX + (kind == RANGE_DELETE), f"{what}: length of a key")
        need(kind in (PUT, DELETE, RANGE_DELETE, MERGE, VECTOR), f"{what}: kind {kind}")
        if kind == RANGE_DELETE:
            need(4 <= len(value) <= KEY_MAX + 1 and key < value, f"{what}: an empty range")
        if kind == MERGE:
            need(is_operand(value), f"{what}: not an operand")
        if kind == VECTOR:
            vector_key(key, what)
        entries.append((key, sequence + i, kind, value))
    r.end()
    return entries, row + rows


# ---- 5 edits ----

def parse_changes(payload, what):
    r = Bytes(payload, what)
    while r.left() > 0:
        kind, key = r.u8(), r.string()
        need(kind in (1, 2) and 1 <= len(key) <= 511 and key[0] != 0, f"{what}: a malformed change")
        value = r.string() if kind == 1 else None
        need(value is None or len(value) <= 1 << 20, f"{what}: a value too long")
        yield key, value


class Edits:
    """An edits file: the catalog's map once all is applied; `whole` says whether its checkpoint is."""

    def __init__(self, data, path):
        log = Log(data, path, b"LOREEDT1")
        self.identity, self.number_of_file = log.identity, log.number
        self.map, self.whole, self.number, self.history = {}, False, 0, 0
        last_key = b""
        for offset, kind, _, payload in log.records:
            what = f"{path}: offset {offset}"
            if kind == PART:
                need(not self.whole, f"{what}: a part behind the checkpoint's end")
                for key, value in parse_changes(payload, what):
                    need(value is not None and key > last_key, f"{what}: a checkpoint out of order")
                    self.map[key] = value
                    last_key = key
            elif kind == PART_END:
                r = Bytes(payload, what)
                self.number, self.history, records = r.u64(), r.u64(), r.u64()
                r.end()
                need(not self.whole and self.number > 0 and records == len(self.map) and
                     log.first_sequence == self.number + 1, f"{what}: end of the checkpoint")
                if self.number == 1 and log.before_number == 0:
                    need(self.history == x64(self.identity), f"{what}: history of the first checkpoint")
                self.whole = True
            elif kind == EDIT:
                number = Bytes(payload, what).u64()
                need(self.whole and number == self.number + 1, f"{what}: an edit out of order")
                for key, value in parse_changes(payload[8:], what):
                    if value is None:
                        self.map.pop(key, None)
                    else:
                        self.map[key] = value
                self.history = x64(payload[8:], x64(u64_bytes(self.history, number)))
                self.number = number


def numbered(directory, prefix, digits):
    found = {}
    for name in os.listdir(directory):
        match = re.fullmatch(re.escape(prefix) + r"(\d{%d,19})" % digits, name)
        if match and int(match[1]) > 0 and name == f"{prefix}{int(match[1]):0{digits}d}":
            found[int(match[1])] = os.path.join(directory, name)
    return found


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def never_begun(data, magic):
    """Section 3: an unfinished creation."""
    if len(data) >= LOG_HEADER and not any(data[:LOG_HEADER]):
        return True
    if len(data) > LOG_HEADER:
        return False
    try:
        Log(data, "", magic)
        return False
    except Damage:
        return True


def choose_edits(directory):
    files = numbered(directory, "edits-", 10)
    for number in sorted(files, reverse=True):
        data = read_file(files[number])
        if never_begun(data, b"LOREEDT1"):
            continue
        edits = Edits(data, files[number])
        need(edits.number_of_file == number, f"{files[number]}: says that it is number {edits.number_of_file}")
        if edits.whole:
            return edits
    raise Damage(f"{directory}: no edits file with a whole checkpoint")


# ---- 6 catalog records ----

def record(value, what):
    r = Bytes(value, what)
    version = r.u8()
    if version != 1:
        raise Unsupported(f"{what}: version {version}")
    return r


def parse_facts(value):
    r = record(value, "facts")
    facts = {"format": r.u32(), "generation": r.u64(), "created": r.i64(), "parent": r.take(16),
             "parent_sequence": r.u64(), "sealed": r.boolean(), "row": r.u64(), "sequence": r.u64(),
             "time": r.i64()}
    r.end()
    if facts["format"] != 1:
        raise Unsupported(f"store format {facts['format']}")
    return facts


def parse_counters(value):
    r = record(value, "counters")
    fields = {"segment_end": r.u64(), "run_end": r.u64(), "space_end": r.u32(), "quarantine_end": r.u64()}
    r.end()
    return fields


def parse_log_state(value):
    r = record(value, "log state")
    fields = {"first_log": r.u64(), "sequence": r.u64(), "row": r.u64(), "time": r.i64()}
    r.end()
    return fields


def parse_segment_record(value, what):
    r = record(value, what)
    fields = {"state": r.u8(), "level": r.u8(), "run": r.u64(), "run_order": r.u64(), "cut": r.string(),
              "garbage_values": r.u64(), "garbage_bytes": r.u64()}
    need(fields["state"] in (1, 2) and fields["level"] <= 7 and len(fields["cut"]) <= KEY_MAX + 1, what)
    start = r.at
    fields["summary"] = parse_summary(r, what)
    fields["summary"]["encoded"] = value[start:r.at]
    r.end()
    return fields


def parse_job(value):
    r = record(value, "job")
    fields = {"input_level": r.u8(), "output_level": r.u8(), "run": r.u64(), "run_order": r.u64()}
    count = r.u32()
    need(count <= 64, "job: inputs")
    fields["inputs"] = [r.u64() for _ in range(count)]
    fields["drop_deletes"], fields["done"] = r.boolean(), r.string()
    r.end()
    return fields


def parse_snapshot(value):
    r = record(value, "named snapshot")
    fields = {"sequence": r.u64(), "row": r.u64(), "time": r.i64(), "created": r.i64()}
    r.end()
    return fields


ELEMENTS = {1: "f32", 2: "f16", 3: "int8", 4: "binary"}
METRICS = {1: "cosine", 2: "dot", 3: "l2", 4: "hamming"}


def parse_space(value):
    r = record(value, "space")
    fields = {"number": r.u32(), "dimensions": r.u32(), "element": r.u8(), "metric": r.u8(), "model": r.string()}
    r.end()
    need(fields["dimensions"] > 0 and fields["element"] in ELEMENTS and fields["metric"] in METRICS, "space")
    bits = {1: 32, 2: 16, 3: 8, 4: 1}[fields["element"]] * fields["dimensions"]
    need(bits % 8 == 0, "space: dimensions")
    fields["stride"] = bits // 8
    return fields


def parse_quarantine(value):
    r = record(value, "quarantine")
    fields = {"kind": r.u8(), "segment": r.u64(), "offset": r.u64(), "bytes": r.u64(), "since": r.i64(),
              "file": r.string(), "reason": r.string()}
    r.end()
    need(fields["kind"] in (1, 2, 3), "quarantine: kind")
    return fields


# ---- 7 segments ----

TABLE, BLOB, ROWS = 1, 2, 3
SUFFIXES = {TABLE: ".table", BLOB: ".blob", ROWS: ".rows"}


def parse_summary(r, what):
    if r.u32() != 1:
        raise Unsupported(f"{what}: format of a summary")
    s = {"kind": r.u32(), "id": r.u64(), "identity": r.take(32), "tier": r.u8(), "level": r.u8(),
         "flags": r.u8(), "algorithm": r.u8(), "space": r.u32(), "stride": r.u32()}
    first, last = r.u16(), r.u16()
    s.update(created=r.i64(), low=r.u64(), high=r.u64(), entries=r.u64(), range_deletes=r.u64(),
             value_bytes=r.u64(), bytes=r.u64(), footer_check=r.u64(), digest=r.take(16), rest=r.take(16), kinds=r.u32())
    groups, inputs, zero = r.u32(), r.u32(), r.u32()
    if s["algorithm"] not in (0, 2):
        raise Unsupported(f"{what}: digest algorithm {s['algorithm']}")
    need(zero == 0 and not any(s["rest"]), f"{what}: bytes that must be zero")
    need(s["id"] != 0 and s["flags"] <= 1 and s["low"] <= s["high"] <= SEQUENCE_MAX, f"{what}: a malformed summary")
    if s["kind"] not in SUFFIXES:
        raise Unsupported(f"{what}: a segment of kind {s['kind']}")
    need(max(first, last) <= KEY_MAX + 1, f"{what}: a malformed summary")
    s["first"], s["last"] = r.take(first), r.take(last)
    need(s["first"] <= s["last"], f"{what}: its keys")
    s["groups"] = [(r.u64(), r.u64()) for _ in range(groups)]
    s["inputs"] = [r.u64() for _ in range(inputs)]
    ids = [group[0] for group in s["groups"]]
    need(ids == sorted(set(ids)) and s["inputs"] == sorted(set(s["inputs"])), f"{what}: groups or inputs")
    return s


class Segment:
    """A segment file whose two ends are checked. `summary` None: what the file says of itself is believed."""

    def __init__(self, data, path, summary=None):
        self.data, self.path = data, path
        need(len(data) >= 128 + 152 + 32 and data[:8] == b"LORESEG1", f"{path}: no header")
        need(x64(data[:120]) == struct.unpack_from("<Q", data, 120)[0], f"{path}: the header fails its check")
        kind, version, required = struct.unpack_from("<III", data, 8)
        if version != 1 or required != 0 or any(data[64:80]):
            raise Unsupported(f"{path}: version {version}, required features {required:#x}, or sealed")
        self.id = struct.unpack_from("<Q", data, 56)[0]
        offset, length, trailer_kind, check, magic = struct.unpack("<QIIQ8s", data[-32:])
        need(magic == b"LOREFTR1" and trailer_kind == kind and offset >= 128 and offset + length == len(data) - 32,
             f"{path}: the trailer")
        body = data[offset:offset + length]
        need(x64(body, self.id) == check, f"{path}: the footer fails its check")
        self.footer_offset = offset
        self.footer = Bytes(body, f"{path}: footer")
        own = parse_summary(self.footer, path)
        need(not any(body[112:144]), f"{path}: what a footer cannot know")
        if summary is not None:
            known = summary["encoded"]
            need(body[:self.footer.at] == known[:51] + bytes(1) + known[52:112] + bytes(48) + known[160:],
                 f"{path}: the footer differs from the catalog")
            need(len(data) == summary["bytes"] and check == summary["footer_check"] and
                 x128(data) == summary["digest"], f"{path}: not the file that the catalog knows")
        self.summary = own
        need(own["kind"] == kind and own["id"] == self.id and own["identity"] == data[24:56],
             f"{path}: header and footer are of two segments")

    def block(self, offset, length, check, what, compressed=True):
        need(length >= 8 and offset >= 128 and offset + length <= self.footer_offset, f"{self.path}: {what}: its place")
        stored = self.data[offset:offset + length]
        seed = (self.id * 0x9E3779B97F4A7C15 + offset) & U64
        need(x64(stored, seed) == check, f"{self.path}: {what} at {offset} fails its check")
        compression, flags, zero, raw_length = struct.unpack_from("<BBHI", stored)
        need(compression <= compressed and flags == 0 and zero == 0, f"{self.path}: {what} at {offset}: its header")
        raw = stored[8:]
        if compression == 1:
            try:
                raw = lz4.block.decompress(raw, uncompressed_size=raw_length)
            except lz4.block.LZ4BlockError as error:
                raise Damage(f"{self.path}: {what} at {offset}: {error}") from None
        need(len(raw) == raw_length, f"{self.path}: {what} at {offset}: its length")
        return raw


# ---- 8 tables ----

class SortedBlock:
    """Entries as (key, sequence, kind, value), each with the number of the restart that it stands after."""

    def __init__(self, raw, what, kinds, hashed=False):
        need(6 <= len(raw) <= 64 << 20, f"{what}: its length")
        m, n = struct.unpack_from("<HI", raw, len(raw) - 6)
        end = len(raw) - 6 - m - 4 * n
        need(end >= 0 and (n > 0) == (end > 0), f"{what}: its end")
        restarts = struct.unpack_from(f"<{n}I", raw, end)
        self.buckets = raw[end + 4 * n:end + 4 * n + m]
        need(hashed or m == 0, f"{what}: a hash index")
        need(list(restarts) == sorted(set(restarts)) and restarts[:1] in ((), (0,)), f"{what}: its restarts")
        r = Bytes(raw[:end], what)
        self.entries, self.restart_of, key = [], [], b""
        starts, seen = set(restarts), set()
        while r.left() > 0:
            at = r.at
            shared, unshared, size, packed = r.varint(), r.varint(), r.varint(), r.varint()
            need(shared <= len(key) and not (at in starts and shared), f"{what}: entry at {at}: its key")
            key = key[:shared] + r.take(unshared)
            sequence, kind = packed >> 8, packed & 0xFF
            need(kind in kinds, f"{what}: entry at {at}: kind {kind}")
            if at in starts:
                seen.add(at)
            self.entries.append((key, sequence, kind, r.take(size)))
            self.restart_of.append(len(seen) - 1)
        need(seen == starts, f"{what}: a restart at no entry")

    def finds(self, index):
        """Whether the hash index leads to the entry, if there is one."""
        if not self.buckets:
            return True
        bucket = self.buckets[(x64(self.entries[index][0]) >> 32) * len(self.buckets) >> 32]
        return bucket == 254 or bucket == self.restart_of[index]


class Filter:
    def __init__(self, raw, what):
        need(len(raw) >= 20, f"{what}: its length")
        self.seed, self.length, self.count, size = struct.unpack_from("<QIII", raw)
        self.prints = raw[20:]
        need(len(self.prints) == size, f"{what}: its length")
        if self.length <= 1:
            need(self.count == 0 and size == 0, f"{what}: its shape")
            return
        need(self.length & (self.length - 1) == 0 and self.length <= 1 << 18 and 0 < self.count <= 1 << 20 and
             size == self.length * (self.count + 2), f"{what}: its shape")

    def maybe(self, key):
        if self.length <= 1:
            return self.length == 0
        h = (x64(key) + self.seed) & U64
        h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & U64
        h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & U64
        h ^= h >> 33
        mask = self.length - 1
        a = h * (self.count * self.length) >> 64
        b = (a + self.length) ^ (h >> 18 & mask)
        c = (a + 2 * self.length) ^ (h & mask)
        return self.prints[a] ^ self.prints[b] ^ self.prints[c] == (h ^ h >> 32) & 0xFF


def order(key, sequence):
    """In the order of the tree: key ascending, sequence descending."""
    return key, -sequence


class Table(Segment):
    def __init__(self, data, path, summary=None):
        super().__init__(data, path, summary)
        f = self.footer
        top_offset, top_length, ranges_length = f.u64(), f.u32(), f.u32()
        top_check, ranges_check, partitions = f.u64(), f.u64(), f.u32()
        f.u32()
        self.data_blocks, self.data_raw = f.u64(), f.u64()
        f.end()
        need(top_offset + top_length + ranges_length == self.footer_offset, f"{path}: the footer's places")
        self.entries, self.ranges = [], []
        self.found_blocks = self.found_raw = 0
        self.bound, self.last = None, None
        at, seen = 128, 0
        if top_length:
            top = SortedBlock(self.block(top_offset, top_length, top_check, "top index"), f"{path}: top index", {0})
            for key, sequence, _, value in top.entries:
                at = self.partition(at, key, sequence, value)
                seen += 1
        need(at == top_offset and seen == partitions and (top_length > 0) == (partitions > 0),
             f"{path}: the partitions")
        if ranges_length:
            raw = self.block(top_offset + top_length, ranges_length, ranges_check, "range deletes")
            block = SortedBlock(raw, f"{path}: range deletes", {RANGE_DELETE})
            need(block.restart_of == list(range(len(block.entries))), f"{path}: a range delete without a restart")
            for key, sequence, _, value in block.entries:
                need(4 <= len(key) <= KEY_MAX + 1 and 4 <= len(value) <= KEY_MAX + 1 and key < value,
                     f"{path}: a range delete")
                need(not self.ranges or self.ranges[-1][0] <= key, f"{path}: range deletes out of order")
                self.ranges.append((key, value, sequence))
        self.compare()

    def partition(self, begin, bound_key, bound_sequence, value):
        what = f"{self.path}: partition at {begin}"
        r = Bytes(value, what)
        offset, data_length, filter_length, index_length = r.varint(), r.varint(), r.varint(), r.varint()
        filter_check, index_check = r.u64(), r.u64()
        r.end()
        need(offset == begin and data_length > 0, f"{what}: its place")
        filter_at = begin + data_length
        index_at = filter_at + filter_length
        fuse = Filter(self.block(filter_at, filter_length, filter_check, "filter", compressed=False), f"{what}: filter")
        index = SortedBlock(self.block(index_at, index_length, index_check, "index"), f"{what}: index", {0})
        at = begin
        for key, sequence, _, place in index.entries:
            r = Bytes(place, f"{what}: index")
            offset, length, check = r.varint(), r.varint(), r.u64()
            r.end()
            need(begin + offset == at, f"{what}: blocks do not touch")
            bound = order(key, sequence)
            need(self.bound is None or self.bound < bound, f"{what}: bounds out of order")
            self.data_block(at, length, check, bound, fuse)
            self.bound = bound
            at += length
        need(at == filter_at and self.bound == order(bound_key, bound_sequence), f"{what}: its end")
        return index_at + index_length

    def data_block(self, at, length, check, bound, fuse):
        what = f"{self.path}: data block at {at}"
        raw = self.block(at, length, check, "data block")
        block = SortedBlock(raw, what, {PUT, DELETE, MERGE, PUT_BLOB, VECTOR_ROW}, hashed=True)
        need(block.entries, f"{what}: empty")
        self.found_blocks += 1
        self.found_raw += len(raw)
        first_of_key = None
        for i, (key, sequence, kind, value) in enumerate(block.entries):
            place = order(key, sequence)
            need(4 <= len(key) <= KEY_MAX and sequence <= SEQUENCE_MAX, f"{what}: entry {i}")
            need(self.last is None or self.last < place, f"{what}: entries out of order")
            need((self.bound is None or self.bound < place) and place <= bound, f"{what}: an entry outside its bounds")
            need(fuse.maybe(key), f"{what}: the filter does not know a key")
            if key != first_of_key:
                need(block.finds(i), f"{what}: the hash index does not lead to a key")
            first_of_key = key
            self.last = place
            self.entries.append((key, sequence, kind, value))

    def compare(self):
        s, path = self.summary, self.path
        sequences = [e[1] for e in self.entries] + [r[2] for r in self.ranges]
        kinds = 0
        for entry in self.entries:
            kinds |= 1 << entry[2]
        if self.ranges:
            kinds |= 1 << RANGE_DELETE
        need(len(self.entries) == s["entries"] and len(self.ranges) == s["range_deletes"] and kinds == s["kinds"] and
             self.found_blocks == self.data_blocks and self.found_raw == self.data_raw, f"{path}: counts differ")
        if sequences:
            need((min(sequences), max(sequences)) == (s["low"], s["high"]), f"{path}: the range of sequences differs")
        first = min([e[0] for e in self.entries[:1]] + [r[0] for r in self.ranges], default=b"")
        last_key = self.entries[-1][0] if self.entries else b""
        last_end = max((r[1] for r in self.ranges), default=b"")
        exclusive = bool(self.ranges) and (not self.entries or last_end > last_key)
        need((s["first"], s["last"], s["flags"]) == (first, last_end if exclusive else last_key, int(exclusive)),
             f"{path}: the range of keys differs")


# ---- 9 values apart ----

PAGE, PAGE_RAW = 4096, 4088


def check_tree(segment, checks_count, offset, what):
    """The checks of so many blocks. The tree's pages begin at `offset`; the root is next in the footer."""
    levels, count = [], checks_count
    while count > 32:
        count = -(-count // 511)
        levels.append(count)
    checks = [segment.footer.u64() for _ in range(count)]
    starts = [offset + PAGE * sum(levels[:i]) for i in range(len(levels))]
    for level in reversed(range(len(levels))):
        below = levels[level - 1] if level else checks_count
        found = []
        for i, check in enumerate(checks):
            raw = page(segment, starts[level] + i * PAGE, check, what)
            here = min(511, below - len(found))
            found += struct.unpack_from(f"<{here}Q", raw)
            need(not any(raw[8 * here:]), f"{segment.path}: {what}: not zero behind its checks")
        checks = found
    return checks, offset + PAGE * sum(levels)


def page(segment, offset, check, what):
    raw = segment.block(offset, PAGE, check, what, compressed=False)
    need(len(raw) == PAGE_RAW, f"{segment.path}: {what}: its length")
    return raw


def page_records(segment, pages_offset, checks, count, form, what):
    size = struct.calcsize(form)
    per_page = PAGE_RAW // size
    found = []
    for i, check in enumerate(checks):
        raw = page(segment, pages_offset + i * PAGE, check, what)
        here = min(per_page, count - len(found))
        found += [struct.unpack_from(form, raw, j * size) for j in range(here)]
        need(not any(raw[here * size:]), f"{segment.path}: {what}: not zero behind its records")
    return found


class Values(Segment):
    """What blob files and row segments share: `values` maps (logical id, ordinal) to what is there."""

    def expect_groups(self, ordinals):
        """Positions to (logical id, ordinal), ordinals ascending in each group."""
        groups, at, keys = self.summary["groups"], 0, []
        for logical_id, count in groups:
            need(count > 0, f"{self.path}: an empty group")
            mine = ordinals[at:at + count]
            need(mine == sorted(set(mine)), f"{self.path}: references out of order")
            keys += [(logical_id, ordinal) for ordinal in mine]
            at += count
        need(at == self.summary["entries"] == len(keys), f"{self.path}: groups and entries differ")
        return keys

    def compare(self, sequences, value_bytes):
        s = self.summary
        need(value_bytes == s["value_bytes"], f"{self.path}: bytes of values differ")
        if sequences:
            need((min(sequences), max(sequences)) == (s["low"], s["high"]), f"{self.path}: sequences differ")


class Blob(Values):
    def __init__(self, data, path, summary=None):
        super().__init__(data, path, summary)
        index_offset, count = self.footer.u64(), self.summary["entries"]
        pages = -(-count // 102)
        checks, end = check_tree(self, pages, index_offset + pages * PAGE, "tree of the index")
        self.footer.end()
        need(end == self.footer_offset, f"{path}: the index is not where it says")
        entries = page_records(self, index_offset, checks, count, "<QQQIIIHH", "index")
        keys = self.expect_groups([e[3] for e in entries])
        at, self.values = 128, {}
        for key, (check, offset, sequence, _, length, value_length, key_length, zero) in zip(keys, entries):
            need(offset == at and zero == 0 and sequence <= SEQUENCE_MAX, f"{path}: an index entry")
            raw = self.block(offset, length, check, "value")
            need(len(raw) == key_length + value_length, f"{path}: value at {offset}: its length")
            self.values[key] = raw[:key_length], raw[key_length:]
            at += length
        need(at == index_offset, f"{path}: the values do not end where the index begins")
        self.compare([e[2] for e in entries], sum(e[5] for e in entries))

    def get(self, reference, key):
        found = self.values.get(reference[:2])
        need(found is not None and len(found[1]) == reference[2] and found[0] == key,
             f"{self.path}: no value {reference[1]} of segment {reference[0]}")
        return found[1]


class Rows(Values):
    def __init__(self, data, path, summary=None):
        super().__init__(data, path, summary)
        s, f = self.summary, self.footer
        positions_offset, per_block, zero = f.u64(), f.u32(), f.u32()
        count, stride = s["entries"], s["stride"]
        need(stride > 0 and per_block > 0 and per_block * stride <= 1 << 20 and zero == 0, f"{path}: the footer")
        blocks, pages = -(-count // per_block), -(-count // 170)
        checks, at = check_tree(self, blocks, positions_offset + pages * PAGE, "tree of the blocks")
        page_checks, at = check_tree(self, pages, at, "tree of the positions")
        f.end()
        need(at == self.footer_offset, f"{path}: the positions are not where it says")
        vectors, at = [], 128
        for check in checks:
            here = min(per_block, count - len(vectors))
            raw = self.block(at, 8 + here * stride, check, "vectors", compressed=False)
            vectors += [raw[i * stride:(i + 1) * stride] for i in range(here)]
            at += 8 + here * stride
        need(at == positions_offset, f"{path}: the vectors do not end where the positions begin")
        positions = page_records(self, positions_offset, page_checks, count, "<QQII", "positions")
        keys = self.expect_groups([p[3] for p in positions])
        self.values = {}
        for key, position, vector in zip(keys, positions, vectors):
            need(s["groups"][position[2]][0] == key[0], f"{path}: a position names another group")
            self.values[key] = position[0], vector
        self.compare([p[1] for p in positions], count * stride)

    def get(self, reference, key):
        space, row = vector_key(key, self.path)
        found = self.values.get(reference[:2])
        need(found is not None and len(found[1]) == reference[2] and found[0] == row and
             space == self.summary["space"], f"{self.path}: no vector {reference[1]} of segment {reference[0]}")
        return found[1]


# ---- 10 from files to content ----

class Store:
    def __init__(self, path):
        self.counts = defaultdict(int)
        self.path = path
        generation, store_id = parse_current(read_file(os.path.join(path, "CURRENT")))
        self.dir = os.path.join(path, f"g-{generation:06d}")
        edits = choose_edits(self.dir)
        self.identity = edits.identity
        need(self.identity[:16] == store_id, "CURRENT: names another store")
        self.catalog(edits.map)
        need(self.facts["generation"] == generation, f"the facts are of generation {self.facts['generation']}")
        self.entries, self.ranges = [], []   # (key, sequence, kind, value), (begin, end, sequence)
        self.files = {}                      # logical id -> file
        self.read_segments()
        self.read_logs()
        self.check_levels()
        self.map = None

    def catalog(self, records):
        need(b"F" in records and b"C" in records and b"L" in records, "the catalog lacks facts, counters or log state")
        self.facts, self.state = parse_facts(records[b"F"]), parse_log_state(records[b"L"])
        self.counters = parse_counters(records[b"C"])
        self.segments, self.snapshots, self.spaces, self.quarantine = [], {}, {}, []
        for key, value in records.items():
            tag, rest = key[:1], key[1:]
            if tag == b"S":
                segment = parse_segment_record(value, f"record of segment {rest.hex()}")
                need(rest == struct.pack(">Q", segment["summary"]["id"]), "a segment's record under another's key")
                need(segment["summary"]["id"] < self.counters["segment_end"], "a segment id that was never used")
                if segment["state"] == 1:
                    self.segments.append(segment)
            elif tag == b"N":
                self.snapshots[rest] = parse_snapshot(value)
            elif tag == b"E":
                self.spaces[rest] = parse_space(value)
            elif tag == b"Q":
                self.quarantine.append(parse_quarantine(value))
            elif tag == b"J":
                need(len(rest) == 8, "key of a job")
                parse_job(value)

    def read_segments(self):
        for segment in self.segments:
            summary, cut = segment["summary"], segment["cut"]
            name = f"{summary['id']:012d}{SUFFIXES[summary['kind']]}"
            path = os.path.join(self.dir, name)
            kind = {TABLE: Table, BLOB: Blob, ROWS: Rows}[summary["kind"]]
            file = kind(read_file(path), path, summary)
            self.counts[kind.__name__.lower()] += 1
            if summary["kind"] != TABLE:
                for logical_id, _ in summary["groups"]:
                    need(logical_id not in self.files, f"two files answer for segment {logical_id}")
                    self.files[logical_id] = file
                continue
            self.entries += [e for e in file.entries if not cut or e[0] > cut]
            above = cut + b"\0" if cut else b""
            self.ranges += [(max(b, above), e, s) for b, e, s in file.ranges if e > above]
            segment["cut_first"] = max(above, summary["first"])
            self.counts["levels"] = max(self.counts["levels"], segment["level"])
            self.counts["range deletes"] += len(file.ranges)

    def check_levels(self):
        """Tables of one run do not overlap."""
        runs = defaultdict(list)
        for segment in self.segments:
            s = segment["summary"]
            if s["kind"] != TABLE:
                continue
            end = s["last"] if s["flags"] & 1 else s["last"] + b"\0"
            if segment["cut_first"] < end:
                runs[segment["level"], segment["run"]].append((segment["cut_first"], end))
        for run, ranges in runs.items():
            ranges.sort()
            for (_, end), (begin, _) in zip(ranges, ranges[1:]):
                need(end <= begin, f"tables of run {run} overlap")
        self.counts["runs"] = len(runs)

    def read_logs(self):
        self.last_sequence, self.row = self.state["sequence"], self.state["row"]
        if self.facts["sealed"]:
            self.last_sequence, self.row = self.facts["sequence"], self.facts["row"]
            return
        files = numbered(self.dir, "log-", 10)
        number, before = self.state["first_log"], None
        highest = max(files, default=0)
        if highest > number and never_begun(read_file(files[highest]), b"LORELOG1"):
            del files[highest]
        while number in files or before is None:
            need(number in files, f"log {number} is missing")
            log = Log(read_file(files[number]), files[number], b"LORELOG1")
            need(log.identity == self.identity and log.number == number, f"{log.path}: of another store or place")
            if before is not None:
                need((log.before_number, log.before_length, log.before_sequence) ==
                     (before.number, before.end, self.last_sequence), f"{log.path}: does not follow the one before")
            self.read_batches(log)
            before, number = log, number + 1
        need(all(n < number for n in files), "a log is missing")

    def read_batches(self, log):
        for offset, kind, _, payload in log.records:
            if kind != BATCH:
                continue
            entries, row = parse_batch(payload, f"{log.path}: offset {offset}")
            self.row = max(self.row, row)
            if entries[-1][1] <= self.last_sequence:
                continue
            need(entries[0][1] == self.last_sequence + 1, f"{log.path}: offset {offset}: a hole in the sequence")
            self.last_sequence = entries[-1][1]
            for key, sequence, entry_kind, value in entries:
                self.counts["log entries"] += 1
                if entry_kind == RANGE_DELETE:
                    self.ranges.append((key, value, sequence))
                else:
                    self.entries.append((key, sequence, entry_kind, value))

    # -- content --

    def covering(self, sequence):
        """A function from a key to the highest sequence of a range delete over it, at `sequence`."""
        ranges = [r for r in self.ranges if r[2] <= sequence]
        bounds = sorted({b for b, _, _ in ranges} | {e for _, e, _ in ranges})
        best = [0] * len(bounds)
        for begin, end, number in ranges:
            for i in range(bisect.bisect_left(bounds, begin), bisect.bisect_left(bounds, end)):
                best[i] = max(best[i], number)

        def highest(key):
            at = bisect.bisect_right(bounds, key) - 1
            return best[at] if at >= 0 else 0
        return highest

    def value(self, key, kind, value):
        if kind not in (PUT_BLOB, VECTOR_ROW):
            return value
        need(len(value) == 16, "a reference of another length")
        reference = struct.unpack("<QII", value)
        file = self.files.get(reference[0])
        need(file is not None and isinstance(file, Blob if kind == PUT_BLOB else Rows),
             f"no live file holds the values of segment {reference[0]}")
        return file.get(reference, key)

    def resolve(self, key, versions, covering):
        """The value of a key, None if it is absent; versions newest first."""
        merged = None
        for sequence, kind, value in versions:
            if sequence < covering or kind == DELETE:
                return merged
            if kind != MERGE and merged is None:
                return self.value(key, kind, value)
            need(kind in (MERGE, PUT) and is_operand(value), "nothing to merge into")
            merged = value if merged is None else combine(value, merged)
            if kind == PUT:
                return merged
        return merged

    def content(self, sequence=None):
        sequence = self.last_sequence if sequence is None else sequence
        covering, versions = self.covering(sequence), defaultdict(list)
        seen = set()
        for key, number, kind, value in self.entries:
            need((key, number) not in seen, "one sequence twice for a key")
            seen.add((key, number))
            if number <= sequence:
                versions[key].append((number, kind, value))
        result = {}
        for key in sorted(versions):
            value = self.resolve(key, sorted(versions[key], reverse=True), covering(key))
            if value is not None:
                result[key] = value
        return result

    def check_references(self):
        """Every reference of every entry, not only those of what is alive."""
        for key, _, kind, value in self.entries:
            self.value(key, kind, value)


def combine(older, newer):
    need(len(older) == len(newer) and older[::9] == newer[::9], "operands of two forms")
    result = b""
    for at in range(0, len(older), 9):
        a, b = struct.unpack_from("<q", older, at + 1)[0], struct.unpack_from("<q", newer, at + 1)[0]
        total = (a + b) & U64 if older[at] == 1 else max(a, b) & U64
        result += older[at:at + 1] + struct.pack("<Q", total)
    return result


# ---- 11 keyspaces of memories ----

KEYSPACE_TIME, KEYSPACE_ID, KEYSPACE_RECORD, KEYSPACE_INDEX = 0xF0000000, 0xF0000010, 0xF0000011, 0xF0000012
KEYSPACE_SESSION, KEYSPACE_ACCESS, KEYSPACE_DEAD, KEYSPACE_HEAD = 0xF0000013, 0xF0000014, 0xF0000015, 0xF0000016

FIELDS = {0: "id", 2: "kind", 3: "layer", 4: "tier", 5: "status", 6: "importance_score", 7: "created_at",
          8: "updated_at", 9: "expires_at", 10: "user_id", 11: "agent_id", 12: "session_id", 13: "role", 14: "tags",
          15: "metadata", 16: "position"}
ALWAYS = {0, 4, 5, 6, 7, 8}
INDEXED = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}


def parse_attributes(value, what):
    r = Bytes(value, what)
    version, flags, present = r.u8(), r.u8(), r.u32()
    if version != 1 or flags != 0 or present >> 19:
        raise Unsupported(f"{what}: version {version}, flags {flags:#x}, fields {present:#x}")
    numbers = {n for n in range(19) if present >> n & 1}
    need(ALWAYS <= numbers and not numbers & {1, 17, 18} and (12 in numbers) == (16 in numbers), f"{what}: fields")
    memory = {}
    for n in sorted(numbers):
        if n in (7, 8, 9):
            field = r.i64()
        elif n == 16:
            field = r.u64()
        elif n == 6:
            field = struct.unpack("<d", r.take(8))[0]
            need(0 <= field <= 1, f"{what}: importance")
        elif n == 14:
            field = [r.string() for _ in range(r.varint())]
            need(1 <= len(field) <= 64, f"{what}: tags")
        else:
            field = r.string()
            need(len(field) > 0 or n in (4, 5), f"{what}: an empty {FIELDS[n]}")
        memory[FIELDS[n]] = field
    memory["spaces"] = [r.u32() for _ in range(r.varint())]
    need(memory["spaces"] == sorted(set(memory["spaces"])), f"{what}: spaces")
    r.end()
    return memory


def index_text(text):
    return text.replace(b"\0", b"\0\xff") + b"\0\1"


def index_integer(number):
    return struct.pack(">Q", (number & U64) ^ 1 << 63)


def index_number(number):
    bits = struct.unpack(">Q", struct.pack(">d", number + 0.0))[0]
    return struct.pack(">Q", bits ^ U64 if bits >> 63 else bits | 1 << 63)


def keyspace_key(keyspace, rest):
    return struct.pack(">I", keyspace) + rest


def index_keys(memory, row):
    keys = set()
    for n in INDEXED:
        field = memory.get(FIELDS[n])
        if field is None or field == b"" or (n in (7, 8, 9) and field == 0):
            continue
        if n == 6:
            values = [index_number(field)]
        elif n in (7, 8, 9):
            values = [index_integer(field)]
        else:
            values = [index_text(text) for text in (field if n == 14 else [field])]
        keys |= {keyspace_key(KEYSPACE_INDEX, bytes([n]) + value + struct.pack(">Q", row)) for value in values}
    return keys


def read_memories(store, content):
    """Memories in order of id, checked against the derived keyspaces."""
    names = {space["number"]: (name, space) for name, space in store.spaces.items()}
    by_space = defaultdict(dict)
    for key, value in content.items():
        by_space[struct.unpack_from(">I", key)[0]][key[4:]] = value
    memories, derived, rows = [], defaultdict(set), set()
    for id, value in sorted(by_space[KEYSPACE_ID].items()):
        need(len(value) == 8, "row of an id")
        row = be64_at(value, 0)
        what = f"row {row}"
        need(row < store.row and row not in rows, f"{what}: not handed out, or of two ids")
        rows.add(row)
        attributes = by_space[KEYSPACE_RECORD].get(value + b"\0")
        text = by_space[KEYSPACE_RECORD].get(value + b"\1")
        need(attributes is not None and text is not None, f"{what}: attributes or text are missing")
        memory = parse_attributes(attributes, what)
        need(memory["id"] == id, f"{what}: of another id")
        memory["text"] = text
        count = last = 0
        access = by_space[KEYSPACE_ACCESS].get(id)
        if access is not None:
            need(len(access) == 18 and access[0] == 1 and access[9] == 2, f"{what}: access counts")
            count, last = struct.unpack_from("<q", access, 1)[0], struct.unpack_from("<q", access, 10)[0]
        memory["access_count"], memory["last_accessed_at"] = count, last
        memory["embeddings"] = []
        for number in memory["spaces"]:
            vector = content.get(keyspace_key(KEYSPACE_VECTORS, struct.pack(">IQ", number, row)))
            need(number in names and vector is not None, f"{what}: no vector in space {number}")
            need(len(vector) == names[number][1]["stride"], f"{what}: length of a vector")
            memory["embeddings"].append((names[number][0], vector))
            derived["vectors"].add(keyspace_key(KEYSPACE_VECTORS, struct.pack(">IQ", number, row)))
        derived["index"] |= index_keys(memory, row)
        if "session_id" in memory:
            key = index_text(memory["session_id"]) + struct.pack(">QQ", memory["position"], row)
            derived["session"].add(keyspace_key(KEYSPACE_SESSION, key))
        memories.append(memory)
    for name, keyspace in (("vectors", KEYSPACE_VECTORS), ("index", KEYSPACE_INDEX), ("session", KEYSPACE_SESSION)):
        found = {keyspace_key(keyspace, key) for key in by_space[keyspace]}
        need(found == derived[name], f"{name}: {len(found - derived[name])} keys too many, "
                                     f"{len(derived[name] - found)} missing")
    need(set(by_space[KEYSPACE_RECORD]) == {struct.pack(">Q", r) + part for r in rows for part in (b"\0", b"\1")},
         "records of rows that no id leads to")
    need(set(by_space[KEYSPACE_ACCESS]) <= set(by_space[KEYSPACE_ID]), "access counts of no memory")
    dead = {be64_at(key, 0) for key in by_space[KEYSPACE_DEAD]}
    need(not dead & rows, "a row that is alive and dead")
    sessions = defaultdict(list)
    for memory in memories:
        if "session_id" in memory:
            sessions[index_text(memory["session_id"])].append(memory["position"])
    need(set(by_space[KEYSPACE_HEAD]) == set(sessions), "heads of sessions")
    for session, positions in sessions.items():
        head = by_space[KEYSPACE_HEAD][session]
        need(len(head) == 16 and be64_at(head, 8) == len(positions) and be64_at(head, 0) > max(positions),
             "the head of a session")
    return memories


# ---- 12 dumps ----

def is_text(data):
    try:
        return 0 not in data and data.decode("utf-8") is not None
    except UnicodeDecodeError:
        return False


def json_string(text):
    out = ['"']
    for c in text:
        short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}.get(c)
        out.append(short or (f"\\u{ord(c):04x}" if c < " " else c))
    return "".join(out) + '"'


def base64_json(data):
    return '"' + base64.b64encode(data).decode() + '"'


def json_member(name, data):
    if is_text(data):
        return f'"{name}":{json_string(data.decode())}'
    return f'"{name}_b64":{base64_json(data)}'


def json_tag(data):
    return json_string(data.decode()) if is_text(data) else '{"b64":' + base64_json(data) + "}"


def json_time(time_us):
    days, rest = divmod(time_us, 86400 * 1000000)
    days += 719468                                 # from 0000-03-01
    era, day = divmod(days, 146097)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    shifted = (5 * day + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year += era * 400 + (month <= 2)
    if not 0 <= year <= 9999:
        return f'"@{"-" if time_us < 0 else ""}{abs(time_us) // 1000000}.{abs(time_us) % 1000000:06d}"'
    seconds, micro = divmod(rest, 1000000)
    return (f'"{year:04d}-{month:02d}-{day - (153 * shifted + 2) // 5 + 1:02d}T{seconds // 3600:02d}:'
            f'{seconds // 60 % 60:02d}:{seconds % 60:02d}.{micro:06d}Z"')


def json_number(value):
    for precision in range(1, 18):
        digits = "%.*g" % (precision, value)
        if struct.pack("<d", float(digits)) == struct.pack("<d", value):
            break
    return digits


def json_integer(value):
    return str(value) if value < 1 << 63 else f'"{value}"'


def memory_line(memory):
    out = ['"type":"memory"']

    def texts(*names):
        for name in names:
            if memory.get(name) or name in ("id", "text", "tier", "status"):
                out.append(json_member(name, memory[name]))

    texts("id", "text", "kind", "layer", "tier", "status")
    out.append(f'"importance_score":{json_number(memory["importance_score"])}')
    for name in ("created_at", "updated_at", "last_accessed_at", "expires_at"):
        if memory.get(name) or name in ("created_at", "updated_at"):
            out.append(f'"{name}":{json_time(memory[name])}')
    if memory["access_count"] > 0:
        out.append(f'"access_count":{json_integer(memory["access_count"])}')
    texts("user_id", "agent_id", "session_id")
    if "position" in memory:
        out.append(f'"position":{json_integer(memory["position"])}')
    texts("role")
    if memory.get("tags"):
        out.append('"tags":[' + ",".join(json_tag(tag) for tag in memory["tags"]) + "]")
    texts("metadata")
    if memory["embeddings"]:
        items = [f'{{{json_member("space", name)},"data":{base64_json(vector)}}}'
                 for name, vector in sorted(memory["embeddings"])]
        out.append('"embeddings":[' + ",".join(items) + "]")
    return "{" + ",".join(out) + "}"


def dump_lines(store, content):
    spaces = []
    for name, space in sorted(store.spaces.items()):
        spaces.append(f'{{{json_member("name", name)},"dimensions":{space["dimensions"]},'
                      f'"element":"{ELEMENTS[space["element"]]}","metric":"{METRICS[space["metric"]]}",'
                      f'{json_member("model", space["model"])}}}')
    yield '{"lore_dump":1,"spaces":[' + ",".join(spaces) + "]}"
    digest, records, entries = hashlib.sha256(), 0, 0
    for memory in read_memories(store, content):
        line = memory_line(memory)
        digest.update(line.encode() + b"\n")
        records += 1
        yield line
    for key in sorted(content):
        keyspace = struct.unpack_from(">I", key)[0]
        if keyspace >= 0xF0000000:
            break
        line = (f'{{"type":"entry","keyspace":{keyspace},"key":{base64_json(key[4:])},'
                f'"value":{base64_json(content[key])}}}')
        digest.update(line.encode() + b"\n")
        entries += 1
        yield line
    yield f'{{"type":"trailer","records":{records},"entries":{entries},"digest":"sha256:{digest.hexdigest()}"}}'


def check_manifest(directory):
    """Section 12: MANIFEST.json of a backup, against itself and against the files."""
    data = read_file(os.path.join(directory, "MANIFEST.json"))
    match = re.fullmatch(rb'(.*,"self":")(sha256:[0-9a-f]{64})("}\n)', data, re.S)
    need(match is not None, "MANIFEST.json: no digest of its own")
    need(b"sha256:" + hashlib.sha256(match[1] + match[3]).hexdigest().encode() == match[2],
         "MANIFEST.json: fails its own digest")
    manifest = json.loads(data)
    if manifest["format"] != 1:
        raise Unsupported("MANIFEST.json: its format")
    root = hashlib.sha256()
    paths = [file["path"].encode() for file in manifest["files"]]
    need(paths == sorted(paths), "MANIFEST.json: files out of order")
    for file in manifest["files"]:
        content = read_file(os.path.join(directory, file["path"]))
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        need(len(content) == file["size"] and digest == file["sha256"], f"{file['path']}: not as in the manifest")
        root.update(f"{file['path']} {file['size']} {digest}\n".encode())
    need("sha256:" + root.hexdigest() == manifest["root_digest"], "MANIFEST.json: the root digest")
    return manifest


def main():
    arguments = sys.argv[1:]
    only_check = arguments[:1] == ["--check"]
    arguments = arguments[only_check:]
    if len(arguments) != 1:
        sys.exit(__doc__)
    try:
        store = Store(arguments[0])
        store.check_references()
        lines = list(dump_lines(store, store.content()))
    except Damage as error:
        print(f"damage: {error}", file=sys.stderr)
        return 2
    except Unsupported as error:
        print(f"not supported: {error}", file=sys.stderr)
        return 3
    if only_check:
        print(", ".join(f"{count} {what}" for what, count in sorted(store.counts.items())))
        return 0
    sys.stdout.buffer.write(("\n".join(lines) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
