"""From files to content. Section 10."""
import bisect
import os
import struct
from collections import defaultdict

from .basics import U64, need
from .logs import (
    BATCH, DELETE, Log, MERGE, PUT, PUT_BLOB, RANGE_DELETE, VECTOR_ROW, is_operand, parse_batch, parse_current,
)
from .catalog import (
    choose_edits, never_begun, numbered, parse_counters, parse_facts, parse_job, parse_log_head,
    parse_log_state, parse_quarantine, parse_segment_record, parse_snapshot, parse_space, read_file,
)
from .segments import BLOB, Blob, ROWS, Rows, SUFFIXES, TABLE, Table


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
        self.head = parse_log_head(records[b"H"]) if b"H" in records else {"number": 0, "closed": False}
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
        if highest > max(number, self.head["number"]) and never_begun(read_file(files[highest]), b"LORELOG1"):
            del files[highest]
        while number in files or before is None:
            need(number in files, f"log {number} is missing")
            log = Log(read_file(files[number]), files[number], b"LORELOG1")
            need(log.identity == self.identity and log.number == number, f"{log.path}: of another store or place")
            if before is not None:
                need((log.before_number, log.before_length, log.before_sequence) ==
                     (before.number, before.end, self.last_sequence), f"{log.path}: does not follow the one before")
            self.read_batches(log)
            if self.head["closed"] and self.head["number"] == number:
                need((log.closed, log.end, self.last_sequence) == (True, self.head["length"], self.head["sequence"]),
                     f"{log.path}: ends elsewhere than where it was closed")
            before, number = log, number + 1
        need(self.head["number"] < number, "the newest log that the catalog knows is missing")
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
