"""Segments: tables, and values apart. Sections 7 to 9."""
import struct

import lz4.block

from .basics import Bytes, Damage, U64, Unsupported, need, x128, x64
from .logs import DELETE, KEY_MAX, MERGE, PUT, PUT_BLOB, RANGE_DELETE, SEQUENCE_MAX, VECTOR_ROW, vector_key

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
