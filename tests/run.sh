#!/bin/sh
# Install what is missing, build, and run every test:
#
#   plain      gcc, optimised, assertions on: units, system tests, the command line, the README, the library as
#              installed, the rules of the house, fuzz targets replayed
#   sanitized  clang with ASan and UBSan: units, the simulator and fuzz targets; each fuzz target searches for FUZZ_SECONDS (default 5)
#   threads    clang with TSan: the tests that run threads
#
# LEGS="plain" runs some of them only. BUILD_ROOT=DIR builds in DIR, not in build-tests. The last line is "N passed,
# N failed", whatever happened; the exit status is 0 if nothing failed. The network is used to install packages alone.
set -u
cd "$(dirname "$0")/.." || exit 1
legs="${LEGS:-plain sanitized threads}"
build_root="${BUILD_ROOT:-build-tests}"
passed=0
failed=0
scratch=""

finish() {
    trap '' HUP INT TERM
    trap - EXIT
    if [ -n "$scratch" ]; then
        rm -rf "$scratch/home"
        left=$(ls -A "$scratch")
        if [ -n "$left" ]; then
            echo "left behind by tests: $(echo "$left" | tr '\n' ' ')"
            failed=$((failed + 1))
            rm -rf "$scratch"
        else
            rmdir "$scratch"
        fi
    fi
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && exit 0
    exit 1
}
trap finish EXIT
trap 'failed=$((failed + 1)); exit 1' HUP INT TERM

# One folder for everything that tests write, on a RAM disk if there is one with room: so it is seen at the end what
# they leave.
make_scratch() {
    free_kib=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $4}')
    if [ "${free_kib:-0}" -gt 2097152 ] && [ -w /dev/shm ]; then
        place=/dev/shm
    else
        place="${TMPDIR:-/tmp}"
    fi
    scratch=$(mktemp -d "$place/lore-run-XXXXXX") || return 1
    chmod 711 "$scratch" # tests that change their user find what is theirs
    export TMPDIR="$scratch"
}

# Set build folder $1 up with the arguments after it; anew if it was with others, or by another version.
configure() {
    folder="$1"
    shift
    wanted="$(meson --version) $CC $*"
    if [ "$(cat "$folder/configured" 2>/dev/null)" != "$wanted" ] || [ ! -f "$folder/build.ninja" ]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        meson setup "$folder" "$@" || return 1
        echo "$wanted" >"$folder/configured"
    fi
}

count() { # of the results in log $1, those that are $2, a pattern
    cat "$1" 2>/dev/null | grep -c "\"result\": \"\\($2\\)\""
}

# Run meson test in $folder with the arguments given, and add up what its log says. It builds what is still missing.
run_tests() {
    results="$folder/meson-logs/testlog.json"
    rm -f "$results"
    slower=2
    [ "$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)" -gt 1 ] || slower=5
    meson test -C "$folder" --print-errorlogs --timeout-multiplier "$slower" "$@" 2>&1 | grep -v '^\[[0-9]*/[0-9]*\] '
    ok=$(count "$results" 'OK\|EXPECTEDFAIL')
    skipped=$(count "$results" 'SKIP\|IGNORED')
    all=$(count "$results" '[A-Z]*')
    [ "$all" -gt 0 ] || { echo "no test ran"; all=1; ok=0; skipped=0; }
    passed=$((passed + ok))
    failed=$((failed + all - ok - skipped))
}

run_leg() { # $leg
    folder="$build_root/$leg"
    log="$build_root/$leg.log"
    mkdir -p "$folder" || return 1
    case "$leg" in
    plain) CC=gcc; set -- ;;
    sanitized) CC=clang; set -- -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true ;;
    threads) CC=clang; set -- -Db_sanitize=thread -Db_lundef=false ;;
    *)
        echo "no such leg: $leg"
        return 1
        ;;
    esac
    export CC
    if ! { configure "$folder" --werror "$@" && { [ "$leg" = threads ] || ninja -C "$folder"; }; } >"$log" 2>&1; then
        tail -n 40 "$log"
        return 1
    fi
    case "$leg" in
    plain) run_tests ;;
    sanitized) run_tests --suite unit --suite fuzz --suite simulator ;;
    threads) run_tests --suite threads ;; # a few programs: the rest is not built
    esac
}

if ! sh tools/install-packages.sh || ! make_scratch; then
    failed=1
    exit
fi
if [ ! -w "${HOME:-/nowhere}" ]; then
    mkdir "$scratch/home"
    export HOME="$scratch/home"
fi
for leg in $legs; do
    echo "== $leg"
    began=$(date +%s)
    run_leg || failed=$((failed + 1))
    echo "== $leg took $(($(date +%s) - began)) s"
done
