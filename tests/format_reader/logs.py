"""The directory, the chained log and its batches. Sections 2 to 4."""
import re
import struct

from .basics import Bytes, Unsupported, need, u64_bytes, x64

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
