"""What every form is made of: whole numbers, varints, checks. Section 1 of the page."""
import struct

import xxhash


class Damage(Exception):
    pass


class Unsupported(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Damage(what)


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
