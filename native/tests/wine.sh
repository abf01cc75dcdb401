#!/usr/bin/env bash
# Runs a Windows program under wine: what CMake calls the emulator of preset win-x64. WINEPREFIX says where wine keeps
# its world; unless it is set that is artifacts/wine. Before many programs: wine.sh --begin, which makes that world and
# keeps its server; after them: wine.sh --end, which ends it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export WINEPREFIX=${WINEPREFIX:-$root/artifacts/wine}
# Quiet, and without the offers to fetch what wine can do without.
export WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES='mscoree,mshtml='

# Debian's wine64 alone is in no PATH.
PATH=$PATH:/usr/lib/wine
fail() { echo "wine.sh: $*" >&2; exit 127; }
wine=$(command -v wine64 || command -v wine64-stable) || fail "there is no wine64"
server=$(command -v wineserver64 || command -v wineserver) || fail "there is no wineserver"
case ${1:-} in
    --begin)
        mkdir -p "$WINEPREFIX"
        # Neither it nor what it starts is to keep the output of the caller open.
        "$server" --persistent </dev/null >/dev/null 2>&1
        "$wine" wineboot --init </dev/null >/dev/null 2>&1
        ;;
    --end)
        # --kill fails when there is none.
        "$server" --kill || true
        exec "$server" --wait
        ;;
    *) exec "$wine" "$@" ;;
esac
