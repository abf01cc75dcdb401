#!/usr/bin/env bash
# Draws icon.png, the package's icon, from icon.svg. Needed only when the SVG has changed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
fail() { printf 'render: error: %s\n' "$*" >&2; exit 1; }
if ! command -v rsvg-convert >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        ../apt-install.sh librsvg2-bin >/dev/null 2>&1 || true
        hash -r
    fi
    command -v rsvg-convert >/dev/null || fail "rsvg-convert is needed and not there: run 'sudo apt-get install librsvg2-bin'."
fi
rsvg-convert --width 128 --height 128 --output icon.png icon.svg
