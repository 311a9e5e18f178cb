"""What the tests of `lore` share: running it, and what every answer must be like. Standard library only."""
import json
import os
import re
import subprocess
import sys
import time

LORE = os.path.abspath(sys.argv[1])
ROOT = os.path.abspath(sys.argv[2])
SAMPLE = os.path.join(ROOT, "docs", "sample", "conversation.jsonl")


CODES = {name: int(code) for code, name in re.findall(
    r"^\| (\d+) \| \[(LORE_\w+)\]", open(os.path.join(ROOT, "docs", "errors", "README.md")).read(), re.M)}


class Skip(Exception):
    pass


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LORE_") and k != "XDG_CONFIG_HOME"}
    kept["HOME"] = os.getcwd()
    kept.update(more)
    return kept


def run(*args, code=0, stdin=b"", env=None):
    """Run lore; fail unless it ends with `code`. Returns stdout and stderr as bytes."""
    if isinstance(stdin, str):
        stdin = stdin.encode()
    done = subprocess.run([LORE, *args], input=stdin, capture_output=True, env=env or environment(), timeout=120)
    if done.returncode != code:
        raise AssertionError(
            f"lore {' '.join(args)}: exit {done.returncode}, not {code}\n"
            f"stdout: {done.stdout[-2000:]!r}\nstderr: {done.stderr[-2000:]!r}")
    return done.stdout, done.stderr


def jrun(*args, **kw):
    out, err = run("--json", *args, **kw)
    for line in err.splitlines():
        assert isinstance(json.loads(line), dict), err
    return json.loads(out)


def fails(*args, code, name, **kw):
    """The error as an object: it must carry its code, and its sentence and next step must not be empty."""
    error = jrun(*args, code=code, **kw)["error"]
    assert list(error) == ["code", "name", "exit_code", "message", "next"], error
    assert error["exit_code"] == code and error["name"] == name and error["code"] == CODES[name], error
    assert len(error["message"]) > 5 and len(error["next"]) > 5, error
    return error


def dump(*args):
    return run("dump", "--canonical", *args)[0]


def write(path, data):
    mode = "wb" if isinstance(data, bytes) else "w"
    with open(path, mode) as f:
        f.write(data)


def ids(document, key="results"):
    return [r["id"] for r in document[key]]


def sample_store():
    run("init")
    return jrun("import", SAMPLE)


def wait_for_writer(child, *args):
    """Until the child holds the lock and has said so: the text in LOCK follows the lock a moment later."""
    for _ in range(600):
        done = subprocess.run([LORE, "status", "--json", *args], capture_output=True, env=environment(), timeout=60)
        owner = json.loads(done.stdout).get("lock_owner")
        if owner and str(child.pid) in owner:
            return
        time.sleep(0.05)
    raise AssertionError(f"no lock of {child.pid}: {owner}")
