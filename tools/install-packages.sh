#!/bin/sh
# Install what building and testing Lore needs on Debian 12. Does nothing where all of it is there already.
set -eu
packages="gcc clang llvm meson ninja-build pkg-config binutils python3 python3-lz4 python3-xxhash python3-numpy
liblmdb-dev liblz4-dev libxxhash-dev libcmocka-dev libjansson-dev libsodium-dev"
missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"
echo "Installing:$missing" >&2
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
