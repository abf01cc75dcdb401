#!/usr/bin/env bash
# Runs a Windows program under wine: what CMake calls the emulator of preset win-x64. WINEPREFIX says where wine keeps
# its world; unless it is set that is artifacts/wine, and whoever is last to use it ends its server (wine.sh --end).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export WINEPREFIX=${WINEPREFIX:-$root/artifacts/wine}
# Quiet, and without the offers to fetch what wine can do without.
export WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES='mscoree,mshtml='

# Debian's wine64 alone is in no PATH.
PATH=$PATH:/usr/lib/wine
if [ "${1:-}" = --end ]; then
    server=$(command -v wineserver64 || command -v wineserver)
    # -k fails when there is none.
    "$server" -k || true
    exec "$server" -w
fi
wine=$(command -v wine64 || command -v wine64-stable) || { echo "wine.sh: there is no wine64" >&2; exit 127; }
exec "$wine" "$@"
