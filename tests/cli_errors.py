"""Tests of `lore` where something is wrong: damage, bad input, signals, readers that go away, full devices. Run by cli_test.py."""
import json
import os
import re
import resource
import signal
import stat
import subprocess

from cli_support import LORE, SAMPLE, Skip, dump, environment, fails, jrun, run, sample_store, wait_for_writer, write


def verbs():
    """Of the command table, as help lists them, and the hidden one."""
    text = jrun("help")["help"].split("\nVerbs:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in text.splitlines()] + ["man"]


def flip(path, at):
    os.chmod(path, 0o600)
    data = bytearray(open(path, "rb").read())
    data[at] ^= 1
    write(path, bytes(data))


def start(*args, **kw):
    return subprocess.Popen([LORE, *args], env=environment(), **kw)


# ---- damage ----

def test_list_snapshots_of_a_store_that_does_not_open():
    sample_store()
    run("backup", "--name", "good", "--copy")
    run("restore", "good", "--confirm")
    listed = jrun("list-snapshots")["generations"]
    assert sorted((g["generation"], g["current"]) for g in listed) == [(1, False), (2, True)], listed
    assert b"kept when another was restored" in run("list-snapshots")[0]
    write("memory/CURRENT", b"\0" * 66)
    document = jrun("list-snapshots", code=3)
    assert [b["name"] for b in document["backups"]] == ["good"] and document["snapshots"] == []
    assert [g["current"] for g in document["generations"]] == [None, None]
    assert "cannot open the store" in document["error"]["message"] and "restore ./backups/good" in document["error"]["next"]
    out, err = run("list-snapshots", code=3)
    assert b"good" in out and out.count(b"does not open") == 2 and b"CURRENT" in err
    os.unlink("memory/CURRENT")
    assert len(jrun("list-snapshots", code=3)["generations"]) == 2
    run("restore", "good", "--target-path", "again")
    assert jrun("list-snapshots", "--db", "nowhere")["generations"] == []


def test_one_flipped_byte_is_one_finding():
    run("init")
    write("in.jsonl", "".join(json.dumps({"id": f"m{i:04}", "text": f"text {i} " + "abc" * 30, "session": f"s{i // 50}",
                                          "tags": [f"t{i % 7}"]}) + "\n" for i in range(1500)))
    run("import", "in.jsonl")
    run("compact")
    folder = "memory/g-000001"
    table = max((os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".table")), key=os.path.getsize)
    size, most = os.path.getsize(table), 0
    for at in range(1000, size, size // 9):
        flip(table, at)
        document = jrun("verify", code=5)
        assert document["damaged"] == len(document["findings"]) == 1, (at, document["damaged"])
        finding = document["findings"][0]
        assert finding["file"] == os.path.relpath(table, "memory") and finding["places"], finding
        assert finding["keys"] == len(finding["keys_hex"]) == len(set(finding["keys_hex"])), finding
        assert finding["memories"] >= len(finding["memory_ids"]) and len(set(finding["memory_ids"])) == len(finding["memory_ids"])
        most = max(most, finding["keys"])
        out, _ = run("verify", code=5)
        assert out.count(b"\n") == 2, out
        if finding["memory_ids"]:
            assert finding["memory_ids"][0].encode() in out
        flip(table, at)
    assert most > 100 and jrun("verify")["ok"]


def test_memories_whose_text_is_damaged_are_named():
    run("init")
    write("in.jsonl", "".join(json.dumps({"id": f"m{i:04}", "text": f"text {i} " + os.urandom(1500).hex()}) + "\n" for i in range(50)))
    run("import", "in.jsonl")
    run("compact")
    folder = "memory/g-000001"
    blob = next(os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".blob"))
    flip(blob, os.path.getsize(blob) // 2)
    findings = jrun("verify", code=5)["findings"]
    assert len(findings) == 1 and findings[0]["kind"] == "blob", findings
    hurt = [m for m in (f"m{i:04}" for i in range(50))
            if subprocess.run([LORE, "get", m, "--no-access"], capture_output=True, env=environment()).returncode == 5]
    assert hurt and findings[0]["memory_ids"] == hurt and findings[0]["memories"] == len(hurt), (hurt, findings)


# ---- every error names the next step ----

def test_errors_end_with_the_next_step():
    error = fails("init", "--db", "a/b/c", code=4, name="LORE_NOT_FOUND")
    assert "a/b" in error["message"] and error["next"].startswith("mkdir -p a/b"), error
    error = fails("load", "--db", "a/b", code=4, name="LORE_NOT_FOUND")
    assert error["next"].startswith("mkdir -p a"), error
    run("init")
    run("put", "text", "--id", "m")
    write("d.jsonl", dump())
    run("backup", "--name", "first", "--copy")
    assert "mkdir -p a" in fails("restore", "first", "--target-path", "a/b", code=4, name="LORE_NOT_FOUND")["next"]
    assert "mkdir -p a" in fails("dump", "-o", "a/d", code=4, name="LORE_NOT_FOUND")["next"]
    assert "--to" in fails("backup", "--to", "/proc/none/b", code=4, name="LORE_NOT_FOUND")["next"]
    # A limit that no budget raises, and one that it does.
    error = fails("put", "x", "--kind", "k" * 2000, code=1, name="LORE_TOO_BIG")
    assert "budget" not in error["next"] and "fixed" in error["next"], error
    error = fails("put", "-", "--memory-budget", "4MiB", code=1, name="LORE_TOO_BIG", stdin=b"x" * (2 << 20))
    assert "--memory-budget" in error["next"], error
    for mistyped, meant in (("serach", "search"), ("stauts", "status"), ("list", "list-snapshots"), ("chat", "chat-history"),
                            ("validat", "verify"), ("delte", "delete")):
        error = fails(mistyped, code=2, name="LORE_INVALID")
        assert f'"{meant}"' in error["message"] and meant in error["next"], error
        assert meant in fails("help", mistyped, code=2, name="LORE_INVALID")["next"]
    assert "lore --help" in fails("xyzzy", code=2, name="LORE_INVALID")["next"]
    write("bad.jsonl", '{"text":"a"}\n{"text":\n')
    assert jrun("import", "bad.jsonl", code=1)["imported"] == 1
    error = fails("import", "bad.jsonl", code=1, name="LORE_INVALID")
    assert "line 2" in error["message"] and "--skip-bad" in error["next"], error
    assert "again" in jrun("import", "bad.jsonl", "--skip-bad", code=3)["error"]["next"]
    error = fails("status", "--db", "a place 'here'", code=10, name="LORE_NO_STORE")
    assert error["next"] == "lore init --memory-path 'a place '\\''here'\\'''", error
    assert "store, backup or dump" in fails("verify", "nowhere", code=10, name="LORE_NO_STORE")["next"]
    _, err = run("get", "x\033[31m", code=4)
    assert b"\033" not in err
    for args, code in ((("import", "nothing"), 4), (("import", "."), 1), (("load", "nothing"), 4), (("restore", "nothing"), 4),
                       (("restore", "latest", "--from", "none"), 4), (("restore", "."), 5), (("put", "x", "--embedding", "v=f"), 4),
                       (("search", "--like", "m"), 2), (("config", "get", "x"), 4), (("completion", "csh"), 2), (("delete", "x"), 4),
                       (("put", "--id", "x", "--update", "--kind", "k"), 4), (("load", "bad.jsonl", "--db", "n"), 5),
                       (("put", "x", "--id", "m", "--insert"), 1), (("init",), 1)):
        _, err = run(*args, code=code)
        lines = err.decode().splitlines()
        assert lines[-1].startswith("  try: ") and len(lines[-1]) > 10 and lines[-2].startswith("lore: "), (args, err)


def test_numbers_out_of_range():
    run("init")
    run("put", "x", "--id", "m")
    for bad in ("5", "1.0001", "-0.1", "nan", "inf", "-inf", "1e400", "0x1p-1", "0.5x", "", " 0.5", "0,5", "."):
        fails("search", f"--min-importance={bad}", code=2, name="LORE_INVALID")
        fails("put", "y", f"--importance={bad}", code=2, name="LORE_INVALID")
        fails("delete", f"--min-importance={bad}", "--dry-run", code=2, name="LORE_INVALID")
    for good in ("0", "1", "0.5", "1e-3", ".5"):
        run("search", f"--min-importance={good}")
    for bad in ("-1", "+1", "1.5", "1K", "5x", "", " 5", "0x10", "1e3", "9223372036854775808", "18446744073709551616", "nan"):
        for args in (("search", f"--limit={bad}"), ("search", f"--offset={bad}"), ("chat-history", f"--limit={bad}"),
                     ("chat-history", f"--tokens={bad}"), ("wal-dump", f"--limit={bad}"), ("put", "x", f"--position={bad}"),
                     ("init", "--db", "n", "--space", f"name=s,dims={bad}")):
            fails(*args, code=2, name="LORE_INVALID")
    for bad in ("4194303", "-1", "1e9", "64MiX", "99999999T", "nan", ""):
        fails("status", f"--memory-budget={bad}", code=2, name="LORE_INVALID")
    for bad in ("-1", "50d", "1e3", "10 parsecs", "99999999999s", "nan", ""):
        fails("status", f"--lock-timeout={bad}", code=2, name="LORE_INVALID")
    for bad in ("15", "4294967296", "64K", "-1"):
        fails("status", code=2, name="LORE_INVALID", env=environment(LORE_FILES_MAX=bad))
    for bad in ("-1", "x", "1e3"):
        fails("status", code=2, name="LORE_INVALID", env=environment(LORE_MAX_MEMORY_SIZE=bad))
    for bad in ("yesterdayish", "2024-13-01", "2024-02-30", "@1e99", "99999999999y", "@99999999999999", "25:00"):
        for option in ("since", "until"):
            fails("search", f"--{option}={bad}", code=2, name="LORE_INVALID")
        fails("put", "x", f"--created={bad}", code=2, name="LORE_INVALID")
    assert jrun("status")["memories"] == 1


# ---- JSON ----

RIGHT = {"init": ["--db", "other"], "put": ["words"], "get": ["m"], "delete": ["m", "--dry-run"], "import": [SAMPLE],
         "dump": ["--output", "d.jsonl"], "load": ["whole.jsonl", "--db", "copy"], "backup": ["--name", "b2"], "list-snapshots": [],
         "restore": ["b1", "--target-path", "t"], "verify": [], "compact": [], "status": [], "stats": [], "search": ["words"],
         "chat-history": [], "wal-dump": [], "config": [], "selftest": [], "completion": ["bash"], "version": [], "help": ["get"],
         "man": ["pages"], "salvage": ["--to", "rescued"]}


def test_json_is_one_document_of_every_verb():
    run("init")
    run("put", "words", "--id", "m")
    run("put", "words", "--id", "n")
    write("whole.jsonl", dump())
    run("backup", "--name", "b1", "--copy")
    assert set(verbs()) == set(RIGHT)

    def one(*args, fine):
        done = subprocess.run([LORE, *args], capture_output=True, env=environment(), stdin=subprocess.DEVNULL, timeout=60)
        document = json.loads(done.stdout)
        assert isinstance(document, dict) and done.stdout.endswith(b"}\n") and done.stdout.count(b"\n") == 1, (args, done)
        assert (done.returncode == 0) == fine == ("error" not in document), (args, done)
        for line in done.stderr.splitlines():
            assert isinstance(json.loads(line), dict), (args, done.stderr)
        if not fine:
            assert list(document["error"]) == ["code", "name", "exit_code", "message", "next"], document
            assert all(document["error"].values()) and document["error"]["exit_code"] == done.returncode, document
        return document

    for verb, args in RIGHT.items():
        document = one(verb, *args, "--json", fine=True)
        assert document, verb
        one("--json", verb, "--help", fine=True)
        one("--json", verb, "--no-such-option", fine=False)
        one("--json", verb, *["x"] * 9, "--dry-run", fine=False)
        if verb not in ("config", "selftest", "completion", "version", "help", "man"):
            lost = [a if a not in ("other", "copy") else "none/of/it" for a in args]
            lost = ["absent"] if verb == "restore" else lost
            one("--json", verb, *lost, *(() if "--db" in args else ("--db", "none/of/it")), fine=verb == "list-snapshots")
    for args in (("--json",), ("--json", "nonsense"), ("man", "--json"), ("man", "pages", "lore.1", "--json")):
        one(*args, fine=False)
    # Several things asked for are one document, with what was not there beside what was.
    document = one("get", "m", "n", "--json", fine=True)
    assert [r["id"] for r in document["memories"]] == ["m", "n"] and document["count"] == 2 and document["not_found"] == []
    document = one("get", "m", "absent", "--json", fine=False)
    assert document["count"] == 1 and document["not_found"] == ["absent"] and document["error"]["exit_code"] == 3
    document = one("delete", "n", "absent", "--json", fine=False)
    assert document["deleted"] == 1 and document["not_found"] == 1
    for args in (("dump",), ("dump", "--format", "csv"), ("dump", "-o", "-")):
        assert "--output" in one(*args, "--json", fine=False)["error"]["next"]
    document = one("dump", "--format", "csv", "--output", "d.csv", "--json", fine=True)
    assert document == {"path": "d.csv", "format": "csv"} and open("d.csv").read().startswith("id,")


# ---- streams that end, do not end, or are cut ----

def test_endless_input_is_refused_or_bounded():
    run("init")
    for device in ("/dev/zero", "/dev/urandom", "/dev/full"):
        if not os.path.exists(device):
            raise Skip(f"{device} is absent")
        for args in (("import", device), ("load", device, "--db", "other"), ("verify", device)):
            assert "device" in fails(*args, code=2, name="LORE_INVALID")["message"]
        with open(device, "rb") as f:
            done = subprocess.run([LORE, "import", "-"], stdin=f, capture_output=True, env=environment(), timeout=20)
        assert done.returncode == 2 and b"stdin is a device" in done.stderr, done
    with open("/dev/null", "rb") as f:
        subprocess.run([LORE, "import", "-"], stdin=f, env=environment(), check=True, capture_output=True)
    # A line that never ends is given up at its limit, without waiting for its end.
    child = start("import", "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        for _ in range(40):
            child.stdin.write(b"x" * (1 << 20))
        child.stdin.flush()
    except BrokenPipeError:
        pass
    assert child.wait(timeout=20) == 1
    assert b"line 1: the line is longer than 16 MiB" in child.stderr.read()
    os.mkfifo("pipe")
    child = start("import", "pipe", stderr=subprocess.PIPE)
    with open("pipe", "wb") as f:
        f.write(b'{"id":"p","text":"through a pipe"}\n')
    assert child.wait(timeout=20) == 0 and jrun("get", "p")["text"] == "through a pipe"


def interrupted(child, number):
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130 and b"LORE_CANCELLED" in err and b"  try: " in err, (child.returncode, err)
    return out, err


def test_interrupts_say_what_was_kept():
    run("init")
    for i, number in enumerate((signal.SIGINT, signal.SIGTERM)):
        child = start("import", "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for k in range(3):
            child.stdin.write(b'{"id":"m%d-%d","text":"kept"}\n' % (i, k))
        child.stdin.flush()
        wait_for_writer(child)
        before = jrun("status")["memories"]
        _, err = interrupted(child, number)
        said = int(re.search(rb"(\d+) memories had been imported", err).group(1))
        status = jrun("status")
        assert status["memories"] == before + said and status["quarantined"] == 0 and jrun("verify")["ok"], (said, status)
    run("put", "one more")
    lines = dump().splitlines(True)
    child = start("load", "-", "--db", "copy", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdin.write(b"".join(lines[:-2]))
    child.stdin.flush()
    wait_for_writer(child, "--db", "copy")
    _, err = interrupted(child, signal.SIGINT)
    said = int(re.search(rb"(\d+) memories and 0 entries had been loaded", err).group(1))
    assert b"--merge" in err and jrun("status", "--db", "copy")["memories"] == said and jrun("verify", "--db", "copy")["ok"], err
    # A dump whose reader is slow.
    write("big.jsonl", "".join(json.dumps({"text": f"{i} " + "x" * 2000}) + "\n" for i in range(500)))
    run("import", "big.jsonl")
    child = start("dump", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.read(child.stdout.fileno(), 1000)
    interrupted(child, signal.SIGINT)


PRINTING = {"put": ["words"], "get": ["m"], "search": ["words"], "chat-history": ["--session", "s"], "dump": [], "backup": ["--name"],
            "list-snapshots": [], "status": [], "stats": [], "wal-dump": [], "config": ["show"], "selftest": [],
            "completion": ["bash"], "version": [], "help": [], "verify": []}


def printing_store():
    run("init")
    run("put", "words", "--id", "m", "--session", "s", "--role", "user")
    run("backup", "--name", "b", "--copy")


def test_a_reader_that_goes_away_ends_it_quietly():
    printing_store()
    write("big.jsonl", "".join(json.dumps({"text": f"{i} " + "x" * 2000}) + "\n" for i in range(200)))
    run("import", "big.jsonl")
    for args in (("dump",), ("dump", "--format", "csv"), ("search", "--limit", "0"), ("search", "--limit", "0", "--json")):
        child = start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.read(child.stdout.fileno(), 100)
        child.stdout.close()
        assert child.stderr.read() == b"" and child.wait(timeout=20) == 141, args
    for verb, args in PRINTING.items():
        if verb == "verify":
            continue
        ends = os.pipe()
        os.close(ends[0])
        done = subprocess.run([LORE, verb, *args, *(["b" + verb] if verb == "backup" else []), "-q"], stdout=ends[1],
                              stderr=subprocess.PIPE, env=environment(), timeout=60)
        os.close(ends[1])
        assert done.returncode == 141 and done.stderr == b"", (verb, done)
    assert jrun("verify")["ok"]


def test_a_full_device_fails_every_verb_that_prints():
    if not os.path.exists("/dev/full"):
        raise Skip("/dev/full is absent")
    printing_store()
    write("d.jsonl", dump())
    with open("/dev/full", "wb") as full:
        for verb, args in PRINTING.items():
            if verb == "verify":
                continue
            done = subprocess.run([LORE, verb, *args, *(["full"] if verb == "backup" else [])], stdout=full,
                                  stderr=subprocess.PIPE, env=environment(), timeout=60)
            assert done.returncode == 13 and b"LORE_FULL" in done.stderr and b"  try: " in done.stderr, (verb, done)
        for verb, args in {**PRINTING, "init": ["--db", "o"], "import": ["-"], "compact": [], "delete": ["m"],
                           "load": ["d.jsonl", "--db", "l"], "restore": ["b", "--target-path", "t"], "man": ["pages"]}.items():
            done = subprocess.run([LORE, verb, *args, *(["full2"] if verb == "backup" else []), "--json"], stdout=full,
                                  stderr=subprocess.PIPE, env=environment(), stdin=subprocess.DEVNULL, timeout=60)
            error = json.loads(done.stderr.splitlines()[-1])["error"]
            assert done.returncode == error["exit_code"] == (2 if verb == "dump" else 13), (verb, done)


def test_a_closed_stdout_is_no_file_of_the_store():
    run("init")
    done = subprocess.run(f"'{LORE}' put words --id m >&-", shell=True, stderr=subprocess.PIPE, env=environment())
    assert done.returncode == 1 and b"stdout" in done.stderr, done
    assert jrun("verify")["ok"] and jrun("get", "m")["text"] == "words"
    done = subprocess.run(f"'{LORE}' put words --id n 2>&- >&- <&-", shell=True, env=environment())
    assert done.returncode == 1 and jrun("verify")["ok"]
    done = subprocess.run(f"'{LORE}' import - <&-", shell=True, stderr=subprocess.PIPE, env=environment())
    assert done.returncode == 1 and b"cannot read stdin" in done.stderr, done


def test_a_store_that_cannot_be_written():
    if os.geteuid() == 0:
        raise Skip("root writes everywhere")
    sample_store()
    folders = ["memory", "memory/g-000001"]
    for folder in folders:
        os.chmod(folder, stat.S_IRUSR | stat.S_IXUSR)
    try:
        _, err = run("put", "x", code=1)
        assert b"  try: " in err
    finally:
        for folder in folders:
            os.chmod(folder, 0o700)


def test_a_file_size_limit_is_a_full_device():
    sample_store()
    limit = lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
    done = subprocess.run([LORE, "dump", "--output", "d"], preexec_fn=limit, stderr=subprocess.PIPE, env=environment())
    assert done.returncode == 1 and b"  try: " in done.stderr, done
    assert not os.path.exists("d") and not os.path.exists("d.tmp")


# ---- what help, man pages and completions say ----

def test_help_man_and_completions_agree():
    table = {verb: run(verb, "--help")[0].decode() for verb in verbs()}
    run("man", "pages")
    bash, zsh, fish = (run("completion", shell)[0].decode() for shell in ("bash", "zsh", "fish"))
    for verb, text in table.items():
        options = re.findall(r"^ +(?:-\w, )?--([\w-]+)", text, re.M)
        assert "json" in options and "memory-path" in options
        if verb == "man":
            continue
        page = open(f"pages/lore-{verb}.1").read().replace("\\-", "-")
        for option in options:
            assert f"--{option}" in page and f"--{option}" in bash and f"--{option}" in zsh and f"-l {option}" in fish, (verb, option)
        assert "141" in page and ".SH EXIT STATUS" in page, verb
        assert "one JSON" in page.replace("\n", " "), verb
        for example in re.findall(r"^  (lore .*)\n      ", text, re.M):
            assert example.split()[1] in table, example
    assert "not_found" in open("pages/lore-get.1").read().replace("\\-", "-")
