#!/bin/sh
# Other processors: build the engine, the program and the tests for each ARCH (default: s390x armhf arm64), run them
# under qemu, and hold files written there and here against each other.
#
#   usage: portability.sh [ARCH...]      s390x is big-endian, armhf has words of 32 bits, arm64 has NEON
#
# Debian 12 on x86-64. Compilers, libraries and the emulator are Debian's packages, unpacked in BUILD_ROOT (default
# build-portability, kept between runs, 400 MiB for each ARCH) and not installed: nothing outside it is changed, and
# nobody needs to be root. JOBS (default 1) compilers at once. The last line is "N passed, N failed"; the exit status
# is 0 if nothing failed.
set -u
cd "$(dirname "$0")/.." || exit 1
source_root=$PWD
build_root="${BUILD_ROOT:-build-portability}"
passed=0
failed=0
scratch=""

finish() {
    trap '' HUP INT TERM
    trap - EXIT
    [ -z "$scratch" ] || rm -rf "$scratch"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && exit 0
    exit 1
}
trap finish EXIT
trap 'failed=$((failed + 1)); exit 1' HUP INT TERM

check() { # what it shows, then the command that must succeed
    what="$1"
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
    fi
}

# Lists of packages of all processors, in a folder of their own.
set_up_packages() {
    mkdir -p "$build_root/apt/lists/partial" "$build_root/apt/cache/archives/partial" "$build_root/apt/debs" || return 1
    : >"$build_root/apt/status"
    mirror="${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)}"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" \
        >"$build_root/apt/sources.list"
    cat >"$build_root/apt/apt.conf" <<END
APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; "armhf"; "s390x"; };
APT::Sandbox::User "";
Dir::State "$build_root/apt";
Dir::State::status "$build_root/apt/status";
Dir::Cache "$build_root/apt/cache";
Dir::Etc::sourcelist "$build_root/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
END
    APT_CONFIG="$build_root/apt/apt.conf" apt-get update -qq
}

# The compiler for $arch into $home/tools, what it links into $home/sysroot.
unpack() {
    [ -f "$home/unpacked" ] && return 0
    [ -f "$build_root/apt/status" ] || set_up_packages || return 1
    rm -rf "$home/tools" "$home/sysroot" "$home/debs"
    mkdir -p "$home/tools" "$home/sysroot" "$home/debs/here" "$home/debs/there" || return 1
    there=""
    for package in libc6 libc6-dev linux-libc-dev libgcc-s1 libcmocka0 libcmocka-dev liblmdb0 liblmdb-dev liblz4-1 \
        liblz4-dev libxxhash0 libxxhash-dev libjansson4 libjansson-dev libsodium23 libsodium-dev; do
        there="$there $package:$arch"
    done
    here="gcc-12-$triplet cpp-12-$triplet binutils-$triplet libgcc-12-dev-$arch-cross qemu-user-static"
    # shellcheck disable=SC2086
    (export APT_CONFIG="$build_root/apt/apt.conf" && cd "$home/debs/here" && apt-get download -qq $here &&
        cd ../there && apt-get download -qq $there) || return 1
    for file in "$home"/debs/here/*.deb; do dpkg -x "$file" "$home/tools" || return 1; done
    for file in "$home"/debs/there/*.deb; do dpkg -x "$file" "$home/sysroot" || return 1; done
    rm -rf "$home/debs"
    touch "$home/unpacked"
}

configure() {
    [ -f "$home/build/build.ninja" ] && return 0
    tool="$home/tools/usr/bin/$triplet"
    cat >"$home/cross.ini" <<END
[binaries]
c = ['$tool-gcc-12', '--sysroot=$home/sysroot']
ar = '$tool-ar'
ld = '$tool-ld'
objcopy = '$tool-objcopy'
strip = '$tool-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['$home/tools/usr/bin/qemu-$qemu-static', '-L', '$home/sysroot', '-E', '$libraries_there']
[properties]
sys_root = '$home/sysroot'
pkg_config_libdir = ['$home/sysroot/usr/lib/$triplet/pkgconfig']
[host_machine]
system = 'linux'
cpu_family = '$family'
cpu = '$family'
endian = '$endian'
END
    rm -rf "$home/build"
    # In 32 bits, tests that draw a size from a 64-bit number warn of it: not an error there.
    LD_LIBRARY_PATH="$libraries" meson setup $strict "$home/build" "$source_root" --cross-file "$home/cross.ini"
}

emulate() { # a program of the build, and its arguments
    program="$1"
    shift
    "$home/tools/usr/bin/qemu-$qemu-static" -L "$home/sysroot" -E "$libraries_there" "$home/build/$program" "$@"
}

here() {
    program="$1"
    shift
    "$build_root/here/$program" "$@"
}

# Unit tests, the vectors of the format page, fuzz targets over their corpora. scratch_test starts itself anew, which an emulator
# that is not registered with the kernel cannot do.
run_tests() {
    names=$(meson test -C "$home/build" --no-rebuild --list 2>/dev/null | sed -n 's,^lore:\(unit\|fuzz\)[^ ]* / ,,p' | grep -vx scratch_test)
    [ -n "$names" ] || { failed=$((failed + 1)); echo "FAILED: $arch: no list of tests"; return; }
    results="$home/build/meson-logs/testlog.json"
    rm -f "$results"
    # shellcheck disable=SC2086
    meson test -C "$home/build" --print-errorlogs --no-rebuild --timeout-multiplier 10 $names format_vectors 2>&1 |
        grep -v '^ *[0-9]*/[0-9]* .* OK '
    all=$(grep -c '"result": "' "$results")
    ok=$(grep -c '"result": "OK"' "$results")
    [ "${all:-0}" -gt 0 ] || { all=1; ok=0; }
    passed=$((passed + ok))
    failed=$((failed + all - ok))
}

run_store_tests() {
    check "$arch: edges_test" emulate tests/edges_test
    check "$arch: crash_enum_test" emulate tests/crash_enum_test --states 3000
    check "$arch: sim_test" emulate tests/sim_test --seeds 1 10
    check "$arch: flip_test" emulate tests/flip_test
    check "$arch: map_lmdb_test" emulate tests/map_lmdb_test --seed 1
    check "$arch: metamorphic_test" emulate tests/metamorphic_test --seed 1
}

# Store $1 says $2 when the program that $3 runs reads it; the catalog.mdb of another processor is made anew once.
says() {
    rm -rf "$scratch/copy"
    cp -R "$1" "$scratch/copy"
    for time in first second; do
        if ! "$3" tools/lore dump --canonical --db "$scratch/copy" >"$scratch/dump" 2>"$scratch/errors"; then
            cat "$scratch/errors"
            return 1
        fi
        cmp "$2" "$scratch/dump" || return 1
        if [ $time = first ]; then wanted="$4"; else wanted=0; fi
        found=$(grep -c 'catalog.mdb: rebuilt from edits' "$scratch/errors")
        if [ "$found" -ne "$wanted" ]; then
            echo "catalog.mdb was made anew $found times, not $wanted, at the $time opening"
            cat "$scratch/errors"
            return 1
        fi
    done
    "$3" tools/lore verify --db "$scratch/copy" >"$scratch/said" 2>&1 &&
        "$3" tools/lore compact --db "$scratch/copy" >"$scratch/said" 2>&1 &&
        "$3" tools/lore dump --canonical --db "$scratch/copy" | cmp "$2" -
}

read_here() { # store, dump: the reader of docs/format.md
    (cd "$source_root/tests" && PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m format_reader "$1") | cmp "$2" -
}

dump_of_copy() { # of store $1, by the program here
    rm -rf "$scratch/copy"
    cp -R "$1" "$scratch/copy" && here tools/lore dump --canonical --db "$scratch/copy" >"$1.jsonl" 2>"$scratch/errors"
}

exchange_files() {
    for expected in "$scratch"/fixtures/*.jsonl; do
        check "$arch: fixture $(basename "$expected" .jsonl)" says "${expected%.jsonl}" "$expected" emulate "$foreign"
    done
    for seed in 1 2; do
        kill=""
        [ $seed = 1 ] || kill="--kill"
        for maker in here emulate; do
            store="$scratch/$arch-$maker-$seed"
            # shellcheck disable=SC2086
            check "$arch: a store made ($maker)" $maker tests/format_store "$store" $seed 1500 $kill
            check "$arch: a dump of it ($maker)" dump_of_copy "$store"
            check "$arch: format_reader, $maker $seed" read_here "$store" "$store.jsonl"
            if [ $maker = here ]; then other="$foreign" same=0; else other=0 same="$foreign"; fi
            check "$arch: $maker $seed, read there" says "$store" "$store.jsonl" emulate "$other"
            check "$arch: $maker $seed, read here" says "$store" "$store.jsonl" here "$same"
        done
    done
}

port() { # $arch
    home="$build_root/$arch"
    case "$arch" in # foreign: whether its LMDB files are of another word size or byte order than ours
    s390x) triplet=s390x-linux-gnu family=s390x endian=big qemu=s390x foreign=1 strict=--werror ;;
    armhf) triplet=arm-linux-gnueabihf family=arm endian=little qemu=arm foreign=1 strict= ;;
    arm64) triplet=aarch64-linux-gnu family=aarch64 endian=little qemu=aarch64 foreign=0 strict=--werror ;;
    *)
        echo "no such processor: $arch"
        return 1
        ;;
    esac
    mkdir -p "$home"
    # Named, since an emulator of 32 bits shows the loader folders of the host where it looks for ours.
    libraries_there="LD_LIBRARY_PATH=$home/sysroot/lib/$triplet:$home/sysroot/usr/lib/$triplet"
    libraries="$home/tools/usr/lib/x86_64-linux-gnu" # of the assembler and the linker
    if ! { unpack && configure && LD_LIBRARY_PATH="$libraries" ninja -j "${JOBS:-1}" -C "$home/build"; } >"$home/log" 2>&1; then
        tail -n 40 "$home/log"
        return 1
    fi
    run_tests
    run_store_tests
    exchange_files
}

sh tools/install-packages.sh || { failed=1; exit; }
mkdir -p "$build_root" || { failed=1; exit; }
build_root=$(cd "$build_root" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/lore-port-XXXXXX") || { failed=1; exit; }
mkdir "$scratch/home" "$scratch/fixtures"
export TMPDIR="$scratch" HOME="$scratch/home"
tar -xf tests/fixtures/format-1.tar.xz -C "$scratch/fixtures" || { failed=1; exit; }
if ! { [ -f "$build_root/here/build.ninja" ] || meson setup "$build_root/here"; } >"$build_root/here.log" 2>&1 ||
    ! ninja -j "${JOBS:-1}" -C "$build_root/here" tools/lore tests/format_store >>"$build_root/here.log" 2>&1; then
    tail -n 40 "$build_root/here.log"
    failed=1
    exit
fi
[ $# -gt 0 ] || set -- s390x armhf arm64
for arch in "$@"; do
    echo "== $arch"
    began=$(date +%s)
    port || failed=$((failed + 1))
    echo "== $arch took $(($(date +%s) - began)) s"
done
