#!/usr/bin/env bash
# Builds libcivetweb_net into artifacts/native/PRESET:
#
#   build/build-native.sh [--preset release|debug|asan|tsan|fuzz|bench|vcpkg|RID] [--test]
#
# RID: one of the platforms that build/build-runtimes.sh builds.
# Says nothing when everything is up to date. The last line of a failure is the reason, in the form
# "build-native: error: …" that MSBuild shows as its own; everything else is in build.log.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
preset=release
run_tests=

fail() { printf 'build-native: error: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        --preset) [ $# -ge 2 ] || fail "--preset needs a name."; preset=$2; shift ;;
        --preset=*) preset=${1#*=} ;;
        --test) run_tests=1 ;;
        *) fail "unknown argument '$1'; usage: build/build-native.sh [--preset NAME] [--test]" ;;
    esac
    shift
done
case $preset in
    release | debug | asan | tsan | fuzz | bench | linux-arm64 | win-x64) ;;
    linux-x64 | linux-musl-x64)
        [ "$(uname -m)" = x86_64 ] || fail "the preset '$preset' has no cross compiler: it needs an x86-64 Linux." ;;
    vcpkg) [ -n "${VCPKG_ROOT:-}" ] || fail "the preset 'vcpkg' needs VCPKG_ROOT to name the vcpkg folder." ;;
    *) fail "there is no preset '$preset': take release, debug, asan, tsan, fuzz, bench, vcpkg, linux-x64, linux-arm64, linux-musl-x64 or win-x64." ;;
esac

cd "$root"
out=artifacts/native/$preset
log=$out/build.log
mkdir -p "$out" || fail "cannot create $root/$out."

# Two MSBuild nodes, or a terminal and an IDE, may come at the same time.
if command -v flock >/dev/null; then
    exec 9>artifacts/native/.lock
    flock 9
fi

# --- tools ----------------------------------------------------------------------------------------
compiles() { # compiler and its arguments
    printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
        "$@" -x c -o "$out/probe" - 2>/dev/null && rm -f "$out/probe"
}
missing_packages() {
    command -v cmake >/dev/null || echo cmake
    command -v ninja >/dev/null || echo ninja-build
    case $preset in
        linux-arm64)
            compiles aarch64-linux-gnu-gcc || echo "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
            emulator qemu-user-static command -v qemu-aarch64-static ;;
        linux-musl-x64) compiles musl-gcc || echo musl-tools ;;
        win-x64)
            compiles x86_64-w64-mingw32-gcc-posix || echo gcc-mingw-w64-x86-64-posix
            emulator wine64 native/tests/wine.sh --version ;;
        *) [ -n "${CC:-}" ] || compiles cc || compiles gcc || compiles clang || echo "gcc libc6-dev" ;;
    esac
}
emulator() { # its package, a command that shows whether it is there; only tests need it
    [ -z "$run_tests" ] || "${@:2}" >/dev/null 2>&1 || echo "$1"
}

check_tools() {
    local packages version
    # Unquoted: CC may hold arguments too.
    # shellcheck disable=SC2086
    [ -z "${CC:-}" ] || compiles $CC || fail "the C compiler that the variable CC names, '$CC', is not there or does not work."
    packages=$(missing_packages | xargs)
    if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "build-native: installing $packages"
        # shellcheck disable=SC2086
        build/apt-install.sh $packages >"$log" 2>&1 || true
        hash -r
        packages=$(missing_packages | xargs)
        [ -z "$packages" ] || fail "apt-get could not install $packages, which are needed to build libcivetweb_net (log: $log)."
    fi
    if [ -n "$packages" ]; then
        if command -v apt-get >/dev/null; then
            fail "$packages are needed to build libcivetweb_net and not there: run 'sudo apt-get install $packages'."
        fi
        fail "CMake, Ninja and a C compiler are needed to build libcivetweb_net and not all are there: install them with this system's package manager."
    fi
    version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
    [ "$(printf '%s\n3.21\n' "$version" | sort -V | head -n 1)" = 3.21 ] ||
        fail "CMake $version is too old to build libcivetweb_net: 3.21 or newer is needed."
}

# --- what went wrong ------------------------------------------------------------------------------
# The text of CMake's first error: the lines after "CMake Error…" up to the call stack, as one line.
cmake_reason() {
    awk '/^CMake Error/ { if (found) exit
                          found = 1
                          sub(/^CMake Error( at [^ ]* \([a-z_]+\))?:? */, "") }
         /^(Call Stack|-- )/ && found { exit }
         found { print }' "$log" | tr -s ' \n' ' ' | sed 's/^ //; s/ $//'
}
# What the compiler and the linker said: ninja's output without progress and command lines.
diagnostics() {
    awk '/^FAILED:/ { getline; next } /^(\[[0-9]+\/[0-9]+\]|ninja:|-- )/ { next } { print }' "$log"
}

# --- configure, build -----------------------------------------------------------------------------
# CMake itself notices changed CMakeLists.txt; not these: the presets, the variable, a moved working tree.
wanted="$root CIVETWEB_SOURCE_DIR=${CIVETWEB_SOURCE_DIR:-} CC=${CC:-}"
if [ ! -f "$out/build.ninja" ] || [ CMakePresets.json -nt "$out/.configured" ] || [ "$(cat "$out/.configured")" != "$wanted" ]; then
    check_tools
    # A cache of another place or compiler cannot be reused.
    rm -rf "$out/CMakeCache.txt" "$out/CMakeFiles" "$out/.configured"
    cmake --preset "$preset" >"$log" 2>&1 || fail "$(cmake_reason) (log: $log)"
    echo "$wanted" >"$out/.configured"
elif [ -n "$run_tests" ] || ! command -v cmake >/dev/null || ! command -v ninja >/dev/null; then
    check_tools
fi

target=civetweb_net
[ -z "$run_tests" ] || target=all
[ "$preset" != fuzz ] || target=fuzzers
[ "$preset" != bench ] || target=bench
if ! cmake --build --preset "$preset" --target "$target" >"$log" 2>&1; then
    if grep -q '^CMake Error' "$log"; then
        fail "$(cmake_reason) (log: $log)"
    fi
    diagnostics >&2
    fail "the native code could not be built, see above (log: $log)"
fi
if ! grep -q '^ninja: no work to do' "$log"; then
    diagnostics >&2 # warnings, if any
    echo "build-native: built $target in $out"
fi

if command -v flock >/dev/null; then exec 9>&-; fi
[ -z "$run_tests" ] || ctest --preset "$preset" || fail "a native test failed, see above."
