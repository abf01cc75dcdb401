#!/usr/bin/env bash
# Installs what echo_client.mjs and browser.mjs need (the npm packages ws and playwright-core, as package-lock.json pins
# them) into node_modules here. No browser: that is chromium of the system.
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
