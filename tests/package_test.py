#!/usr/bin/env python3
"""The library as its users get it: built as a release, installed in a folder, used from outside the tree.

Usage: package_test.py SOURCE_ROOT

  symbols   what the shared and the static library define for others is what lore.h declares, and nothing else
  size      the shared library, stripped, has at most 400 KiB
  use       a program finds the library by pkg-config, links it shared and static, and runs
  header    lore.h compiles alone as C11 with gcc and clang, and as C++

Prints a line for each; exits 1 if any of them does not hold.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

SHARED_BYTES_MAX = 400 * 1024

PROGRAM = r"""
#include <lore.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    lore_options options;
    lore_store *store;
    lore_buffer value = {0};
    lore_options_init(&options);
    options.create_if_missing = 1;
    if (argc != 2 || lore_open(argv[1], &options, &store) != LORE_OK ||
        lore_put(store, 1, lore_slice_of("k"), lore_slice_of("v")) != LORE_OK ||
        lore_get(store, NULL, 1, lore_slice_of("k"), &value, NULL) != LORE_OK ||
        value.size != 1 || memcmp(value.data, "v", 1) != 0 || lore_close(store) != LORE_OK) {
        fprintf(stderr, "%s\n", lore_error_message());
        return 1;
    }
    lore_buffer_free(&value);
    puts(lore_version());
    return 0;
}
"""


class Failed(Exception):
    pass


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise Failed(f'{shlex.join(str(part) for part in command)}: exit {done.returncode}\n{done.stdout[-4000:]}')
    return done.stdout


def install(source, scratch):
    """The release's libraries below scratch/root/opt/lore."""
    environment = dict(os.environ, CC=shutil.which('gcc') or 'cc', DESTDIR=str(scratch / 'root'))
    for name in ('CFLAGS', 'LDFLAGS', 'NINJA_STATUS'):
        environment.pop(name, None)
    build = scratch / 'build'
    run('meson', 'setup', build, source, '--buildtype=release', '--prefix=/opt/lore', '--libdir=lib',
        '-Dtests=false', '-Dtools=false', env=environment)
    run('meson', 'install', '-C', build, '--quiet', env=environment)
    return scratch / 'root' / 'opt' / 'lore'


def symbols(*arguments):
    listing = run('nm', '--defined-only', '--format=posix', *arguments)
    return {line.split()[0] for line in listing.splitlines() if re.match(r'\S+ [A-Z]', line)}


def check_symbols(installed):
    text = (installed / 'include' / 'lore.h').read_text(encoding='utf-8')
    declared = set(re.findall(r'\bLORE_API\b[^;{]*?\b(lore_\w+)\(', text))
    for library, option in (('liblore.so', '-D'), ('liblore.a', '-g')):
        defined = symbols(option, installed / 'lib' / library)
        others = sorted(name for name in defined if not name.startswith('lore_'))
        if others:
            raise Failed(f'{library} defines {", ".join(others)}')
        if defined != declared:
            raise Failed(f'{library}: not in lore.h: {sorted(defined - declared)}; in lore.h alone: {sorted(declared - defined)}')
    return f'{len(declared)} functions, as lore.h declares them'


def check_size(installed, scratch):
    stripped = scratch / 'stripped.so'
    run('strip', '-o', stripped, (installed / 'lib' / 'liblore.so').resolve())
    size = stripped.stat().st_size
    if size > SHARED_BYTES_MAX:
        raise Failed(f'{size} bytes, more than {SHARED_BYTES_MAX}')
    return f'{size} bytes of {SHARED_BYTES_MAX}'


def check_use(installed, scratch):
    source = scratch / 'program.c'
    source.write_text(PROGRAM, encoding='utf-8')
    environment = dict(os.environ, PKG_CONFIG_PATH=str(installed / 'lib' / 'pkgconfig'),
                       PKG_CONFIG_SYSROOT_DIR=str(installed.parent.parent), LD_LIBRARY_PATH=str(installed / 'lib'))
    version = run('pkg-config', '--modversion', 'lore', env=environment).strip()
    for kind, options in (('shared', []), ('static', ['--static'])):
        flags = run('pkg-config', *options, '--cflags', '--libs', 'lore', env=environment).split()
        program = scratch / kind
        run('cc', '-std=c11', '-Wall', '-Wextra', '-Werror', '-o', program, source, *(['-static'] if options else []), *flags)
        said = run(program, scratch / f'{kind}-store', env=environment).strip()
        if said != version:
            raise Failed(f'{kind}: version {said}, pkg-config says {version}')
    needed = run('readelf', '-d', scratch / 'shared')
    if not re.search(r'NEEDED.*\[liblore\.so\.\d+\]', needed):
        raise Failed(f'the shared program does not name a version of the library:\n{needed}')
    return f'version {version} by pkg-config, shared and static'


def check_header(installed):
    include = f'-I{installed / "include"}'
    common = ['-Wall', '-Wextra', '-Werror', '-pedantic', '-fsyntax-only', include, '-include', 'lore.h', os.devnull]
    compilers = [['gcc', '-std=c11', '-xc'], ['clang', '-std=c11', '-xc']]
    compilers += [[name, f'-std=c++{year}', '-xc++'] for name in ('g++', 'clang++') for year in (11, 17)]
    used = [command for command in compilers if shutil.which(command[0])]
    if not any('-xc++' in command for command in used):
        raise Failed('no C++ compiler is installed')
    for command in used:
        run(*command, *common)
    return ', '.join(f'{command[0]} {command[1]}' for command in used)


def main():
    if len(sys.argv) != 2:
        sys.exit('usage: package_test.py SOURCE_ROOT')
    source = pathlib.Path(sys.argv[1]).resolve()
    failed = 0
    with tempfile.TemporaryDirectory(prefix='lore-package-') as folder:
        scratch = pathlib.Path(folder)
        installed = install(source, scratch)
        for name, check in (('symbols', lambda: check_symbols(installed)), ('size', lambda: check_size(installed, scratch)),
                            ('use', lambda: check_use(installed, scratch)), ('header', lambda: check_header(installed))):
            try:
                print(f'{name}: {check()}')
            except Failed as error:
                print(f'{name}: FAILED: {error}')
                failed += 1
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    try:
        main()
    except Failed as error:
        sys.exit(f'FAILED: {error}')
