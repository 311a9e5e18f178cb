#!/bin/sh
# Install what is missing, build, and run every test:
#
#   plain      gcc, optimised, assertions on: units, system tests, the command line, the README, fuzz targets replayed
#   sanitized  clang with ASan and UBSan: units and fuzz targets; each fuzz target searches for FUZZ_SECONDS (default 5)
#   threads    clang with TSan: the tests that run threads
#
# LEGS="plain" runs some of them only. The last line is "N passed, N failed".
set -eu
cd "$(dirname "$0")/.."
sh tools/install-packages.sh
legs="${LEGS:-plain sanitized threads}"
build_root="${BUILD_ROOT:-build-tests}"
passed=0
failed=0

# Run meson test in build folder $1 with the arguments after it, and add up its summary.
run_tests() {
    folder="$1"
    shift
    summary="$folder/summary.txt"
    meson test -C "$folder" --print-errorlogs --no-rebuild "$@" 2>&1 | tee "$summary" || true
    ok=$(sed -n 's/^Ok: *\([0-9]*\).*/\1/p' "$summary" | tail -n 1)
    bad=$(sed -n 's/^\(Fail\|Unexpected Pass\|Timeout\): *\([0-9]*\).*/\2/p' "$summary" | awk '{n += $1} END {print n + 0}')
    [ -n "$ok" ] || { ok=0; bad=$((bad + 1)); }
    passed=$((passed + ok))
    failed=$((failed + bad))
}

configure() {
    folder="$1"
    shift
    [ -f "$folder/build.ninja" ] || meson setup "$folder" "$@" >/dev/null
}

for leg in $legs; do
    echo "== $leg"
    folder="$build_root/$leg"
    case "$leg" in
    plain)
        CC=gcc configure "$folder" --werror
        ninja -C "$folder" >"$folder/build.log" 2>&1 || { tail -n 40 "$folder/build.log"; failed=$((failed + 1)); continue; }
        run_tests "$folder"
        ;;
    sanitized)
        CC=clang configure "$folder" --werror -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true
        ninja -C "$folder" >"$folder/build.log" 2>&1 || { tail -n 40 "$folder/build.log"; failed=$((failed + 1)); continue; }
        run_tests "$folder" --suite unit --suite fuzz
        ;;
    threads)
        CC=clang configure "$folder" --werror -Db_sanitize=thread -Db_lundef=false
        ninja -C "$folder" >"$folder/build.log" 2>&1 || { tail -n 40 "$folder/build.log"; failed=$((failed + 1)); continue; }
        run_tests "$folder" --suite threads
        ;;
    *)
        echo "no such leg: $leg" >&2
        exit 2
        ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
