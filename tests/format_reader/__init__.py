"""A reader of Lore stores that shares no line with the engine: written from docs/format.md alone.

Usage, in the folder above:

    python3 -m format_reader STORE            prints the content as `lore dump --canonical` does
    python3 -m format_reader --check STORE    only checks; prints what was read

Every check in every file is verified, every key is asked of its filter and of its hash index, and every number
that a parent tells of a child is compared. Damage ends the run with exit code 2, what is not supported with 3.

Needs the modules xxhash and lz4 (Debian: python3-xxhash, python3-lz4). Numbers in comments are sections of the page.
"""
from .basics import Bytes, Damage, Unsupported, u64_bytes, x128, x64
from .logs import Log, parse_batch, parse_current
from .catalog import (
    Edits, numbered, parse_counters, parse_facts, parse_job, parse_log_state, parse_quarantine,
    parse_segment_record, parse_snapshot, parse_space, read_file,
)
from .segments import Blob, Filter, Rows, SortedBlock, Table, parse_summary
from .store import Store, combine
from .memories import index_integer, index_number, index_text, keyspace_key, parse_attributes
from .dump import check_manifest, dump_lines
