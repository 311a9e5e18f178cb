#!/bin/sh
# Set up, build, and run the main job on the sample conversation: import it, read it back, search it, verify the store.
# The program is left in build/tools/lore, the store in build/sample-memory.
set -eu
cd "$(dirname "$0")/.."
sh tools/install-packages.sh
if [ ! -f build/build.ninja ]; then
    meson setup build --buildtype=release -Doptimization=2 -Dtests=false >build-setup.log 2>&1 || { cat build-setup.log >&2; exit 1; }
    rm -f build-setup.log
fi
ninja -C build >build/build.log 2>&1 || { tail -n 40 build/build.log >&2; exit 1; }

LORE_MEMORY_PATH=build/sample-memory
export LORE_MEMORY_PATH
rm -rf "$LORE_MEMORY_PATH"
run() {
    printf '+ %s\n' "$*"
    build/tools/"$@"
}
run lore init
run lore import docs/sample/conversation.jsonl
run lore chat-history --session dolomites/2025-03-03 --limit 3
run lore search train --ignore-case --limit 2
run lore verify
