#!/bin/sh
# search.sh FUZZER REPLAYER: run libFuzzer's program FUZZER for FUZZ_SECONDS (default 5), from the seeds that REPLAYER
# has. What it finds is kept as NAME-crash-* in the current folder.
set -eu
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
"$2" --seeds "$corpus"
"$1" -max_total_time="${FUZZ_SECONDS:-5}" -timeout=25 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$(basename "$1")-" "$corpus"
