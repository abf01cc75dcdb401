#!/usr/bin/env bash
# Installs what echo_client.mjs needs (the npm package ws, as package-lock.json pins it) into node_modules here.
# Does nothing when it is there already.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
if [ node_modules/.package-lock.json -nt package-lock.json ]; then
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "tests/clients/install.sh: error: npm is missing (Debian, Ubuntu: apt-get install npm)." >&2
    exit 1
fi
npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
