#!/usr/bin/env bash
# Writes generated/NativeMethods.g.cs anew from CivetWeb's header:
#
#   build/regenerate.sh             write it
#   build/regenerate.sh --check     only compare; exit code 1 if the committed file is stale
#
# Exit code 3: the generator cannot be had here. Nothing but this script needs it.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=generated/NativeMethods.g.cs

say() { printf 'regenerate: %s\n' "$*"; }
fail() { local code=$1; shift; printf 'regenerate: error: %s\n' "$*" >&2; exit "$code"; }

case ${1:-} in
    '') check= ;;
    --check) check=1 ;;
    *) fail 2 "unknown argument '$1'; usage: build/regenerate.sh [--check]" ;;
esac

build/get-civetweb.sh >/dev/null
source=${CIVETWEB_SOURCE_DIR:-artifacts/civetweb}
[ -f "$source/include/civetweb.h" ] || fail 2 "$source holds no include/civetweb.h."

mkdir -p artifacts
tmp=$(mktemp -d artifacts/regenerate.XXXXXX)
trap 'rm -rf "$tmp"' EXIT

command -v dotnet >/dev/null || fail 3 "the generator needs the .NET SDK, which is not there."
dotnet tool restore >"$tmp/log" 2>&1 ||
    fail 3 "the tool ClangSharpPInvokeGenerator of .config/dotnet-tools.json cannot be had from this machine's package feeds: $(grep -m 1 -iE 'error|not found|unable' "$tmp/log" || tail -n 1 "$tmp/log")"

# The committed arguments, but for where the header is and where the result goes.
sed -e "s|artifacts/civetweb/|$source/|" -e "s|^generated/NativeMethods.g.cs|$tmp/NativeMethods.g.cs|" generated/civetweb.rsp >"$tmp/civetweb.rsp"
# Its exit code counts warnings; errors make it negative, which a shell sees as 128 and more.
code=0
dotnet ClangSharpPInvokeGenerator "@$tmp/civetweb.rsp" >"$tmp/log" 2>&1 || code=$?
if [ "$code" -ge 126 ] || [ ! -s "$tmp/NativeMethods.g.cs" ]; then
    cat "$tmp/log" >&2
    fail 2 "the generator failed, see above."
fi

if cmp -s "$tmp/NativeMethods.g.cs" "$target"; then
    say "$target is up to date"
elif [ -n "$check" ]; then
    diff -u "$target" "$tmp/NativeMethods.g.cs" >&2 || true
    fail 1 "$target is stale: run build/regenerate.sh."
else
    cp "$tmp/NativeMethods.g.cs" "$target"
    say "$target written"
fi
