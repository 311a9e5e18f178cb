#!/bin/sh
# localize.sh IN.a OUT.a WORK LD OBJCOPY AR: one object of all in IN.a, with hidden symbols made local, as archive OUT.a.
set -eu
mkdir -p "$3"
"$4" -r --whole-archive "$1" -o "$3/lore.o"
"$5" --localize-hidden "$3/lore.o"
rm -f "$2"
"$6" rcs "$2" "$3/lore.o"
