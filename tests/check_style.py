#!/usr/bin/env python3
"""Holds the sizes of the house, and keeps what is unfinished out of it.

Usage: check_style.py SOURCE_ROOT [--longest N]

  files      no source or script has more than 800 lines; lore.h, which is one page by design, 1,000
  functions  no C function has more than 70 lines, in a test 90
  built      every C file is named in the meson.build of its folder: a test that is not built cannot fail
  words      nothing is left for later (LATER, below)
  text       lines end as in Unix and carry no white space at their end; no tabs; a file ends with one newline

--longest N prints the N longest functions and changes nothing. Prints one line for each breach, "file:line: what",
and exits 1 if there is any. Before that it checks itself on text that breaks each rule.
"""

import pathlib
import re
import sys

FILE_LINES_MAX = 800
PUBLIC_HEADER_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
TEST_FUNCTION_LINES_MAX = 90
FOLDERS = ('bench', 'engine', 'fuzz', 'tests', 'tools')
SUFFIXES = {'.c', '.h', '.py', '.sh', '.build'}
LATER = re.compile(r'\b(' + '|'.join(('TO' + 'DO', 'FIX' + 'ME', 'X' * 3, 'HA' + 'CK')) + r')\b')
NAME = re.compile(r'(\w+)\(')


def functions(text):
    """(name, first line, lines) of each function. clang-format puts what a file holds at column 0, so a
    function runs from the line that names it, past an indented rest of its parameters, to the first '}'."""
    lines = text.split('\n')
    start = None
    for number, line in enumerate(lines, 1):
        if line[:1].isalpha() and '(' in line and '=' not in line.split('(')[0] and not line.endswith(';'):
            start = number
        elif line.endswith(';') and (line[:1].isalpha() or line[:1] == ' ') and start is not None:
            if not any(l.endswith('{') for l in lines[start - 1 : number]):
                start = None  # a declaration over two lines
        elif line.startswith('}'):
            if start is not None and line == '}':
                match = NAME.search(lines[start - 1])
                yield match.group(1) if match else '?', start, number - start + 1
            start = None


def is_test(name):
    return name.endswith(('_test.c', 'testing.h')) or name.split('/')[0] not in ('engine', 'tools')


def check_file(name, text):
    lines = text.split('\n')
    lines_max = PUBLIC_HEADER_LINES_MAX if name == 'engine/lore.h' else FILE_LINES_MAX
    if len(lines) - 1 > lines_max:
        yield len(lines) - 1, f'more than {lines_max} lines'
    if not text.endswith('\n') or text.endswith('\n\n'):
        yield len(lines), 'does not end with one newline'
    for number, line in enumerate(lines, 1):
        later = LATER.search(line)
        if later is not None:
            yield number, f'{later.group(1)}: nothing is left for later'
        if line != line.rstrip():
            yield number, 'white space at the end of a line'
        if '\t' in line:
            yield number, 'a tab'
    lines_max = TEST_FUNCTION_LINES_MAX if is_test(name) else FUNCTION_LINES_MAX
    for function, start, count in functions(text) if name.endswith(('.c', '.h')) else ():
        if count > lines_max:
            yield start, f'{function} has {count} lines, more than {lines_max}'


def check_built(files):
    builds = {name[: -len('meson.build')]: text for name, text in files if name.endswith('meson.build')}
    for name, _ in files:
        folder, _, file = name.rpartition('/')
        if not file.endswith('.c'):
            continue
        stem = file[:-2]
        text = builds.get(folder + '/', '')
        head, _, tail = stem.rpartition('_')
        names = {stem, stem.removesuffix('_test'), stem.removesuffix('_fuzz')}
        put_together = f"'{head}_'" in text and f"'{tail}'" in text
        if not put_together and not any(re.search(rf"'{re.escape(n)}(\.c)?'", text) for n in names):
            yield name, 'not named in the meson.build beside it'


def sources(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob('*')):
            if path.suffix in SUFFIXES or path.name == 'meson.build':
                yield path.relative_to(root).as_posix(), path.read_text(encoding='utf-8')


def function_of(count):
    return 'static int f(int a,\n             int b) {\n' + '    a++;\n' * (count - 3) + '}\n'


CASES = [  # name, text, breaches expected
    ('engine/a.c', 'int f(void) {\n    return 1;\n}\n', 0),
    ('engine/a.c', function_of(FUNCTION_LINES_MAX), 0),
    ('engine/a.c', function_of(FUNCTION_LINES_MAX + 1), 1),
    ('engine/a_test.c', function_of(TEST_FUNCTION_LINES_MAX), 0),
    ('tests/a.c', function_of(TEST_FUNCTION_LINES_MAX + 1), 1),
    ('engine/a.c', 'static const int a[] = {\n' + '    1,\n' * 200 + '};\n', 0),
    ('engine/a.c', 'int f(int a,\n      int b);\n' + 'struct s {\n' + '    int a;\n' * 200 + '};\n', 0),
    ('engine/a.c', 'int a;\n' * FILE_LINES_MAX, 0),
    ('tests/a.py', 'a = 1\n' * (FILE_LINES_MAX + 1), 1),
    ('tools/a.c', '/* FIX' + 'ME */\n', 1),
    ('tools/a.c', '/* lore-X' + 'XXXXX */\n', 0),
    ('tools/a.c', 'int a; \n\tint b;\n', 2),
    ('tools/a.c', 'int a;', 1),
    ('tools/a.c', 'int a;\n\n', 1),
]


def check_self():
    for name, text, expected in CASES:
        found = list(check_file(name, text))
        if len(found) != expected:
            sys.exit(f'self-check: {name}: {expected} breaches expected of {text[:60]!r}, found {found}')
    tree = [('a/meson.build', "files('x.c', 'y_test.c') + ['z']"), ('a/x.c', ''), ('a/y_test.c', ''), ('a/z_fuzz.c', ''), ('a/v_test.c', '')]
    if list(check_built(tree)) != [('a/v_test.c', 'not named in the meson.build beside it')]:
        sys.exit('self-check: what is built')
    names = [(n, c) for n, _, c in functions(function_of(5) + '\n' + function_of(4))]
    if names != [('f', 5), ('f', 4)]:
        sys.exit(f'self-check: functions: {names}')


def longest(files, count):
    found = [
        (lines, f'{name}:{start}: {function}')
        for name, text in files
        if name.endswith(('.c', '.h')) and not is_test(name)
        for function, start, lines in functions(text)
    ]
    for lines, where in sorted(found, reverse=True)[:count]:
        print(f'{lines:4} {where}')


def main():
    if len(sys.argv) not in (2, 4):
        sys.exit('usage: check_style.py SOURCE_ROOT [--longest N]')
    check_self()
    files = list(sources(pathlib.Path(sys.argv[1])))
    if len(files) < 10:
        sys.exit('hardly any files found')
    if len(sys.argv) == 4:
        longest(files, int(sys.argv[3]))
        return
    breaches = [f'{name}:{line}: {what}' for name, text in files for line, what in check_file(name, text)]
    breaches += [f'{name}:1: {what}' for name, what in check_built(files)]
    for breach in breaches:
        print(breach)
    print(f'{len(files)} files, {len(breaches)} breaches')
    sys.exit(1 if breaches else 0)


if __name__ == '__main__':
    main()
