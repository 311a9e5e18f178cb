#!/usr/bin/env python3
"""Holds the rules of the house that a compiler does not.

Usage: check_floors.py SOURCE_ROOT

Over every .c and .h file under engine/:

  floors   an #include "x/y.h" goes to the same floor or a lower one; the order is the list in
           engine/meson.build. lore.h may be included everywhere.
  poison   a .c file of the library includes base/poison.h, after everything else.
  system   only files that define LORE_MAY_CALL_THE_SYSTEM call the operating system, and only files in
           vfs and catalog may define it. (poison.h stops most such calls at compile time; this also sees
           headers and names that poison.h cannot poison, since some struct has a member of that name.)
  catalog  lmdb.h is included in catalog alone.

Tests (*_test.c and *testing.h) are held to the floors only. Prints one line for each breach,
"file:line: what", and exits 1 if there is any. Before that it checks itself on a tree that breaks each rule.
"""

import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
PERMIT = re.compile(r'^[ \t]*#[ \t]*define[ \t]+LORE_MAY_CALL_THE_SYSTEM\b', re.M)
MAY_PERMIT = {'vfs', 'catalog'}

SYSTEM = """
malloc calloc realloc free strdup strndup asprintf vasprintf posix_memalign aligned_alloc
open openat creat close pread pwrite preadv pwritev read write lseek fsync fdatasync sync_file_range
ftruncate unlink unlinkat rename renameat symlink mkdir rmdir opendir fdopendir readdir closedir stat
fstat lstat fstatat statvfs access chmod fchmod fcntl flock ioctl dup dup2 pipe mmap munmap mremap msync
madvise fallocate posix_fallocate posix_fadvise
fopen fdopen fclose fread fwrite fgets fputs fprintf vfprintf printf vprintf puts putchar perror
time gettimeofday clock_gettime nanosleep clock_nanosleep usleep sleep localtime localtime_r gmtime
rand srand random srandom getrandom getentropy getenv setenv
fork vfork execve execvp system popen kill raise signal sigaction getpid gethostname sysconf
abort exit _exit quick_exit atexit longjmp
thrd_create mtx_lock cnd_wait call_once
strcpy strcat sprintf vsprintf strncpy atoi atol
""".split()
# A call, not a member (x->open, x.open); any pthread_ function counts.
CALL = re.compile(r'(?<![\w.>])(pthread_\w+|' + '|'.join(SYSTEM) + r')[ \t\n]*\(')


def without_comments(text):
    """The text with comments blanked and string contents removed, line numbers kept."""

    def blank(match):
        token = match.group(0)
        if token.startswith('/'):
            return re.sub(r'[^\n]', ' ', token)
        return token[0] + ' ' * (len(token) - 2) + token[-1]

    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.S)


def floor_order(root):
    text = (root / 'engine' / 'meson.build').read_text(encoding='utf-8')
    match = re.search(r'foreach floor : \[([^\]]*)\]', text)
    if match is None:
        sys.exit('engine/meson.build: no list of floors found')
    return re.findall(r"'(\w+)'", match.group(1))


def check_file(name, text, floors):
    """Breaches of one file as (line, what). `name` is relative to engine/."""

    def line_of(at):
        return text.count('\n', 0, at) + 1

    floor = name.split('/')[0] if '/' in name else ''
    is_test = name.endswith(('_test.c', 'testing.h'))
    code = without_comments(text)
    includes = [m for m in INCLUDE.finditer(text) if code[m.start() : m.end()].lstrip()[:1] == '#']

    for include in includes:
        kind, target = include.group(1), include.group(2)
        if kind == '<':
            if target == 'lmdb.h' and floor != 'catalog' and not is_test:
                yield line_of(include.start()), 'only catalog knows lmdb.h'
            continue
        target_floor = target.split('/')[0]
        if target == 'lore.h':
            continue
        if '/' not in target or target_floor not in floors:
            yield line_of(include.start()), f'"{target}" is no path of a floor'
        elif floor not in floors or floors.index(target_floor) > floors.index(floor):
            yield line_of(include.start()), f'"{target}" is on a higher floor than {floor or name}'

    if is_test:
        return
    if name.endswith('.c') and (not includes or includes[-1].group(2) != 'base/poison.h'):
        yield 1, 'the last include is not "base/poison.h"'

    permit = PERMIT.search(code)
    if permit is not None:
        if floor not in MAY_PERMIT:
            yield line_of(permit.start()), 'LORE_MAY_CALL_THE_SYSTEM outside vfs and catalog'
        return
    if name.endswith('.h') and floor == 'vfs':
        return  # belongs to .c files that have the permit
    for call in CALL.finditer(code):
        yield line_of(call.start()), f'calls {call.group(1)}: that is for the environment'


def check(root):
    floors = floor_order(root)
    engine = root / 'engine'
    files = sorted(p for p in engine.rglob('*') if p.suffix in ('.c', '.h'))
    breaches = []
    for path in files:
        name = path.relative_to(engine).as_posix()
        text = path.read_text(encoding='utf-8')
        breaches += [f'engine/{name}:{line}: {what}' for line, what in check_file(name, text, floors)]
    return breaches, len(files)


POISON = '#include "base/poison.h"\n'
CASES = {  # name under engine/: (text, breaches expected)
    'base/good.c': ('#include "lore.h"\n#include <time.h>\n' + POISON + 'int f(void) { return ops->open(1); }\n', 0),
    'base/quoted.c': (POISON + '/* malloc(1) */ // free(2)\nconst char *s = "exit(1)";\n', 0),
    'base/up.c': ('#include "vfs/env.h"\n' + POISON, 1),
    'base/lost.h': ('#include "status.h"\n', 1),
    'base/poison_first.c': (POISON + '#include <string.h>\n', 1),
    'base/unpoisoned.c': ('int f(void);\n', 1),
    'base/calls.h': ('static inline void f(void *p) { free(p); }\n', 1),
    'base/threads.c': (POISON + 'void f(void) { pthread_yield(); }\n', 1),
    'base/up_test.c': ('#include "vfs/env.h"\nint main(void) { exit(0); }\n', 1),
    'base/permit.c': ('#define LORE_MAY_CALL_THE_SYSTEM\n' + POISON, 1),
    'vfs/permit.c': ('#define LORE_MAY_CALL_THE_SYSTEM\n#include "base/a.h"\n' + POISON + 'void f(void) { exit(1); }\n', 0),
    'vfs/lmdb.c': ('#include <lmdb.h>\n' + POISON, 1),
    'outside.h': ('#include "base/status.h"\n', 1),
}


def check_self():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, (text, _) in CASES.items():
            path = root / 'engine' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding='utf-8')
        (root / 'engine' / 'meson.build').write_text("foreach floor : ['base', 'vfs']\n", encoding='utf-8')
        breaches, _ = check(root)
    for name, (_, expected) in CASES.items():
        found = [b for b in breaches if b.startswith(f'engine/{name}:')]
        if len(found) != expected:
            sys.exit(f'self-check: {name}: {expected} breaches expected, found {found}')


def main():
    if len(sys.argv) != 2:
        sys.exit('usage: check_floors.py SOURCE_ROOT')
    check_self()
    breaches, count = check(pathlib.Path(sys.argv[1]))
    for breach in breaches:
        print(breach)
    if count == 0:
        sys.exit('no files found under engine/')
    print(f'{count} files, {len(breaches)} breaches')
    sys.exit(1 if breaches else 0)


if __name__ == '__main__':
    main()
