#!/bin/sh
# localize.sh IN.a OUT.a WORK: one object of all in IN.a, with hidden symbols made local, as archive OUT.a.
set -eu
mkdir -p "$3"
ld -r --whole-archive "$1" -o "$3/lore.o"
objcopy --localize-hidden "$3/lore.o"
rm -f "$2"
ar rcs "$2" "$3/lore.o"
