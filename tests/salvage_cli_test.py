"""`lore salvage`: what it prints, writes and exits with. salvage_cli_test.py LORE SOURCE_ROOT"""
import glob
import hashlib
import json
import os
import shutil
import tempfile

from cli_support import SAMPLE, dump, fails, jrun, run


def make(path):
    run("init", "--db", path, "--space", "name=s,dims=2,element=f32")
    run("import", SAMPLE, "--db", path)
    run("put", "--db", path, "--id", "v", "--embedding", "s=vector.json", "with a vector")
    run("compact", "--db", path)
    run("put", "--db", path, "--id", "late", "a late one")
    run("put", "--db", path, "--id", "v", "--update", "--importance", "0.9")


def sum_of(path):
    sums = {}
    for folder, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                sums[os.path.join(folder, name)] = hashlib.sha256(file.read()).hexdigest()
    return sums


def change(path, offset, size):
    with open(path, "r+b") as file:
        file.seek(offset)
        old = file.read(size)
        file.seek(offset)
        file.write(bytes(b ^ 0x5A for b in old))


def only(pattern):
    names = glob.glob(pattern)
    assert len(names) == 1, names
    return names[0]


def undamaged():
    make("a")
    before = sum_of("a")
    report = jrun("salvage", "--db", "a", "--to", "b")
    assert report["ok"] and report["missing"] == [] and "suspect_file" not in report, report
    assert json.load(open("b-salvage.json")) == report
    assert sum_of("a") == before
    assert dump("--db", "a") == dump("--db", "b")
    run("verify", "--db", "b")
    assert not os.path.exists("b-suspect.jsonl") and not os.path.exists("b.salvage")
    fails("salvage", "--db", "a", "--to", "b", code=1, name="LORE_EXISTS")
    fails("salvage", "--db", "a", code=2, name="LORE_INVALID")
    fails("salvage", "--db", "nowhere", "--to", "c", code=10, name="LORE_NO_STORE")
    fails("salvage", "--db", "a", "--to", "a/inside", code=2, name="LORE_INVALID")
    os.mkdir("c")
    open("c/mine", "w").close()
    fails("salvage", "--db", "a", "--to", "c", code=1, name="LORE_EXISTS")
    assert os.listdir("c") == ["mine"] and not os.path.exists("c-salvage.json")


def hurt_block():
    shutil.copytree("a", "hurt")
    change(only("hurt/g-000001/*.table"), 200, 40)
    before = sum_of("hurt")
    report = jrun("salvage", "--db", "hurt", "--to", "d", "--report", "what.json", code=3)
    assert report["error"]["name"] == "LORE_CORRUPTION", report
    assert json.load(open("what.json"))["losses"] == report["losses"] > 0
    assert sum_of("hurt") == before
    loss = report["missing"][0]
    assert loss["kind"] == "table" and loss["file"].endswith(".table") and loss["first_key"]["hex"], loss
    true = {json.loads(line)["id"]: line for line in dump("--db", "a").splitlines() if b'"memory"' in line}
    saved = {json.loads(line)["id"]: line for line in dump("--db", "d").splitlines() if b'"memory"' in line}
    assert saved and all(true[id] == line for id, line in saved.items())
    out, err = run("salvage", "--db", "hurt", "--to", "e", code=3)
    assert b"KIND" in out or b"table" in out, out
    assert b"try: lore" in err, err


def lost_log():
    """All older than what the log lost is in doubt: written apart, and loaded if wanted."""
    shutil.copytree("a", "nolog")
    for log in glob.glob("nolog/g-000001/log-*"):
        os.unlink(log)
    report = jrun("salvage", "--db", "nolog", "--to", "f", code=3)
    assert report["suspect_memories"] > 40 and report["suspect_file"] == "f-suspect.jsonl", report
    assert any(loss["kind"] == "log" for loss in report["missing"]), report
    lines = [json.loads(line) for line in open("f-suspect.jsonl")]
    assert lines[0]["lore_dump"] == 1 and lines[0]["spaces"][0]["name"] == "s"
    assert all(line["suspect"] for line in lines[1:-1])
    run("verify", "f-suspect.jsonl")
    loaded = jrun("load", "f-suspect.jsonl", "--merge", "--db", "f")
    assert loaded["records"] == report["suspect_memories"], loaded
    run("verify", "--db", "f")


def read_only_media():
    shutil.copytree("a", "ro")
    for folder, _, names in os.walk("ro"):
        for name in names:
            os.chmod(os.path.join(folder, name), 0o400)
        os.chmod(folder, 0o500)
    jrun("salvage", "--db", "ro", "--to", "g")
    assert dump("--db", "g") == dump("--db", "a")
    for folder, _, _ in os.walk("ro"):
        os.chmod(folder, 0o700)


def main():
    with tempfile.TemporaryDirectory(prefix="lore-salvage-") as folder:
        os.chdir(folder)
        with open("vector.json", "w") as file:
            file.write("[1, 2]")
        for test in (undamaged, hurt_block, lost_log, read_only_media):
            test()
            print("ok", test.__name__)
        os.chdir("/")


main()
