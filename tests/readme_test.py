#!/usr/bin/env python3
"""Run every command that README.md shows, and compare what it prints with what the page shows.

A block fenced as ```console holds commands, "$ " before each, and their output. In shown output an ellipsis (…) stands for any
text within a line, and a line that is an ellipsis alone for any number of lines. All blocks run in order in one shell's
folder, a fresh clone of the project. `sh tests/run.sh` is this very run and is only looked for.

readme_test.py README PROGRAM SOURCE: PROGRAM (lore) is put on the PATH.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile


def blocks(text):
    for block in re.findall(r"^```console\n(.*?)^```", text, re.S | re.M):
        command, shown, found = None, [], []
        for line in block.splitlines():
            if line.startswith("$ "):
                if command is not None:
                    found.append((command, shown))
                command, shown = line[2:], []
            else:
                shown.append(line)
        if command is not None:
            found.append((command, shown))
        yield from found


def matches(shown, printed):
    pattern = ""
    for line in shown:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ ]*\n"
    return re.fullmatch(pattern, printed) is not None


def main():
    readme, program, source = (os.path.abspath(argument) for argument in sys.argv[1:4])
    with open(readme, encoding="utf-8") as page:
        commands = list(blocks(page.read()))
    if not any(command == "sh tests/run.sh" for command, _ in commands):
        print("README.md does not show `sh tests/run.sh`")
        return 1
    failed = ran = 0
    with tempfile.TemporaryDirectory() as scratch:
        clone = os.path.join(scratch, "lore")
        subprocess.run(["git", "clone", "-q", source, clone], check=True)
        environment = dict(os.environ, PATH=os.path.dirname(program) + os.pathsep + os.environ["PATH"], LC_ALL="C.UTF-8")
        environment.pop("LORE_MEMORY_PATH", None)
        shutil.copy(readme, os.path.join(clone, "README.md"))
        for command, shown in commands:
            if command == "sh tests/run.sh":
                continue
            result = subprocess.run(["sh", "-c", command], cwd=clone, env=environment, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
            ran += 1
            if not matches(shown, result.stdout):
                failed += 1
                print(f"$ {command}\n-- shown:\n" + "\n".join(shown) + f"\n-- printed (exit {result.returncode}):\n" + result.stdout)
    print(f"{ran - failed} of {ran} commands print what README.md shows")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
