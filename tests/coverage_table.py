#!/usr/bin/env python3
"""Prints gcovr's summary as a table: line and branch coverage of every floor, and of each file that judges bytes
from outside.

Usage: coverage_table.py SUMMARY.json
"""

import json
import pathlib
import sys

FLOORS = ('base', 'vfs', 'wal', 'memtable', 'segment', 'catalog', 'lsm', 'store', 'vector', 'memory', 'query')
JUDGES = (
    'engine/wal/log_reader.c', 'engine/wal/log_format.c', 'engine/segment/segment.c',
    'engine/segment/segment_file.c', 'engine/segment/segment_block.c', 'engine/segment/table_reader.c',
    'engine/segment/table_block.c', 'engine/segment/table_cursor.c', 'engine/segment/table_verify.c',
    'engine/segment/blob_reader.c', 'engine/segment/blob_verify.c', 'engine/segment/rows_reader.c',
    'engine/segment/rows_verify.c', 'engine/catalog/schema.c', 'engine/catalog/lmdb_check.c',
    'engine/catalog/edits.c', 'engine/store/layout.c', 'engine/store/recovery.c', 'engine/store/log_chain.c',
    'engine/store/salvage.c', 'engine/store/salvage_files.c', 'engine/store/salvage_log.c',
    'engine/store/salvage_tree.c', 'engine/memory/salvage.c', 'tools/manifest.c')


def row(name, files):
    parts = []
    for kind in ('line', 'branch'):
        total = sum(f[kind + '_total'] for f in files)
        covered = sum(f[kind + '_covered'] for f in files)
        parts.append(f'{100 * covered / total if total else 100:5.1f} % of {total}')
    return f'| {name} | {parts[0]} | {parts[1]} |'


def main():
    files = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding='utf-8'))['files']
    if not files:
        sys.exit('nothing was measured')
    engine = [f for f in files if f['filename'].startswith('engine/')]
    print('| floor | lines | branches |\n|---|---|---|')
    for floor in FLOORS:
        print(row(floor, [f for f in engine if f['filename'].startswith(f'engine/{floor}/')]))
    print(row('all', engine))
    print('\n| file | lines | branches |\n|---|---|---|')
    for judge in JUDGES:
        print(row(f'`{judge.removeprefix("engine/")}`', [f for f in files if f['filename'] == judge]))


if __name__ == '__main__':
    main()
