#!/usr/bin/env bash
# Installs packages of Debian or Ubuntu, as root:
#
#   build/apt-install.sh PACKAGE...
#
# Asks nothing, waits for another apt that is at work, starts no service of what it installs, and leaves what apt
# itself would not need out. What apt says goes to standard output.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: build/apt-install.sh PACKAGE..." >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "apt-install: packages can only be installed by root." >&2; exit 1; }
command -v apt-get >/dev/null || { echo "apt-install: this system has no apt-get." >&2; exit 1; }

# RUNLEVEL: programs such as nginx are wanted as programs, not as services that start now.
apt() { RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" </dev/null 2>&1; }

# The lists have a lock too, for which apt does not wait by itself.
for ((i = 1; ; i++)); do
    if output=$(apt update); then
        break
    fi
    case $output in
        *"Could not get lock"*) [ "$i" -lt 60 ] || { echo "$output"; exit 1; }; sleep 5 ;;
        *) break ;; # what was known before may be enough
    esac
done
echo "$output"
apt install -y --no-install-recommends "$@"
