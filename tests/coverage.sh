#!/bin/sh
# Which lines and branches of the engine the tests reach: `sh tests/coverage.sh`.
#
# Builds with gcc, --coverage, without optimisation and without assertions, which are branches that no test may take,
# in build-tests/coverage (or BUILD_ROOT/coverage), runs the unit, system and disaster tests but for the long ones named
# below, and prints line and branch coverage of every floor and of the files that judge bytes from
# outside. What is in BUILD_ROOT/coverage/coverage.json can be asked for more. Needs gcovr. Exits 1 if a test failed.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
folder="${BUILD_ROOT:-$root/build-tests}/coverage"
too_long="crash_enum_test_1 crash_enum_test_2 fault_test_1 kill_test_1 scale_test_1 scale_test_2 sim_test locomo"

if ! command -v gcovr >/dev/null 2>&1; then
    { apt-get update && apt-get install -y gcovr; } >/dev/null 2>&1 || { echo "gcovr is missing"; exit 1; }
fi
mkdir -p "$folder" || exit 1
folder=$(cd "$folder" && pwd -P)
if [ ! -f "$folder/build.ninja" ]; then
    CC=gcc meson setup "$folder" -Db_coverage=true -Dbuildtype=debug -Db_ndebug=true >"$folder/setup.log" || exit 1
fi
ninja -C "$folder" >"$folder/build.log" || { tail -30 "$folder/build.log"; exit 1; }
find "$folder" -name '*.gcda' -delete

tests=$(meson test -C "$folder" --list --suite unit --suite system --suite disaster 2>/dev/null |
    sed -n 's/^lore:[^/]* \/ //p')
for name in $too_long; do
    tests=$(echo "$tests" | grep -vx "$name")
done
failed=0
# shellcheck disable=SC2086
meson test -C "$folder" --no-rebuild --timeout-multiplier 4 $tests >"$folder/run.log" 2>&1 || failed=1
grep -E 'FAIL|TIMEOUT' "$folder/run.log"

gcovr --root "$root" --object-directory "$folder" --filter "$root/engine/" --filter "$root/tools/manifest.c" \
    --exclude '.*_test\.c' --exclude '.*testing\.h' --exclude '.*/fs_memory.*' --exclude '.*/fs_fault.*' \
    --exclude '.*/sched_sim.*' --exclude '.*/scratch.*' --gcov-ignore-parse-errors \
    --json-summary "$folder/coverage.json" "$folder" >"$folder/gcovr.log" 2>&1 || { tail -5 "$folder/gcovr.log"; exit 1; }
python3 tests/coverage_table.py "$folder/coverage.json"
exit "$failed"
