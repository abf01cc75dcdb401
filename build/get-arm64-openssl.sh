#!/usr/bin/env bash
# Puts OpenSSL 3 for linux-arm64 into artifacts/openssl-arm64, for the native tests of that preset under qemu-user:
#
#   build/get-arm64-openssl.sh
#
# It is Debian's or Ubuntu's libssl3, from the archive this machine is configured for, through apt files of our own:
# nothing of the machine changes and no root is needed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dest=$root/artifacts/openssl-arm64
fail() { printf 'get-arm64-openssl: error: %s\n' "$*" >&2; exit 1; }

[ ! -e "$dest/usr/lib/aarch64-linux-gnu/libssl.so.3" ] || exit 0
command -v apt-get >/dev/null || fail "it is fetched with apt-get, which this system does not have."
mkdir -p "$root/artifacts"
tmp=$(mktemp -d "$dest.tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$tmp"/lists/partial "$tmp"/cache/archives/partial "$tmp"/root

apt() {
    LC_ALL=C apt-get -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$tmp/lists" \
        -o Dir::State::status=/dev/null -o Dir::Cache="$tmp/cache" -o APT::Sandbox::User= -o Acquire::Languages=none \
        "$@" >>"$tmp/log" 2>&1
}
cd "$tmp"
apt update || fail "$(tail -n 1 "$tmp/log")"
apt download libssl3 || apt download libssl3t64 || fail "$(tail -n 1 "$tmp/log")"
for package in ./*.deb; do dpkg-deb --extract "$package" "$tmp/root"; done
# Some systems keep it in /lib.
libraries=$(dirname "$(find "$tmp/root" -name libssl.so.3 -print -quit)")
[ -f "$libraries/libcrypto.so.3" ] || fail "the package has no libssl.so.3 and libcrypto.so.3."
mkdir -p "$tmp/dest/usr/lib/aarch64-linux-gnu"
cp "$libraries"/lib*.so.3 "$tmp/dest/usr/lib/aarch64-linux-gnu"
rm -rf "$dest"
mv "$tmp/dest" "$dest"
echo "get-arm64-openssl: $(basename ./*.deb)"
