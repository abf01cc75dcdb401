#!/usr/bin/env bash
# Builds libcivetweb_net for the platforms that are shipped, as it is shipped:
#
#   build/build-runtimes.sh [--test] [RID...]      all of them unless some are named
#
# artifacts/runtimes/RID/native gets the library, artifacts/runtimes/RID/symbols its debug information, which a
# debugger finds by the link in the library. The same source gives the same bytes. --test runs the native tests of each
# RID, those of another processor or system in an emulator. Says nothing when everything is up to date.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
all=(linux-x64 linux-arm64 linux-musl-x64 win-x64)
rids=()
run_tests=

fail() { printf 'build-runtimes: error: %s\n' "$*" >&2; exit 1; }

# One line for each RID that a toolchain can be had for; docs/building.md tells how to add one.
describe() { # RID; sets library and binutils
    library=libcivetweb_net.so binutils=
    case $1 in
        linux-x64 | linux-musl-x64) ;;
        linux-arm64) binutils=aarch64-linux-gnu- ;;
        win-x64) library=civetweb_net.dll binutils=x86_64-w64-mingw32- ;;
        *) fail "there is no RID '$1': take ${all[*]}." ;;
    esac
}

while [ $# -gt 0 ]; do
    case $1 in
        --test) run_tests=1 ;;
        -*) fail "unknown argument '$1'; usage: build/build-runtimes.sh [--test] [RID...]" ;;
        *) describe "$1"; rids+=("$1") ;;
    esac
    shift
done
[ ${#rids[@]} -gt 0 ] || rids=("${all[@]}")

cd "$root"

# The library without debug information, and that on its own.
split() { # RID
    local built=artifacts/native/$1/$library out=artifacts/runtimes/$1
    if [ "$out/native/$library" -nt "$built" ] && [ -f "$out/symbols/$library.debug" ]; then return; fi
    rm -rf "$out"
    mkdir -p "$out/native" "$out/symbols"
    # --preserve-dates: a DLL's own time stamp is not to be the time of day.
    "${binutils}objcopy" --preserve-dates --only-keep-debug "$built" "$out/symbols/$library.debug"
    "${binutils}objcopy" --preserve-dates --strip-unneeded --add-gnu-debuglink="$out/symbols/$library.debug" \
        "$built" "$out/native/$library"
    chmod 644 "$out"/*/*
    # Last: the time of this file says that all is done.
    touch "$out/native/$library"
    echo "build-runtimes: $out/native/$library"
}

failed=()
for rid in "${rids[@]}"; do
    describe "$rid"
    bash build/build-native.sh --preset "$rid"
    split "$rid"
    [ -n "$run_tests" ] || continue
    echo "build-runtimes: testing $rid"
    if [ "$rid" = linux-arm64 ] && ! bash build/get-arm64-openssl.sh; then
        echo "build-runtimes: without it the tests that need TLS are skipped"
    fi
    bash build/build-native.sh --preset "$rid" --test || failed+=("$rid")
    # ctest says that a test was skipped, its log why.
    sed -n 's/^\([a-z_]*: skipped: \)/  \1/p' "artifacts/native/$rid/Testing/Temporary/LastTest.log"
done
[ ${#failed[@]} -eq 0 ] || fail "native tests failed for ${failed[*]}, see above."
