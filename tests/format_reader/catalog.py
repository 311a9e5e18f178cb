"""Edits, and the records that they carry. Sections 5 and 6."""
import os
import re

from .basics import Bytes, Damage, Unsupported, need, u64_bytes, x64
from .logs import EDIT, KEY_MAX, LOG_HEADER, Log, PART, PART_END
from .segments import parse_summary

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


def parse_log_head(value):
    r = record(value, "log head")
    fields = {"number": r.u64(), "closed": r.boolean(), "length": r.u64(), "sequence": r.u64()}
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
