#!/usr/bin/python3
"""The package format_reader, written from docs/format.md alone, against the engine.

Usage: format_reader_test.py PAGE                  decodes the vectors of the page
       format_reader_test.py PAGE LORE MAKER       also compares stores with `lore dump --canonical`

MAKER is format_store. Exit code 77, with a line that says so, where the modules xxhash and lz4 are missing.
"""
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    import lz4.block
    import xxhash
except ImportError as error:
    print(f"skipped: {error} (Debian: python3-xxhash, python3-lz4)")
    sys.exit(77)
import format_reader as reader

SEED = int(os.environ.get("LORE_TEST_SEED", "1"))
CLOCK = 1700000000000000


def vectors(page):
    found = {}
    for name, body in re.findall(r"^```vector (\S+)\n(.*?)^```$", page, re.S | re.M):
        data = b""
        for token in body.split():
            byte, _, times = token.partition("*")
            data += bytes.fromhex(byte) * int(times or 1)
        found[name] = data
    return found


def key(text):
    return b"\0\0\0\1" + text.encode()


# ---- the page's vectors, by what the page says of them ----

def check_vectors(v):
    r = reader.Bytes(v["varints"], "varints")
    assert [r.varint() for _ in range(5)] == [0, 127, 128, 300, (1 << 64) - 1] and r.left() == 0
    assert v["checks"] == reader.u64_bytes(reader.x64(b"lore"), reader.x64(b"lore", 42)) + reader.x128(b"lore")
    assert reader.parse_current(v["current"]) == (1, b"\7" * 16)

    entries, row = reader.parse_batch(v["batch"], "batch")
    operand = v["access"]
    assert row == 6 and entries == [
        (key("a"), 10, 1, b"one"), (key("b"), 11, 2, b""), (key("c"), 12, 3, key("e")), (key("f"), 13, 4, operand),
        (bytes.fromhex("f0000001000000010000000000000005"), 14, 6, b"\1\2\3\4")]
    assert reader.combine(operand, operand) == b"\1" + reader.u64_bytes(6) + b"\2" + reader.u64_bytes(CLOCK)

    log = reader.Log(v["log"], "log", b"LORELOG1")
    assert (log.number, log.before_number, log.before_length, log.before_sequence, log.first_sequence) == \
        (2, 1, 256, 9, 10) and log.identity == b"\7" * 16 + b"\11" * 16
    assert [(k, t) for _, k, t, _ in log.records] == [(k, CLOCK + 1) for k in (1, 2, 3)] and log.closed
    assert log.records[0][3] == v["batch"] and log.promised == log.records[2][0] and log.end == len(v["log"])

    edits = reader.Edits(v["edits"], "edits")
    assert edits.whole and edits.number == 2 and sorted(edits.map) == [b"C", b"F", b"Knote", b"L"]
    assert edits.map[b"Knote"] == b"free" and reader.parse_facts(edits.map[b"F"])["created"] == CLOCK
    check_record_vectors(v)
    check_segment_vectors(v)
    check_memory_vectors(v)


def check_record_vectors(v):
    assert reader.parse_facts(v["record-F"]) == {
        "format": 1, "generation": 2, "created": CLOCK, "parent": b"\10" * 16, "parent_sequence": 77, "sealed": True,
        "row": 5, "sequence": 99, "time": CLOCK + 1}
    assert list(reader.parse_counters(v["record-C"]).values()) == [65, 33, 3, 2]
    assert list(reader.parse_log_state(v["record-L"]).values()) == [4, 1000, 12, CLOCK]
    assert list(reader.parse_snapshot(v["record-N"]).values()) == [500, 7, CLOCK, CLOCK + 2]
    assert list(reader.parse_job(v["record-J"]).values()) == [0, 1, 9, 9, [3, 4], True, key("m")]
    assert list(reader.parse_space(v["record-E"]).values()) == [1, 384, 2, 1, b"minilm", 768]
    assert list(reader.parse_quarantine(v["record-Q"]).values()) == [
        3, 70, 0, 4096, CLOCK, b"quarantine/000000000070.blob", b"foreign"]


def check_segment_vectors(v):
    record = reader.parse_segment_record(v["record-S"], "record")
    assert (record["state"], record["level"], record["run"], record["cut"]) == (1, 1, 6, key("b"))
    table = reader.Table(v["table"], "table", record["summary"])
    assert [(k[4:].decode(), s, kind) for k, s, kind, _ in table.entries] == [
        ("apple", 7, 1), ("apple", 3, 1), ("apricot", 4, 2), ("big", 5, 5), ("count", 6, 4)]
    assert table.ranges == [(key("d"), key("f"), 8)] and table.summary["inputs"] == [8, 9]
    blob = reader.Blob(v["blob"], "blob")
    assert blob.get((13, 0, 2000), key("big")) == b"x" * 2000 and blob.get((13, 1, 1500), key("pig")) == b"x" * 1500
    rows = reader.Rows(v["rows"], "rows")
    assert rows.get((14, 2, 4), bytes.fromhex("f0000001000000010000000000000007")) == b"\2\1\2\3"
    tree = reader.Rows(v["rows-tree"], "rows-tree")
    assert len(tree.values) == 33 and tree.values[15, 32] == (32, b"\x20" * 16384)
    block = reader.SortedBlock(v["sorted-block"], "block", {1}, hashed=True)
    assert [e[0] for e in block.entries] == [key(f"key-{i:02}") for i in range(18)] and len(block.buckets) > 0
    assert all(block.finds(i) for i in range(18)) and block.restart_of[-1] == 1
    fuse = reader.Filter(v["filter"], "filter")
    assert all(fuse.maybe(key(f"k{i}")) for i in range(6))
    assert sum(fuse.maybe(key(f"other{i}")) for i in range(1000)) < 30


def check_memory_vectors(v):
    r = reader.Bytes(v["memory-keys"], "keys")
    row = (5).to_bytes(8, "big")
    expected = [(0x12, b"\2" + reader.index_text(b"a\0b") + row), (0x12, b"\7" + reader.index_integer(-1) + row),
                (0x12, b"\6" + reader.index_number(0.5) + row), (0x13, b"s\0\1" + (2).to_bytes(8, "big") + row),
                (0x10, b"id"), (0x11, row + b"\1"), (0x14, b"id"), (0x15, (4).to_bytes(8, "big")), (0x16, b"s\0\1")]
    assert [r.string() for _ in expected] == [reader.keyspace_key(0xF0000000 + k, rest) for k, rest in expected]
    assert r.left() == 0
    memory = reader.parse_attributes(v["attributes"], "attributes")
    assert memory == {
        "id": b"id", "kind": b"fact", "tier": b"working", "status": b"active", "importance_score": 0.5,
        "created_at": CLOCK, "updated_at": CLOCK + 1, "expires_at": CLOCK + 2, "session_id": b"s", "role": b"user",
        "tags": [b"x", b"y"], "metadata": b"{}", "position": 2, "spaces": [1, 3]}


def check_refusals(v):
    """Every byte of a whole file is under some check: changed, it is refused, or it does not matter and says so."""
    rng = random.Random(SEED)
    for name, parse in (("table", reader.Table), ("blob", reader.Blob), ("rows", reader.Rows)):
        whole = v[name]
        summary = dict(parse(whole, name).summary)
        at = whole.rindex(b"LOREFTR1") - 24
        body = int.from_bytes(whole[at:at + 8], "little")
        footer = whole[body:body + int.from_bytes(whole[at + 8:at + 12], "little")]
        size = reader.Bytes(footer, name)
        reader.parse_summary(size, name)
        summary.update(bytes=len(whole), footer_check=int.from_bytes(whole[at + 16:at + 24], "little"),
                       digest=reader.x128(whole), encoded=footer[:size.at])
        parse(whole, name, summary)
        for place in range(len(whole)) if len(whole) < 2000 else rng.sample(range(len(whole)), 1000):
            refused(lambda d: parse(d, name, summary), whole, place, rng, name)
            refused(lambda d: parse(d, name), whole, place, rng, name)  # by the checks beneath the digest
    for name, parse, magic in (("log", reader.Log, b"LORELOG1"), ("edits", None, None)):
        whole = v[name]
        for place in range(len(whole)):
            damaged = flip(whole, place, rng)
            try:
                found = reader.Log(damaged, name, magic) if magic else reader.Edits(damaged, name)
            except (reader.Damage, reader.Unsupported):
                continue
            if magic:       # only the end may be lost: close, or the promise that it covers
                assert found.records[0][3] == v["batch"], f"log: byte {place}"
            else:
                assert not found.whole or found.number == 2, f"edits: byte {place}"


def flip(data, place, rng):
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1:]


def refused(parse, whole, place, rng, name):
    try:
        parse(flip(whole, place, rng))
    except (reader.Damage, reader.Unsupported):
        return
    raise AssertionError(f"{name}: byte {place} was changed, and nothing noticed (seed {SEED})")


# ---- stores ----

def run(*command):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LORE_") and k != "XDG_CONFIG_HOME"}
    kept["HOME"] = os.getcwd()
    done = subprocess.run(command, capture_output=True, env=kept, timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr.decode()}")
    return done.stdout


def read(path):
    store = reader.Store(path)
    store.check_references()
    return store, ("\n".join(reader.dump_lines(store, store.content())) + "\n").encode()


def same(mine, theirs, what):
    if mine == theirs:
        return
    for number, (a, b) in enumerate(zip(mine.splitlines(), theirs.splitlines()), 1):
        if a != b:
            raise AssertionError(f"{what}: line {number}\nreader: {a[:300]!r}\nlore:   {b[:300]!r}")
    raise AssertionError(f"{what}: {len(mine)} bytes, `lore dump` has {len(theirs)}")


def check_store(lore, maker, path, seed, operations, *options):
    run(maker, path, str(seed), str(operations), *options)
    store, mine = read(path)   # before lore opens it: opening may recover, flush or compact
    same(mine, run(lore, "dump", "--canonical", "--db", path), f"store of seed {seed}")
    print(f"seed {seed}: " + ", ".join(f"{n} {what}" for what, n in sorted(store.counts.items())))
    return store, mine


def check_everything_there(store):
    counts = store.counts
    for what in ("table", "blob", "rows", "levels", "log entries", "range deletes"):
        assert counts[what] > 0, f"the store has no {what}: it proves less than it should"
    assert counts["levels"] >= 2 and store.snapshots and store.ranges
    kinds = {e[2] for e in store.entries}
    assert kinds >= {1, 2, 4, 5, 7}, kinds


def check_log_ends(lore, path, mine):
    """Bytes behind the last record are cut; a record changed beneath a promise is damage."""
    shutil.copytree(path, "damaged")
    log = last_log("damaged")
    promised = reader.Log(reader.read_file(log), log, b"LORELOG1")
    first = promised.records[0][0] + 24
    assert promised.promised > first, "nothing is promised in the last log"
    with open(log, "r+b") as file:
        file.seek(first)
        file.write(b"\xff\xfe\xfd")
    try:
        read("damaged")
    except reader.Damage:
        pass
    else:
        raise AssertionError("damage beneath a promise was not noticed")
    code = subprocess.run([lore, "dump", "--db", "damaged"], capture_output=True, timeout=60).returncode
    assert code != 0, "lore opened a log that is damaged beneath a promise"

    log = last_log(path)
    end = reader.Log(reader.read_file(log), log, b"LORELOG1").end
    with open(log, "r+b") as file:
        file.seek(end)
        file.write(b"\x01" * 100)
    same(read(path)[1], mine, "store with a torn tail")
    run(lore, "put", "--db", path, "--id", "after the tail", "text")
    store, _ = read(path)
    assert any(q["kind"] == 2 and q["offset"] == end and q["bytes"] == 100 and
               os.path.getsize(os.path.join(store.dir, q["file"].decode())) == 100 for q in store.quarantine), \
        store.quarantine


def check_newest_log(lore, path):
    """Of a store that was closed: its newest log, cut between two records or gone, is no crash's work."""
    log = last_log(path)
    whole = reader.Log(reader.read_file(log), log, b"LORELOG1")
    assert whole.closed and len(whole.records) >= 3, "the newest log of a closed store holds too little"
    for length in [offset for offset, _, _, _ in whole.records] + [None]:
        shutil.rmtree("cut", ignore_errors=True)
        shutil.copytree(path, "cut")
        if length is None:
            os.unlink(last_log("cut"))
        else:
            os.truncate(last_log("cut"), length)
        try:
            read("cut")
        except reader.Damage:
            pass
        else:
            raise AssertionError(f"the newest log was cut at {length}, and the reader did not notice")
        done = subprocess.run([lore, "verify", "--db", "cut"], capture_output=True, timeout=60)
        assert done.returncode == 5, (length, done)


def last_log(path):
    logs = reader.numbered(os.path.join(path, "g-000001"), "log-", 10)
    return logs[max(logs)]


def check_later_versions(lore, path):
    """Files of a later version are refused and stay as they are."""
    for what, pattern, place, check in (("segment", r".*\.table", 12, 120), ("log", "log-.*", 8, 152),
                                        ("edits", "edits-.*", 8, 152)):
        shutil.rmtree("later", ignore_errors=True)
        shutil.copytree(path, "later")
        folder = os.path.join("later", "g-000001")
        file = os.path.join(folder, max(name for name in os.listdir(folder) if re.fullmatch(pattern, name)))
        data = bytearray(reader.read_file(file))
        data[place:place + 4] = (2).to_bytes(4, "little")
        data[check:check + 8] = reader.u64_bytes(reader.x64(bytes(data[:check])))
        if what == "log":   # one that has just begun, behind the last
            before = reader.Log(reader.read_file(file), file, b"LORELOG1")
            data[56:64] = reader.u64_bytes(before.number + 1)
            data[152:160] = reader.u64_bytes(reader.x64(bytes(data[:152])))
            data, file = data[:160], os.path.join(folder, f"log-{before.number + 1:010d}")
        with open(file, "wb") as out:
            out.write(data)
        try:
            read("later")
        except reader.Unsupported:
            pass
        else:
            raise AssertionError(f"a {what} of a later version was read")
        done = subprocess.run([lore, "dump", "--db", "later"], capture_output=True, timeout=60)
        assert done.returncode != 0 and b"LORE_UNSUPPORTED" in done.stderr, (what, done)
        assert reader.read_file(file) == data, f"a {what} of a later version was changed"


def check_backup(lore, path, mine):
    run(lore, "backup", "--db", path, "--to", "backups", "--name", "one", "--copy")
    manifest = reader.check_manifest("backups/one")
    store, backed_up = read("backups/one")
    same(backed_up, mine, "backup")
    trailer = backed_up.decode().splitlines()[-1]
    assert store.facts["sealed"] and manifest["content_digest"] in trailer, (manifest["content_digest"], trailer)
    run(lore, "restore", "one", "--from", "backups", "--target-path", "restored")
    same(read("restored")[1], mine, "restored store")


def check_flips(path, mine, count):
    """A byte changed anywhere in a store that was closed: refused, or without meaning."""
    rng = random.Random(SEED)
    files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names
             if name not in ("catalog.mdb", "RESERVE", "LOCK")]
    sizes = [os.path.getsize(file) for file in files]
    noticed = 0
    for _ in range(count):
        file = rng.choices(files, sizes)[0] if rng.random() < 0.6 else rng.choice(files)
        whole = reader.read_file(file)
        place = rng.randrange(len(whole.rstrip(b"\0")))
        with open(file, "wb") as out:
            out.write(flip(whole, place, rng))
        try:
            found = read(path)[1]
        except (reader.Damage, reader.Unsupported):
            noticed += 1
        else:
            assert found == mine, f"{file}: byte {place} was changed, and the content with it (seed {SEED})"
        with open(file, "wb") as out:
            out.write(whole)
    assert noticed > count * 3 // 4, noticed


def main():
    with open(sys.argv[1]) as file:
        page = vectors(file.read())
    check_vectors(page)
    check_refusals(page)
    print(f"{len(page)} vectors")
    if len(sys.argv) < 4:
        return
    lore, maker = os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3])
    folder = tempfile.mkdtemp(prefix="lore-format-")
    try:
        os.chdir(folder)
        store, _ = check_store(lore, maker, "large", SEED, 3000)
        check_everything_there(store)
        check_later_versions(lore, "large")
        run(maker, "killed", str(SEED + 1), "400", "--kill")
        check_log_ends(lore, "killed", read("killed")[1])
        check_store(lore, maker, "killed again", SEED + 1, 400, "--kill")
        _, mine = check_store(lore, maker, "small", SEED + 2, 120)
        same(read("small")[1], mine, "small store, opened again")
        run(lore, "put", "--db", "small", "--id", "newest", "text")
        _, mine = read("small")
        check_newest_log(lore, "small")
        check_flips("small", mine, 60)
        check_backup(lore, "large", read("large")[1])
        run(lore, "compact", "--db", "large")
        store, mine = read("large")
        same(mine, run(lore, "dump", "--canonical", "--db", "large"), "compacted store")
        groups = [s["summary"]["groups"] for s in store.segments]
        assert any(len(group) > 1 for group in groups), "no value file was rewritten: it proves less than it should"
    finally:
        os.chdir("/")
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
