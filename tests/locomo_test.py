#!/usr/bin/env python3
"""Real conversations with real embeddings go into a store and come out again. Standard library only.

Usage: locomo_test.py LORE

Six long conversations (the folder locomo6: turns.jsonl, questions.jsonl, and both embedded as .f16bin) are
imported once, by `lore import`. Everything that is then asked of the store is computed a second time here, from the files
themselves: dates, speakers and sessions of every turn, what chat-history and filters give, and the nearest
neighbours of twenty questions by brute force. The store is dumped, loaded, backed up, restored, and its backup damaged.

LORE_DATA names the folder that holds locomo6, else ../shared/data beside the source. Without it: exit status 77.
"""
import array
import base64
import datetime
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from operator import mul

SPACE = "use512"
QUESTIONS_ASKED = 20
NEIGHBOURS = 10
DISTANCE_ERROR_MAX = 1e-5
SKIPPED = 77

LORE = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.path.join(os.path.abspath(os.environ.get("LORE_DATA", os.path.join(ROOT, "..", "shared", "data"))), "locomo6")
TURNS, TURN_VECTORS = os.path.join(DATA, "turns.jsonl"), os.path.join(DATA, "turns.use512.f16bin")
QUESTION_VECTORS = os.path.join(DATA, "questions.use512.f16bin")


def run(*args, code=0, stdin=None):
    """Run lore; fail unless it ends with `code`. What it wrote to stdout."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("LORE_") and k != "XDG_CONFIG_HOME"}
    env["HOME"] = os.getcwd()
    done = subprocess.run([LORE, *args], input=stdin, capture_output=True, env=env, timeout=120)
    assert done.returncode == code, (f"lore {' '.join(args)}: exit {done.returncode}, not {code}\n"
                                     f"stdout: {done.stdout[-2000:]!r}\nstderr: {done.stderr[-2000:]!r}")
    return done.stdout


def ask(*args):
    return json.loads(run(*args, "--json"))


def found(*args):
    """The ids that a search gives, all of them unless the arguments say a limit."""
    limit = () if "--limit" in args else ("--limit", "0")
    return [r["id"] for r in ask("search", *args, *limit)["results"]]


def history(*args):
    return [t["id"] for t in ask("chat-history", *args)["turns"]]


def same(got, want, what):
    """Long lists that differ are shown where they first do."""
    if got == want:
        return
    at = next((i for i, (g, w) in enumerate(zip(got, want)) if g != w), min(len(got), len(want)))
    raise AssertionError(f"{what}: {len(got)} and {len(want)} wanted; at {at}: {got[at:at + 3]} and {want[at:at + 3]}")


class Turn:
    """What a line of turns.jsonl says, worked out without Lore."""

    def __init__(self, line, number):
        raw = json.loads(line)
        day, place = raw["id"].split(":")
        self.row, self.conversation, self.text = number, raw["conv"], raw["text"]
        self.id = f"{raw['conv']}/{raw['id']}"
        self.session, self.position = f"{raw['conv']}/{day}", int(place) - 1
        self.speaker = raw["text"].split(":")[0]
        # Turns of a session share its date; import keeps them in order, a microsecond apart.
        date = datetime.datetime.strptime(raw["date"], "%I:%M %p on %d %B, %Y")
        self.created = (date + datetime.timedelta(microseconds=self.position)).isoformat(timespec="microseconds") + "Z"

    def agrees(self, record):
        want = {"id": self.id, "text": self.text, "kind": "dialogue", "session_id": self.session,
                "position": self.position, "role": self.speaker, "created_at": self.created,
                "tags": [self.conversation]}
        got = {key: record.get(key) for key in want}
        assert got == want, f"{got}\nand wanted\n{want}"
        assert "metadata" not in record


class Vectors:
    """An .f16bin: u32 count, u32 dimensions, then the rows."""

    def __init__(self, path):
        with open(path, "rb") as f:
            raw = f.read()
        self.count, self.dimensions = struct.unpack_from("<II", raw)
        size = 2 * self.dimensions
        assert len(raw) == 8 + self.count * size, path
        self.raw = [raw[8 + i * size:8 + (i + 1) * size] for i in range(self.count)]

    def row(self, i):
        return array.array("d", struct.unpack(f"<{self.dimensions}e", self.raw[i]))


# ---- the checks, in order; they share one store, which only the last ones replace ----

def check_import(turns):
    run("init")
    told = ask("import", TURNS, "--format", "locomo", "--embeddings", TURN_VECTORS, "--space", SPACE)
    assert told["imported"] == len(turns) and told["bad"] == 0 and told["existing"] == 0, told
    status = ask("status")
    assert status["memories"] == len(turns)
    assert [(s["name"], s["dimensions"], s["element"], s["metric"]) for s in status["spaces"]] == [
        (SPACE, 512, "f16", "cosine")], status["spaces"]
    again = ask("import", TURNS, "--embeddings", TURN_VECTORS, "--space", SPACE)
    assert again["imported"] == 0 and again["existing"] == len(turns) and again["format"] == "locomo", again


def check_every_record(turns, vectors):
    """Each turn with all its fields and the very bytes of its embedding, once each, by id."""
    lines = run("dump", "--canonical").splitlines()
    records = [json.loads(line) for line in lines[1:-1]]
    by_id = {turn.id: turn for turn in turns}
    same([r["id"] for r in records], sorted(by_id, key=lambda i: i.encode()), "ids of the dump")
    for record in records:
        turn = by_id[record["id"]]
        turn.agrees(record)
        assert [e["space"] for e in record["embeddings"]] == [SPACE]
        assert base64.b64decode(record["embeddings"][0]["data"]) == vectors.raw[turn.row], record["id"]
    digest = hashlib.sha256(b"".join(line + b"\n" for line in lines[1:-1])).hexdigest()
    assert json.loads(lines[-1]) == {"type": "trailer", "records": len(turns), "entries": 0,
                                     "digest": "sha256:" + digest}


def check_get(turns, vectors):
    for turn in turns[::len(turns) // 8]:
        record = ask("get", turn.id, "--embeddings", "--no-access")
        turn.agrees(record)
        assert base64.b64decode(record["embeddings"][0]["data"]) == vectors.raw[turn.row]
    run("get", "conv-26/D99:1", code=4)


def check_chat_history(turns):
    sessions = {}
    for turn in turns:
        sessions.setdefault(turn.session, []).append(turn)
    for session, held in list(sessions.items())[::10]:
        held.sort(key=lambda t: t.position)
        ids = [t.id for t in held]
        same(history("--session", session, "--limit", "0"), ids, session)
        same(history("--session", session), ids[-20:], f"the last turns of {session}")
        same(history("--session", session, "--limit", "3"), ids[-3:], f"the last three of {session}")
        speaker = held[0].speaker
        spoken = [t.id for t in held if t.speaker == speaker]
        same(history("--session", session, "--role", speaker, "--limit", "0"), spoken, f"{speaker} in {session}")
        same(history("--session", session, "--role", speaker, "--limit", "2"), spoken[-2:], f"{speaker}'s last two")
        middle = held[len(held) // 2].created
        same(history("--session", session, "--since", middle, "--limit", "0"),
             [t.id for t in held if t.created >= middle], f"{session} since {middle}")
    by_time = sorted(turns, key=lambda t: (t.created, t.row))
    same(history(), [t.id for t in by_time[-20:]], "the last turns of all")
    same(history("--limit", "200"), [t.id for t in by_time[-200:]], "the last 200 turns")
    since = "2023-10-01"
    same(history("--since", since, "--limit", "0"), [t.id for t in by_time if t.created >= since], "since October")
    same(history("--since", since, "--role", "Tim", "--limit", "5"),
         [t.id for t in by_time if t.created >= since and t.speaker == "Tim"][-5:], "Tim since October")
    assert ask("chat-history", "--session", "conv-26/D99") == {"turns": [], "count": 0}


def check_filters(turns):
    def expect(condition, *args):
        want = [t.id for t in turns if condition(t)]
        assert want, args
        same(found(*args), want, " ".join(args))
    for speaker in sorted({t.speaker for t in turns}):
        expect(lambda t: t.speaker == speaker, "--role", speaker)
    for conversation in sorted({t.conversation for t in turns}):
        expect(lambda t: t.conversation == conversation, "--tag", conversation)
    expect(lambda t: True, "--kind", "dialogue")
    expect(lambda t: t.session == "conv-41/D7", "--session", "conv-41/D7")
    expect(lambda t: "2023-06-01" <= t.created < "2023-07-01", "--since", "2023-06-01", "--until", "2023-07-01")
    expect(lambda t: t.conversation == "conv-43" and t.speaker == "John" and t.created >= "2023-12-01",
           "--tag", "conv-43", "--role", "John", "--since", "2023-12-01")
    expect(lambda t: "guitar" in t.text, "guitar")
    expect(lambda t: "piano" in t.text.lower(), "PIANO", "--ignore-case")
    expect(lambda t: "concert" in t.text and t.speaker == "Tim", "concert", "--role", "Tim")
    assert found("--role", "Nobody") == [] and found("--kind", "fact") == [] and found("no such words here") == []
    newest = sorted((t for t in turns if t.speaker == "Gina"), key=lambda t: t.created, reverse=True)
    same(found("--role", "Gina", "--order", "newest", "--limit", "7"), [t.id for t in newest[:7]], "Gina, newest first")


def nearest(question, base, norms, among):
    """Exact cosine distances, best first; equal ones in the order of writing."""
    norm = sum(map(mul, question, question)) ** 0.5
    distances = [(1.0 - sum(map(mul, question, base[i])) / (norm * norms[i]), i) for i in among]
    return sorted(distances)


def agree(hits, want, turns, what):
    """Same turns in the same order. Where two distances lie closer than single precision tells apart, either
    may come first, so order is asked of those that it can tell apart."""
    assert len(hits) == min(NEIGHBOURS, len(want)), (what, len(hits))
    assert [h["distance"] for h in hits] == sorted(h["distance"] for h in hits), what
    exact = 0
    for hit, (distance, row) in zip(hits, want):
        assert abs(hit["distance"] - distance) <= DISTANCE_ERROR_MAX, (what, hit["id"], hit["distance"], distance)
        near = {turns[r].id for d, r in want[:NEIGHBOURS + 4] if abs(d - distance) < 1e-6}
        assert hit["id"] in near, (what, hit["id"], turns[row].id)
        exact += len(near) == 1
    assert len({h["id"] for h in hits}) == len(hits), what
    return exact


def check_nearest(turns, vectors):
    questions = Vectors(QUESTION_VECTORS)
    base = [vectors.row(i) for i in range(vectors.count)]
    norms = [sum(map(mul, v, v)) ** 0.5 for v in base]
    everyone, told_apart, asked = range(len(turns)), 0, 0
    speakers = sorted({t.speaker for t in turns})
    for q in range(QUESTIONS_ASKED):
        question = questions.row(q)
        asking = ["search", "--vector", f"{QUESTION_VECTORS}#{q}", "--space", SPACE, "--limit", str(NEIGHBOURS)]
        want = nearest(question, base, norms, everyone)
        told_apart += agree(ask(*asking)["results"], want, turns, f"question {q}")
        speaker = speakers[q % len(speakers)]  # the filter goes before the ranking, so ten still come
        spoken = [(d, i) for d, i in want if turns[i].speaker == speaker]
        told_apart += agree(ask(*asking, "--role", speaker)["results"], spoken, turns, f"question {q} of {speaker}")
        asked += 2 * NEIGHBOURS
    assert told_apart > asked * 0.95, f"only {told_apart} of {asked} neighbours are told apart by their distance"
    turn = turns[1000]
    want = [w for w in nearest(base[1000], base, norms, everyone) if w[1] != 1000]
    agree(ask("search", "--like", turn.id, "--limit", str(NEIGHBOURS))["results"], want, turns, "like " + turn.id)


def check_dump_load(turns):
    first = run("dump", "--canonical")
    run("load", "--db", "copy", stdin=first)
    assert run("dump", "--canonical", "--db", "copy") == first, "dump, load, dump differ"
    checked = ask("verify", "--db", "copy")
    assert checked["ok"] and checked["memories"] == len(turns) and checked["warnings"] == 0, checked
    run("compact", "--db", "copy")
    assert run("dump", "--canonical", "--db", "copy") == first, "compacting changed the content"
    shutil.rmtree("copy")


def check_verify(turns):
    checked = ask("verify")
    assert checked["ok"] and checked["memories"] == len(turns) and checked["warnings"] == 0, checked


def check_backup(turns):
    content = run("dump", "--canonical")
    run("backup", "--copy", "--to", "backups", "--name", "whole")
    backup = os.path.join("backups", "whole")
    checked = ask("verify", backup)
    assert checked["ok"] and checked["memories"] == len(turns), checked
    told = ask("restore", "whole", "--from", "backups", "--target-path", "restored")
    assert told["restored"] and told["records"] == len(turns), told
    assert run("dump", "--canonical", "--db", "restored") == content, "what was restored differs"
    assert ask("verify", "--db", "restored")["ok"]
    shutil.rmtree("restored")
    # Any byte of any file: the first, one in the middle, the last.
    flipped = 0
    for folder, _, names in os.walk(backup):
        for path in (os.path.join(folder, name) for name in sorted(names)):
            size = os.path.getsize(path)
            os.chmod(path, 0o600)
            for at in sorted({0, size // 2, size - 1}) if size > 0 else ():
                flip(path, at)
                told = json.loads(run("verify", backup, "--json", code=5))
                assert told["ok"] is False and told["damaged"] > 0, (path, at, told)
                assert any(f.get("file") == os.path.relpath(path, backup) for f in told["findings"]), (path, at, told)
                flip(path, at)
                flipped += 1
    assert flipped > 12, flipped
    flip(path, 0)
    run("restore", "whole", "--from", "backups", "--target-path", "damaged", code=5)
    assert not os.path.exists(os.path.join("damaged", "CURRENT"))
    flip(path, 0)
    assert ask("verify", backup)["ok"]


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))


def main():
    if not os.path.exists(TURNS):
        print(f"skipped: {DATA} is absent (LORE_DATA names the folder that holds it)")
        sys.exit(SKIPPED)
    with open(TURNS, encoding="utf-8") as f:
        turns = [Turn(line, i) for i, line in enumerate(f)]
    vectors = Vectors(TURN_VECTORS)
    assert vectors.count == len(turns) == 3435 and vectors.dimensions == 512
    place = tempfile.mkdtemp(prefix="lore-locomo-")
    os.chdir(place)
    try:
        for check, args in ((check_import, (turns,)), (check_every_record, (turns, vectors)),
                            (check_get, (turns, vectors)), (check_chat_history, (turns,)), (check_filters, (turns,)),
                            (check_nearest, (turns, vectors)), (check_verify, (turns,)),
                            (check_dump_load, (turns,)), (check_backup, (turns,))):
            start = time.monotonic()
            check(*args)
            print(f"ok   {check.__name__[6:]} ({time.monotonic() - start:.1f} s)")
    finally:
        os.chdir("/")
        shutil.rmtree(place, ignore_errors=True)


main()
