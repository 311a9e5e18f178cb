#!/usr/bin/env python3
"""Every verb of `lore` as a user meets it: output, errors, exit codes. Standard library only.

Usage: cli_test.py LORE SOURCE_ROOT [TEST]...
Each test gets an empty directory. LORE_DATA names the folder of real data for the tests that want it;
they are skipped, and say so, where it is absent.
"""
import base64
import csv
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
import cli_errors
from cli_support import (LORE, ROOT, SAMPLE, Skip, dump, environment, fails, ids, jrun, run, sample_store,
                         wait_for_writer, write)


# ---- help, version, configuration ----

def test_help_and_version():
    out, _ = run("--help")
    for verb in ("init", "put", "get", "delete", "import", "dump", "load", "backup", "list-snapshots", "restore",
                 "verify", "compact", "status", "stats", "search", "chat-history", "wal-dump", "config", "selftest"):
        assert f"  {verb} ".encode() in out, verb
        text, _ = run(verb, "--help")
        assert b"Usage: lore " + verb.encode() in text and b"Exit codes:" in text
        assert text == run("help", verb)[0]
        assert b"Examples:" in text, verb
    assert run("--version")[0] == run("version")[0]
    assert jrun("version")["version"]
    for shell in ("bash", "zsh", "fish"):
        assert b"chat-history" in run("completion", shell)[0]
    fails("completion", "tcsh", code=2, name="LORE_INVALID")
    assert "search" in jrun("help")["help"] and "lore" in jrun("completion", "bash")["script"]
    subprocess.run(["bash", "-n"], input=run("completion", "bash")[0], check=True)


def test_man_pages():
    run("man", "pages")
    pages = os.listdir("pages")
    assert "lore.1" in pages and "lore-put.1" in pages
    assert b".SH EXAMPLES" in open("pages/lore-put.1", "rb").read()
    run("man", "pages", "lore.1", code=2)


def test_usage_errors():
    error = fails("serach", code=2, name="LORE_INVALID")
    assert "search" in error["message"]
    error = fails("search", "--limt", "5", code=2, name="LORE_INVALID")
    assert "--limit" in error["message"]
    fails(code=2, name="LORE_INVALID")
    fails("get", code=2, name="LORE_INVALID")
    fails("put", "a", "b", code=2, name="LORE_INVALID")
    fails("put", "a", "--id", code=2, name="LORE_INVALID")
    fails("put", "a", "--id", "1", "--id", "2", code=2, name="LORE_INVALID")
    fails("search", "--since", "someday", code=2, name="LORE_INVALID")
    fails("search", "--limit", "many", code=2, name="LORE_INVALID")
    fails("status", "--progress", "dots", code=2, name="LORE_INVALID")


def test_no_store():
    for args in (("status",), ("put", "x"), ("get", "x"), ("dump", "-o", "d"), ("search", "x"), ("verify",), ("compact",),
                 ("stats",), ("chat-history",), ("wal-dump",), ("backup",), ("delete", "x"), ("import", SAMPLE)):
        error = fails(*args, code=10, name="LORE_NO_STORE")
        assert args[0] == "wal-dump" or "init" in error["next"], error
    assert not os.path.exists("memory")


def test_configuration():
    assert jrun("config", "get", "memory_path")["value"] == "./memory"
    write("lore.conf", "# a comment\nmemory_path = \"from file\"\nlock_timeout = 5s\nunheard = 1\nmetrics_port = 8000\n")
    out, err = run("config", "show", "--origin", "--json")
    shown = json.loads(out)
    assert shown["memory_path"] == {"value": "from file", "origin": "file ./lore.conf:2"}
    assert shown["backup_path"]["origin"] == "default"
    assert b"unheard" in err and b"metrics_port" not in err
    env = environment(LORE_MEMORY_PATH="from env")
    assert jrun("config", "get", "memory_path", env=env)["value"] == "from env"
    got = jrun("config", "get", "memory_path", "--db", "from flag", env=env)
    assert got["value"] == "from flag" and got["origin"].startswith("flag")
    got = jrun("--memory-path", "before", "config", "get", "memory_path", env=env)
    assert got["value"] == "before"
    write("other.conf", "memory_budget = 8MiB\n")
    got = jrun("config", "show", "--config", "other.conf")
    assert got["memory_budget"] == "8MiB" and got["memory_path"] == "./memory"
    fails("config", "get", "nothing", code=4, name="LORE_NOT_FOUND")
    fails("config", "frobnicate", code=2, name="LORE_INVALID")
    fails("config", "show", "--config", "absent.conf", code=2, name="LORE_INVALID")
    fails("status", "--memory-budget", "lots", code=2, name="LORE_INVALID")
    write("bad.conf", "just words\n")
    error = fails("config", "show", "--config", "bad.conf", code=2, name="LORE_INVALID")
    assert "bad.conf:1" in error["message"]


# ---- one memory ----

def test_init():
    assert jrun("init") == {"path": "./memory", "created": True}
    error = fails("init", code=1, name="LORE_EXISTS")
    assert "status" in error["next"]
    run("init", "--space", "name=s,dims=8,element=f16,metric=dot,model=m")
    assert jrun("status")["spaces"] == [
        {"name": "s", "dimensions": 8, "element": "f16", "metric": "dot", "model": "m"}]
    run("init", "--space", "name=s,dims=8,element=f16,metric=dot,model=m")
    fails("init", "--space", "name=s,dims=9", code=1, name="LORE_EXISTS")
    for bad in ("s", "name=s", "dims=8", "name=s,dims=0", "name=s,dims=4097", "name=s,dims=8,element=f64",
                "name=s,dims=8,size=1"):
        fails("init", "--db", "other", "--space", bad, code=2, name="LORE_INVALID")
    assert not os.path.exists("other")


def test_put_get():
    run("init")
    made = run("put", "The user prefers trains.")[0].decode().strip()
    assert len(made) == 36
    assert jrun("get", made)["text"] == "The user prefers trains."
    run("put", "--text", "words", "--id", "m1", "--kind", "fact", "--layer", "semantic", "--tier", "warm",
        "--status", "archived", "--user", "u", "--agent", "a", "--session", "s", "--role", "r", "--tag", "t1",
        "--tag", "t2", "--importance", "0.7", "--created", "2024-05-01T12:00:00.000001Z", "--expires", "never",
        "--metadata", '{"a": 1.10,  "b":"\u00fc"}', "--position", "7")
    got = jrun("get", "m1", "--no-access")
    want = {"id": "m1", "text": "words", "kind": "fact", "layer": "semantic", "tier": "warm", "status": "archived",
            "user_id": "u", "agent_id": "a", "session_id": "s", "role": "r", "tags": ["t1", "t2"],
            "importance_score": 0.7, "created_at": "2024-05-01T12:00:00.000001Z", "position": 7,
            "metadata": '{"a": 1.10,  "b":"\u00fc"}'}
    for key, value in want.items():
        assert got[key] == value, (key, got)
    assert jrun("put", "--id", "m1", "--update", "--importance", "0.9")["result"] == "updated"
    got = jrun("get", "m1", "--no-access")
    assert got["importance_score"] == 0.9 and got["text"] == "words" and got["tags"] == ["t1", "t2"]
    run("put", "--stdin", "--id", "m2", stdin="from stdin\n")
    assert jrun("get", "m2")["text"] == "from stdin\n"
    run("put", "-", "--id", "m3", stdin=b"raw \xff bytes \x00")
    assert base64.b64decode(jrun("get", "m3")["text_b64"]) == b"raw \xff bytes \x00"
    run("put", "new words", "--id", "m1")
    assert "tags" not in jrun("get", "m1")
    out, _ = run("get", "m1", "m2")
    assert b"new words" in out and b"from stdin" in out
    fails("put", "x", "--id", "m1", "--insert", code=1, name="LORE_EXISTS")
    fails("put", "--id", "nope", "--update", "--kind", "k", code=4, name="LORE_NOT_FOUND")
    fails("put", "x", "--update", code=2, name="LORE_INVALID")
    fails("put", code=2, name="LORE_INVALID")
    fails("put", "x", "--importance", "1.5", code=2, name="LORE_INVALID")
    fails("put", "x", "--importance", "much", code=2, name="LORE_INVALID")
    fails("put", "x", "--read-only", code=2, name="LORE_INVALID")
    fails("get", "nope", code=4, name="LORE_NOT_FOUND")
    fails("get", "m1", "nope", code=3, name="LORE_NOT_FOUND")


def test_access_counts():
    run("init")
    run("put", "x", "--id", "m")
    run("get", "m")
    run("get", "m")
    run("get", "m", "--no-access")
    run("get", "m", "--read-only")
    assert jrun("get", "m", "--no-access")["access_count"] == 2


def test_embeddings():
    run("init", "--space", "name=v,dims=4,element=f32", "--space", "name=i,dims=4,element=int8,metric=l2",
        "--space", "name=b,dims=16,element=binary")
    write("v.json", "[1, 2.5, -3, 0]")
    write("v.raw", struct.pack("<4f", 0, 1, 0, 0))
    header = b"{'descr': '<f2', 'fortran_order': False, 'shape': (2, 4), }".ljust(117) + b"\n"
    write("v.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack("<8e", *range(8)))
    write("b.raw", b"\x01\x80")
    run("put", "a", "--id", "a", "--embedding", "v=v.json", "--embedding", "i=v.npy#1", "--embedding", "b=b.raw")
    run("put", "b", "--id", "b", "--embedding", "v=v.raw")
    run("put", "c", "--id", "c", "--embedding", "v=v.npy#1")
    got = jrun("get", "a", "--embeddings")["embeddings"]
    assert [e["space"] for e in got] == ["b", "i", "v"]
    data = {e["space"]: base64.b64decode(e["data"]) for e in got}
    assert struct.unpack("<4f", data["v"]) == (1, 2.5, -3, 0) and data["i"] == bytes([4, 5, 6, 7])
    assert data["b"] == b"\x01\x80"
    assert "embeddings" not in jrun("get", "a")
    near = jrun("search", "--vector", "v.raw", "--space", "v")
    assert ids(near)[0] == "b" and abs(near["results"][0]["distance"]) < 1e-6 and near["count"] == 3
    assert ids(jrun("search", "--like", "b", "--space", "v")) == ["a", "c"]
    fails("search", "--like", "b", code=2, name="LORE_INVALID")
    fails("search", "--like", "nope", "--space", "v", code=4, name="LORE_NOT_FOUND")
    fails("search", "--vector", "v.raw", "--space", "w", code=4, name="LORE_NOT_FOUND")
    fails("search", "--vector", "b.raw", "--space", "v", code=2, name="LORE_INVALID")
    fails("search", "--vector", "absent", "--space", "v", code=2, name="LORE_INVALID")
    fails("search", "--vector", "v.raw", "--like", "a", code=2, name="LORE_INVALID")
    fails("search", "--space", "v", code=2, name="LORE_INVALID")
    fails("put", "x", "--embedding", "w=v.raw", code=4, name="LORE_NOT_FOUND")
    fails("put", "x", "--embedding", "v=v.npy#2", code=2, name="LORE_INVALID")
    fails("put", "x", "--embedding", "i=v.json", code=2, name="LORE_INVALID")
    run("dump", "--format", "npy", "--space", "v", "--output", "out.npy")
    data = open("out.npy", "rb").read()
    assert data[:8] == b"\x93NUMPY\x01\x00" and b"'shape': (3, 4)" in data[:128] and len(data) == 128 + 48
    assert struct.unpack("<4f", data[128:144]) == (1, 2.5, -3, 0)
    fails("dump", "--format", "npy", "--space", "v", code=2, name="LORE_INVALID")
    fails("dump", "--format", "npy", "--space", "w", "--output", "w.npy", code=4, name="LORE_NOT_FOUND")
    assert not os.path.exists("w.npy") and not os.path.exists("w.npy.tmp")


def test_delete():
    run("init")
    for i in range(9):
        run("put", f"text {i}", "--id", f"m{i}", "--kind", "even" if i % 2 == 0 else "odd")
    assert jrun("delete", "m0", "m1", "--dry-run")["would_delete"] == 2
    assert jrun("delete", "m0")["deleted"] == 1
    fails("delete", "m0", code=4, name="LORE_NOT_FOUND")
    fails("delete", "m0", "m2", code=3, name="LORE_NOT_FOUND")
    assert jrun("delete", "--kind", "even", "--dry-run")["would_delete"] == 3
    assert jrun("status")["memories"] == 7
    assert jrun("delete", "--kind", "even")["deleted"] == 3
    assert ids(jrun("search", "--limit", "0")) == ["m1", "m3", "m5", "m7"]
    fails("delete", code=2, name="LORE_INVALID")
    fails("delete", "m1", "--kind", "odd", code=2, name="LORE_INVALID")
    assert jrun("delete", "--all")["deleted"] == 4


# ---- import, search, chat ----

def test_import_sample():
    assert sample_store()["imported"] == 42
    again = jrun("import", SAMPLE)
    assert again["imported"] == 0 and again["existing"] == 42
    fails("import", SAMPLE, "--existing", "fail", code=1, name="LORE_EXISTS")
    assert jrun("import", SAMPLE, "--existing", "replace")["imported"] == 42
    status = jrun("status")
    assert status["memories"] == 42
    kinds = {k["value"]: k["count"] for k in status["kinds"]}
    assert sum(kinds.values()) == 42 and kinds["dialogue"] > 20 and kinds["fact"] >= 5
    turn = jrun("get", "dolomites/2025-03-03/03", "--no-access")
    assert turn["role"] == "user" and turn["created_at"] == "2025-03-03T08:13:27.000000Z"
    assert turn["session_id"] == "dolomites/2025-03-03" and turn["position"] == 2
    assert turn["tags"] == ["travel", "preference"] and "metadata" not in turn


def test_search():
    sample_store()
    assert ids(jrun("search", "knee")) and all("knee" in r["text"] for r in jrun("search", "knee")["results"])
    assert jrun("search", "TRAINS")["count"] == 0
    assert jrun("search", "TRAINS", "--ignore-case")["count"] > 0
    found = jrun("search", "--kind", "decision", "--tag", "lodging")
    assert ids(found) == ["dolomites/2025-03-03/13", "dolomites/2025-04-02/05"]
    assert jrun("search", "--since", "2025-04-01", "--limit", "0")["count"] == 14
    assert jrun("search", "--until", "2025-03-05", "--limit", "0")["count"] == 14
    assert jrun("search", "--role", "user", "--session", "dolomites/2025-03-10", "--limit", "0")["count"] == 7
    assert jrun("search", "--user", "nobody")["count"] == 0
    assert jrun("search", "--min-importance", "0.6")["count"] == 0
    assert jrun("search", "--limit", "3")["count"] == 3
    newest = jrun("search", "--order", "newest", "--limit", "1")
    assert ids(newest) == ["dolomites/2025-04-02/14"]
    out, _ = run("search", "knee", "--limit", "2")
    assert out.startswith(b"ID\tCREATED\tROLE\tTEXT\n") and out.count(b"\n") == 3
    fails("search", "--order", "alphabet", code=2, name="LORE_INVALID")


def test_chat_history():
    sample_store()
    assert ids(jrun("chat-history", "--limit", "3"), "turns") == [f"dolomites/2025-04-02/{i}" for i in (12, 13, 14)]
    session = "dolomites/2025-03-10"
    turns = jrun("chat-history", "--session", session)
    assert turns["count"] == 14 and [t["position"] for t in turns["turns"]] == list(range(14))
    assert ids(jrun("chat-history", "--session", session, "--limit", "2"), "turns") == [f"{session}/13", f"{session}/14"]
    users = jrun("chat-history", "--session", session, "--role", "user", "--limit", "2")
    assert [t["role"] for t in users["turns"]] == ["user", "user"]
    fit = jrun("chat-history", "--session", session, "--tokens", "60")["turns"]
    assert sum((len(t["text"].encode()) + 3) // 4 for t in fit) <= 60 and fit[-1]["id"] == f"{session}/14"
    late = jrun("chat-history", "--session", session, "--since", "2025-03-10T18:45:00Z")["turns"]
    assert late and all(t["created_at"] >= "2025-03-10T18:45" for t in late)
    early = jrun("chat-history", "--session", session, "--until", "2025-03-10T18:45:00Z", "--limit", "2")["turns"]
    assert len(early) == 2 and all(t["created_at"] < "2025-03-10T18:45" for t in early)
    assert jrun("chat-history", "--session", "none")["count"] == 0
    assert jrun("chat-history", "--since", "2025-04-02", "--limit", "0")["count"] == 14
    out, _ = run("chat-history", "--limit", "1")
    assert out.startswith(b"# dolomites/2025-04-02\n2025-04-02 ") and b"assistant: Have a good autumn" in out


def test_import_jsonl():
    run("init")
    write("in.jsonl", '{"content": "by its name", "speaker": "Ann", "timestamp": 1700000000, "user": "u", '
          '"metadata": {"x": 1.10, "y":[1, 2]} , "extra": 1}\n\n'
          '{"words": "mapped", "conv": "c", "n": 5, "when": "1:56 pm on 8 May, 2023", "extra" : {"k" : 1.50}}\n')
    fails("import", "in.jsonl", code=1, name="LORE_INVALID")
    out = jrun("import", "in.jsonl", "--map", "text=words", "--map", "created_at=when", "--id-from", "conv,n",
               "--dry-run", "--skip-bad", code=3)
    assert out["would_import"] == 1 and out["bad"] == 1 and out["bad_records"][0]["line"] == 1
    run("import", "in.jsonl", "--map", "text=words", "--map", "created_at=when", "--id-from", "conv,n", "--skip-bad",
        "--set", "kind=dialogue", "--set", "tag=imported", code=3)
    got = jrun("get", "c/5")
    assert got["text"] == "mapped" and got["created_at"] == "2023-05-08T13:56:00.000000Z"
    assert got["metadata"] == '{"extra":{"k" : 1.50}}' and got["kind"] == "dialogue" and got["tags"] == ["imported"]
    run("import", "-", stdin=open("in.jsonl", "rb").read().split(b"\n")[0])
    got = jrun("search", "by its name")["results"][0]
    assert got["role"] == "Ann" and got["created_at"] == "2023-11-14T22:13:20.000000Z" and got["user_id"] == "u"
    assert got["metadata"] == '{"x": 1.10, "y":[1, 2]}'
    write("array.json", '[{"id": 1, "text": "one"}, {"id": "2", "text": "two"}]')
    assert jrun("import", "array.json") == {"format": "array", "imported": 2, "existing": 0, "bad": 0, "bad_records": []}
    assert jrun("get", "1")["text"] == "one"
    write("cut.json", '[{"id": 3, "text": "three"}, {"id": "4", "te')
    fails("import", "cut.json", code=1, name="LORE_INVALID")
    write("deep.jsonl", "[" * 100000 + "\n" + '{"text":' + "[" * 100000 + "\n")
    fails("import", "deep.jsonl", "--format", "jsonl", code=1, name="LORE_INVALID")
    write("range.jsonl", '{"id":"r1","text":"a"}\n{"id":"r2","text":"b","importance":7}\n{"id":"r3","text":"c"}\n')
    error = fails("import", "range.jsonl", code=1, name="LORE_INVALID")
    assert "line 2" in error["message"]
    assert jrun("import", "range.jsonl", "--skip-bad", code=3)["bad"] == 1
    assert jrun("get", "r3")["text"] == "c"
    for bad in (("--map", "text"), ("--map", "colour=x"), ("--set", "importance=1"), ("--format", "xml"),
                ("--existing", "maybe"), ("--space", "s"), ("--embeddings", "absent.f16bin", "--space", "s")):
        fails("import", "in.jsonl", *bad, code=2, name="LORE_INVALID")
    fails("import", "absent.jsonl", code=4, name="LORE_NOT_FOUND")
    run("dump", "--output", "d.jsonl")
    error = fails("import", "d.jsonl", code=2, name="LORE_INVALID")
    assert "load" in error["next"]


def test_import_embeddings():
    run("init")
    write("t.jsonl", "".join(json.dumps({"id": f"t{i}", "text": f"turn {i}"}) + "\n" for i in range(3)))
    write("t.f16bin", struct.pack("<II", 3, 8) + struct.pack("<24e", *range(24)))
    run("import", "t.jsonl", "--embeddings", "t.f16bin", "--space", "s", "--model", "test")
    assert jrun("status")["spaces"][0] == {"name": "s", "dimensions": 8, "element": "f16", "metric": "cosine",
                                           "model": "test"}
    data = base64.b64decode(jrun("get", "t2", "--embeddings")["embeddings"][0]["data"])
    assert struct.unpack("<8e", data) == tuple(range(16, 24))
    write("short.f16bin", struct.pack("<II", 2, 8) + struct.pack("<16e", *range(16)))
    fails("import", "t.jsonl", "--embeddings", "short.f16bin", "--space", "s", "--existing", "replace", code=1,
          name="LORE_INVALID")
    write("cut.f16bin", struct.pack("<II", 3, 8) + b"12")
    fails("import", "t.jsonl", "--embeddings", "cut.f16bin", "--space", "s", code=2, name="LORE_INVALID")
    write("wide.f16bin", struct.pack("<II", 3, 4) + bytes(24))
    fails("import", "t.jsonl", "--embeddings", "wide.f16bin", "--space", "s", code=2, name="LORE_INVALID")


def test_import_chats():
    run("init")
    node = lambda i, parent, role, text, **more: (i, {"id": i, "parent": parent, "children": [], "message": role and {
        "id": "msg-" + i, "author": {"role": role}, "create_time": 1700000000.5 + len(i),
        "content": {"content_type": "text", "parts": [text]}, **more}})
    mapping = dict([node("a", None, None, ""), node("bb", "a", "user", "Hello"),
                    node("old", "bb", "assistant", "An answer thrown away"), node("cc", "bb", "assistant", "Hi!"),
                    node("dd", "cc", "user", "")])
    circle = dict([node("a", "b", "user", "x"), node("b", "a", "user", "y")])
    write("chatgpt.json", json.dumps([
        {"title": "T", "create_time": 1.0, "mapping": mapping, "current_node": "dd", "conversation_id": "g1"},
        {"title": "broken", "conversation_id": "g2", "mapping": circle, "current_node": "a"}], indent=1))
    fails("import", "chatgpt.json", code=1, name="LORE_INVALID")
    out = jrun("import", "chatgpt.json", "--skip-bad", code=3)
    assert out["format"] == "chatgpt" and out["bad"] == 1
    turns = jrun("chat-history", "--session", "g1")["turns"]
    assert [(t["role"], t["text"], t["position"]) for t in turns] == [("user", "Hello", 0), ("assistant", "Hi!", 1)]
    assert turns[0]["id"] == "g1/msg-bb" and turns[0]["created_at"] == "2023-11-14T22:13:22.500000Z"
    assert json.loads(turns[0]["metadata"])["title"] == "T"
    write("claude.json", json.dumps([{"uuid": "c1", "name": "N", "created_at": "2024-01-02T03:04:05.678901Z",
          "chat_messages": [
              {"uuid": "m1", "sender": "human", "text": "Question", "created_at": "2024-01-02T03:04:06+00:00"},
              {"uuid": "m2", "sender": "assistant", "text": "", "content": [{"type": "text", "text": "Answer"}]}]}]))
    assert jrun("import", "claude.json")["format"] == "claude"
    turns = jrun("chat-history", "--session", "c1")["turns"]
    assert [(t["role"], t["text"]) for t in turns] == [("user", "Question"), ("assistant", "Answer")]
    assert turns[1]["created_at"] == "2024-01-02T03:04:06.000000Z"


def test_import_locomo():
    data = os.path.join(os.environ.get("LORE_DATA", os.path.join(ROOT, "..", "shared", "data")), "locomo6")
    if not os.path.exists(data):
        raise Skip(f"{data} is absent")
    run("init")
    turns = [json.loads(line) for line in open(os.path.join(data, "turns.jsonl"), encoding="utf-8")]
    out = jrun("import", os.path.join(data, "turns.jsonl"), "--embeddings", os.path.join(data, "turns.use512.f16bin"),
               "--space", "use512")
    assert out["imported"] == len(turns) and out["format"] == "locomo"
    first = jrun("get", "conv-26/D1:3", "--no-access")
    assert first["session_id"] == "conv-26/D1" and first["role"] == "Caroline" and first["position"] == 2
    assert first["created_at"] == "2023-05-08T13:56:00.000002Z" and first["tags"] == ["conv-26"]
    assert first["text"] == turns[2]["text"]
    want = [t for t in turns if t["conv"] == "conv-26" and t["id"].startswith("D1:")]
    got = jrun("chat-history", "--session", "conv-26/D1", "--limit", "0")["turns"]
    assert [t["text"] for t in got] == [t["text"] for t in want]

    def vectors(path):
        raw = open(path, "rb").read()
        n, dim = struct.unpack_from("<II", raw)
        return [struct.unpack_from(f"<{dim}e", raw, 8 + 2 * dim * i) for i in range(n)], dim
    base, dim = vectors(os.path.join(data, "turns.use512.f16bin"))
    questions = os.path.join(data, "questions.use512.f16bin")
    asked, _ = vectors(questions)
    norms = [sum(x * x for x in v) ** 0.5 for v in base]
    for q in range(5):
        norm = sum(x * x for x in asked[q]) ** 0.5
        distances = sorted((1 - sum(x * y for x, y in zip(asked[q], v)) / norm / n, i)
                           for i, (v, n) in enumerate(zip(base, norms)))[:6]
        hits = jrun("search", "--vector", f"{questions}#{q}", "--space", "use512", "--limit", "5")["results"]
        names = [f"{turns[i]['conv']}/{turns[i]['id']}" for _, i in distances]
        for hit, (distance, _), name in zip(hits, distances, names):
            assert abs(hit["distance"] - distance) < 1e-4, (hit["distance"], distance)
            assert hit["id"] == name or abs(distances[0][0] - distances[-1][0]) < 1e-4, (q, hit["id"], name)
    content = dump("--db", "memory")
    run("load", "--db", "copy", stdin=content)
    assert dump("--db", "copy") == content


# ---- dump and load ----

def rich_store():
    run("init", "--space", "name=v,dims=2", "--space", "name=a,dims=8,element=binary,model=m")
    write("v", struct.pack("<2f", 1, 2))
    write("b", b"\x0f")
    run("put", "plain", "--id", "z", "--tag", "\u00e4", "--metadata", "{}", "--importance", "0.1", "--embedding",
        "v=v", "--embedding", "a=b")
    run("put", "-", "--id", "y\u00fc", "--session", "s", "--role", "r", stdin=b"\x00\xfe\xff")
    run("put", "", "--id", "empty", "--created", "@-5.000001", "--expires", "9999-12-31T23:59:59.999999Z")
    run("put", "quote \" back\\slash\n\ttab \x01", "--id", "q", "--metadata", "not json \x7f")
    run("get", "z")


def test_dump_format():
    rich_store()
    lines = dump().decode().splitlines()
    header, records, trailer = json.loads(lines[0]), lines[1:-1], json.loads(lines[-1])
    assert list(header) == ["lore_dump", "spaces"] and [s["name"] for s in header["spaces"]] == ["a", "v"]
    full = json.loads(run("dump")[0].splitlines()[0])
    assert list(full) == ["lore_dump", "store_id", "lineage", "sequence", "spaces"]
    assert [json.loads(r)["id"] for r in records] == sorted(["z", "y\u00fc", "empty", "q"], key=lambda i: i.encode())
    digest = hashlib.sha256("".join(r + "\n" for r in records).encode()).hexdigest()
    assert trailer == {"type": "trailer", "records": 4, "entries": 0, "digest": "sha256:" + digest}
    by_id = {json.loads(r)["id"]: json.loads(r) for r in records}
    assert base64.b64decode(by_id["y\u00fc"]["text_b64"]) == b"\x00\xfe\xff"
    assert by_id["empty"]["created_at"] == "1969-12-31T23:59:54.999999Z"
    assert by_id["z"]["access_count"] == 1


def test_dump_load_dump():
    rich_store()
    first = dump()
    run("load", "--db", "copy", stdin=first)
    assert dump("--db", "copy") == first
    write("entries.jsonl", b"".join(first.splitlines(True)[:-1]))
    lines = first.splitlines(True)
    entries = [b'{"type":"entry","keyspace":%d,"key":"%s","value":"%s"}\n' % (
        k, base64.b64encode(key), base64.b64encode(value)) for k, key, value in (
            (0, b"", b"empty key"), (0, b"\x00", b""), (7, b"k" * 4096, b"v" * 5000), (7, b"l", b"x"))]
    records = lines[1:-1] + entries
    trailer = {"type": "trailer", "records": 4, "entries": 4,
               "digest": "sha256:" + hashlib.sha256(b"".join(records)).hexdigest()}
    whole = lines[0] + b"".join(records) + json.dumps(trailer, separators=(",", ":")).encode() + b"\n"
    run("load", "--db", "third", stdin=whole)
    assert dump("--db", "third") == whole
    run("dump", "--canonical", "--output", "file.jsonl", "--db", "third")
    assert open("file.jsonl", "rb").read() == whole
    result = jrun("load", "file.jsonl", "--dry-run")
    assert result["records"] == 4 and result["entries"] == 4
    fails("load", "file.jsonl", "--db", "third", code=1, name="LORE_EXISTS")
    run("load", "file.jsonl", "--db", "third", "--merge")
    assert dump("--db", "third") == whole


def test_damaged_dumps():
    rich_store()
    whole = dump()
    for size in list(range(0, len(whole), max(1, len(whole) // 40))) + [len(whole) - 1]:
        write("cut", whole[:size])
        fails("load", "cut", "--db", "never", "--dry-run", code=5, name="LORE_CORRUPTION")
        assert not os.path.exists("never")
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        if whole.index(b"\n") > at:
            continue
        write("flip", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        fails("verify", "flip", code=5, name="LORE_CORRUPTION")
    error = fails("load", "cut", "--db", "partly", code=5, name="LORE_CORRUPTION")
    assert "4 memories" in error["message"], error
    write("more", whole + b"{}\n")
    fails("verify", "more", code=5, name="LORE_CORRUPTION")
    write("new", whole.replace(b'"lore_dump":1', b'"lore_dump":2'))
    fails("verify", "new", code=5, name="LORE_CORRUPTION")
    write("whole", whole)
    assert jrun("verify", "whole")["ok"]
    fails("load", "absent", code=4, name="LORE_NOT_FOUND")


def test_dump_csv():
    rich_store()
    out, _ = run("dump", "--format", "csv")
    rows = list(csv.reader(out.decode("utf-8", "surrogateescape").replace("\0", "").splitlines(True)))
    assert rows[0][:3] == ["id", "text", "kind"] and len(rows) == 5 and all(len(r) == len(rows[0]) for r in rows)
    assert ["z", "plain"] in [r[:2] for r in rows]
    fails("dump", "--format", "xml", code=2, name="LORE_INVALID")


# ---- backup and restore ----

def test_backup_restore():
    sample_store()
    content = dump()
    run("backup", "--to", "b", "--name", "first", "--copy")
    manifest = json.load(open("b/first/MANIFEST.json"))
    assert list(manifest)[-1] == "self" and manifest["linked"] is False and manifest["records"] == 42
    lines = "".join(f"{f['path']} {f['size']} {f['sha256']}\n" for f in manifest["files"])
    assert manifest["root_digest"] == "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
    for f in manifest["files"]:
        data = open(os.path.join("b/first", f["path"]), "rb").read()
        assert f["size"] == len(data) and f["sha256"] == "sha256:" + hashlib.sha256(data).hexdigest()
    assert manifest["content_digest"] == json.loads(content.splitlines()[-1])["digest"]
    raw = open("b/first/MANIFEST.json", "rb").read()
    emptied = raw.replace(manifest["self"].encode(), b"")
    assert manifest["self"] == "sha256:" + hashlib.sha256(emptied).hexdigest()
    assert os.path.samefile(jrun("status")["last_backup"]["path"], "b/first")
    assert jrun("verify", "b/first")["ok"]
    fails("backup", "--to", "b", "--name", "first", code=1, name="LORE_EXISTS")
    for bad in ("a/b", ".hidden", "", "latest"):
        fails("backup", "--to", "b", "--name", bad, code=2, name="LORE_INVALID")
    fails("backup", "--type", "incremental", code=2, name="LORE_INVALID")

    run("delete", "--role", "user")
    changed = dump()
    fails("restore", "first", "--from", "b", code=2, name="LORE_EXISTS")
    assert dump() == changed
    would = jrun("restore", "first", "--from", "b", "--dry-run")
    assert would["restored"] is False and would["replaces"] is True and would["records"] == 42
    before = jrun("status")
    done = jrun("restore", "latest", "--from", "b", "--confirm")
    assert done["restored"] and done["replaces"]
    assert dump() == content
    after = jrun("status")
    assert after["lineage"] != before["lineage"] and after["generation"] > before["generation"]
    assert jrun("verify")["ok"]
    run("restore", "b/first", "--target-path", "elsewhere")
    assert dump("--db", "elsewhere") == content
    fails("restore", "nothing", "--from", "b", code=4, name="LORE_NOT_FOUND")
    fails("restore", "latest", "--from", "empty", code=4, name="LORE_NOT_FOUND")


def test_backup_default_name_and_links():
    sample_store()
    path = run("backup")[0].decode().strip()
    assert path.startswith("./backups/snapshot_") and len(os.path.basename(path)) == len("snapshot_YYYYMMDD_HHMMSS")
    listed = jrun("list-snapshots")["backups"]
    assert len(listed) == 1 and listed[0]["whole"]
    if listed[0]["linked"]:
        assert listed[0]["last_good"] is False and jrun("status")["last_backup"] is None
        fails("restore", "latest", "--confirm", code=4, name="LORE_NOT_FOUND")
        run("restore", listed[0]["name"], "--confirm")
    run("backup", "--name", "own", "--copy")
    listed = jrun("list-snapshots")["backups"]
    assert [b["last_good"] for b in listed if b["name"] == "own"] == [True]
    out, _ = run("list-snapshots")
    assert b"last good" in out


def test_damaged_backups():
    run("init")
    run("put", "a memory", "--id", "m")
    run("backup", "--to", "b", "--name", "good", "--copy")
    raw = open("b/good/MANIFEST.json", "rb").read()
    for at in range(0, len(raw), max(1, len(raw) // 50)):
        shutil.rmtree("b/bad", ignore_errors=True)
        shutil.copytree("b/good", "b/bad")
        write("b/bad/MANIFEST.json", raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1:])
        fails("verify", "b/bad", code=5, name="LORE_CORRUPTION")
    fails("restore", "bad", "--from", "b", "--target-path", "t", code=5, name="LORE_CORRUPTION")
    names = [f["path"] for f in json.loads(raw)["files"]]
    for name in names:
        path = os.path.join("b/bad", name)
        data = open(os.path.join("b/good", name), "rb").read()
        if not data:
            continue
        shutil.rmtree("b/bad")
        shutil.copytree("b/good", "b/bad")
        os.chmod(path, 0o600)
        write(path, data[:-1] + bytes([data[-1] ^ 1]))
        fails("verify", "b/bad", code=5, name="LORE_CORRUPTION")
        fails("restore", "bad", "--from", "b", "--target-path", "t", code=5, name="LORE_CORRUPTION")
        assert not os.path.exists("t/CURRENT")
        os.unlink(path)
        fails("verify", "b/bad", code=5, name="LORE_CORRUPTION")
    shutil.rmtree("b/bad")
    shutil.copytree("b/good", "b/bad")
    write("b/bad/stranger", b"")
    out = jrun("verify", "b/bad")
    assert out["ok"] and out["warnings"] >= 1
    write("b/bad/MANIFEST.json", b"{}")
    listed = {b["name"]: b["whole"] for b in jrun("list-snapshots", "--to", "b")["backups"]}
    assert listed == {"good": True, "bad": False}
    os.mkdir("b/unfinished")
    fails("restore", "b/unfinished", "--target-path", "t", code=5, name="LORE_CORRUPTION")


def test_restore_dump():
    sample_store()
    run("dump", "--output", "d.jsonl")
    content = dump()
    run("delete", "--all")
    fails("restore", "d.jsonl", code=2, name="LORE_EXISTS")
    run("restore", "d.jsonl", "--confirm")
    assert dump() == content
    whole = open("d.jsonl", "rb").read()
    write("cut.jsonl", whole[:len(whole) // 2])
    fails("restore", "cut.jsonl", "--confirm", code=5, name="LORE_CORRUPTION")
    assert dump() == content
    write("junk", b"hello\n")
    fails("restore", "junk", "--confirm", code=5, name="LORE_CORRUPTION")
    run("restore", "d.jsonl", "--target-path", "fresh")
    assert dump("--db", "fresh") == content


# ---- the rest ----

def test_maintenance():
    sample_store()
    content = dump()
    assert jrun("verify")["memories"] == 42
    assert jrun("validate")["ok"]
    sizes = jrun("compact")
    assert set(sizes) == {"bytes_before", "bytes_after"}
    assert dump() == content
    stats = jrun("stats")
    assert stats["last_sequence"] > 0 and stats["poisoned"] == "LORE_OK"
    out, _ = run("status")
    assert b"memories" in out and b"42" in out and b"lock_owner" in out
    assert jrun("selftest")["failed"] == 0
    log = jrun("wal-dump")
    assert log["count"] == len(log["records"])
    assert len(jrun("wal-dump", "--limit", "1")["records"]) <= 1


def test_quiet_and_progress():
    run("init", "-q")
    _, err = run("import", SAMPLE, "-q")
    assert err == b""
    _, err = run("verify", "--progress=json", "-v")
    for line in err.decode().splitlines():
        if line.startswith("{"):
            assert "progress" in json.loads(line)
    out, _ = run("search", "knee", env=environment(NO_COLOR="1"))
    assert b"\033" not in out


def test_hostile_text_on_a_terminal():
    run("init")
    run("put", "red \033[31m alert", "--id", "m")
    out, _ = run("search", "red")
    assert b"\033" not in out and b"\\x1b[31m" in out
    assert jrun("get", "m")["text"] == "red \033[31m alert"


def test_interrupt():
    run("init")
    child = subprocess.Popen([LORE, "import", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    child.stdin.write(b'{"id":"m1","text":"kept"}\n')
    child.stdin.flush()
    wait_for_writer(child)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130, (child.returncode, err)
    assert b"LORE_CANCELLED" in err
    assert jrun("verify")["ok"] and jrun("get", "m1")["text"] == "kept"


def test_beside_a_live_writer():
    run("init")
    child = subprocess.Popen([LORE, "import", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    child.stdin.write(b'{"id":"m1","text":"from the writer"}\n')
    child.stdin.flush()
    wait_for_writer(child)
    error = fails("put", "x", "--lock-timeout", "100ms", code=11, name="LORE_LOCKED")
    assert str(child.pid) in error["message"]
    assert jrun("search")["count"] == 0
    assert jrun("verify")["ok"]
    assert dump().count(b"\n") == 2
    done = subprocess.run([LORE, "backup", "--name", "live", "--copy", "--lock-timeout", "100ms"],
                          capture_output=True, env=environment())
    if done.returncode == 0:  # a read-only handle may back up what the writer has flushed
        assert jrun("verify", "backups/live")["ok"]
    else:
        assert done.returncode == 11 and b"LORE_LOCKED" in done.stderr, done
        assert not os.path.exists("backups/live")
    fails("get", "m1", code=4, name="LORE_NOT_FOUND")
    write("whole.jsonl", dump())
    fails("restore", "whole.jsonl", "--confirm", "--lock-timeout", "100ms", code=11, name="LORE_LOCKED")
    child.communicate(timeout=30)
    assert child.returncode == 0
    assert jrun("get", "m1")["text"] == "from the writer"


def main():
    wanted = sys.argv[3:]
    tests = [(n[5:], f) for n, f in sorted({**vars(cli_errors), **globals()}.items()) if n.startswith("test_")]
    failed = 0
    for name, test in tests:
        if wanted and name not in wanted:
            continue
        place = tempfile.mkdtemp(prefix="lore-cli-")
        os.chdir(place)
        try:
            test()
            print(f"ok   {name}")
        except Skip as why:
            print(f"skip {name}: {why}")
        except Exception as why:  # a test may fail in any way; the others still run
            failed += 1
            traceback.print_exc()
            print(f"FAIL {name}: {why}")
        finally:
            os.chdir("/")
            shutil.rmtree(place, ignore_errors=True)
    sys.exit(1 if failed else 0)


main()
