#!/usr/bin/env python3
"""Stores of every format version that was ever written stay readable: those kept in tests/fixtures.

Usage: fixtures_test.py LORE FIXTURES

Each archive format-N.tar.xz holds stores as a library of that format left them, NAME/ beside NAME.jsonl, what
`lore dump --canonical` said of it then. A reader, a writer, and the store after it was compacted must say the same.
A fixture is never made anew: where this fails, the library is wrong.
"""
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile


def main():
    lore, fixtures = sys.argv[1], pathlib.Path(sys.argv[2])
    archives = sorted(fixtures.glob("format-*.tar.xz"))
    if not archives:
        sys.exit(f"{fixtures}: no fixtures")
    checked = 0
    for archive in archives:
        with tempfile.TemporaryDirectory() as scratch:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch)
            for expected in sorted(pathlib.Path(scratch).glob("*.jsonl")):
                check(lore, archive.name, expected.with_suffix(""), expected.read_bytes())
                checked += 1
    print(f"{checked} stores of {len(archives)} format versions: as they were")


def check(lore, archive, store, expected):
    def run(*arguments):
        done = subprocess.run([lore, *arguments, "--db", store], capture_output=True)
        if done.returncode != 0:
            sys.exit(f"{archive}: {store.name}: lore {' '.join(arguments)}: exit {done.returncode}\n{done.stderr.decode()}")
        return done.stdout

    def dump(when):
        if run("dump", "--canonical") != expected:
            sys.exit(f"{archive}: {store.name}: {when}, the dump is another than it was")

    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    run("verify")
    if before != {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}:
        sys.exit(f"{archive}: {store.name}: a reader changed a file")
    dump("opened")
    run("compact")
    dump("compacted")
    run("verify")
    shutil.rmtree(store)


main()
