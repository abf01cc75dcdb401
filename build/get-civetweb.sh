#!/usr/bin/env bash
# Puts the source of CivetWeb 1.16, with its security fixes, into a folder:
#
#   build/get-civetweb.sh [DEST]        DEST: artifacts/civetweb unless given
#
# It is the source package of Debian (or Ubuntu), fetched and verified by apt. The archive is the one this
# machine is configured for; a newer suite of it is read through apt files of our own, in a temporary folder,
# so that nothing of the machine's configuration changes and no root is needed.
# With CIVETWEB_SOURCE_DIR set, that source is used by the build and nothing is fetched.
set -euo pipefail

name=get-civetweb
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dest=${1:-$root/artifacts/civetweb}
instead="set CIVETWEB_SOURCE_DIR to an unpacked CivetWeb 1.16"

say() { printf '%s: %s\n' "$name" "$*"; }
fail() { printf '%s: error: %s\n' "$name" "$*" >&2; exit 1; }

if [ -n "${CIVETWEB_SOURCE_DIR:-}" ]; then
    say "nothing to do, CIVETWEB_SOURCE_DIR names $CIVETWEB_SOURCE_DIR"
    exit 0
fi

# A finished folder has this file; it comes into being together with the folder, by one rename.
stamp=.civetweb-source

# The right version, and both fixes? Looked for in the code, because patches leave the version alone.
# (native/cmake/FindCivetWebSource.cmake has the same conditions.)
is_good() {
    grep -qs '^#define CIVETWEB_VERSION "1\.16"' "$1/include/civetweb.h" &&
        [ -f "$1/src/civetweb.c" ] &&
        ! grep -q 'strcat(new_path, ri->query_string)' "$1/src/civetweb.c" &&
        grep -Eqs 'abort_read|memchr\(buf' "$1/src/handle_form.inl"
}

is_there() { [ -f "$dest/$stamp" ] && is_good "$dest"; }

if is_there; then
    say "$(cat "$dest/$stamp") is in $dest"
    exit 0
fi

mkdir -p "$(dirname "$dest")" 2>/dev/null || fail "cannot create the folder of $dest."
dest=$(cd "$(dirname "$dest")" && pwd)/$(basename "$dest")

# One run at a time for one folder; whoever waited finds the work done.
if command -v flock >/dev/null; then
    exec 9>"$dest.lock" || fail "cannot write next to $dest."
    flock 9
    if is_there; then
        say "$(cat "$dest/$stamp") is in $dest"
        exit 0
    fi
fi
if [ -e "$dest" ] && [ ! -f "$dest/$stamp" ] && [ -n "$(ls -A "$dest")" ]; then
    fail "$dest is not empty and was not made by this script: remove it, or name another folder."
fi

# --- what is needed -------------------------------------------------------------------------------
command -v apt-get >/dev/null ||
    fail "CivetWeb's source is fetched with apt-get, which this system does not have: $instead, or use the CMake preset 'vcpkg'."
if ! command -v dpkg-source >/dev/null; then
    [ "$(id -u)" = 0 ] || fail "dpkg-source is missing: run 'sudo apt-get install dpkg-dev', or $instead."
    say "installing dpkg-dev" >&2
    "$root/build/apt-install.sh" dpkg-dev >/dev/null 2>&1 ||
        fail "dpkg-source is missing and could not be installed: run 'apt-get update && apt-get install dpkg-dev', or $instead."
fi

# --- apt files of our own -------------------------------------------------------------------------
rm -rf "$dest".tmp.* # left by a run that was killed; the lock says nobody works there now
tmp=$(mktemp -d "$dest.tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$tmp"/lists/partial "$tmp"/cache/archives/partial "$tmp"/unpack

cat >"$tmp/apt.conf" <<EOF
Dir::Etc::SourceList "$tmp/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "$tmp/lists";
Dir::Cache "$tmp/cache";
// The folder is ours alone: root does not hand downloads to the user _apt.
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
// What the machine does after its own updates is none of our business.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
EOF
apt() { local tool=$1; shift; LC_ALL=C "$tool" -c "$tmp/apt.conf" "$@"; }

# The reason in apt's output, on one line.
reason() { grep -oE '(E|W): .*' "$tmp/log" | head -n 1 | sed -E 's/^.: (Failed to fetch )?//; s/  +/: /' || true; }

# The distribution's own archives among the machine's sources: "label site", without duplicates.
archives() {
    apt-get indextargets --format '$(LABEL) $(SITE) $(COMPONENT) $(CREATED_BY)' 2>/dev/null |
        awk '($1 == "Debian" || $1 == "Ubuntu") && $3 == "main" && $4 == "Packages" && !seen[$2]++ { print $1, $2 }' |
        grep . && return
    # Before the machine's first "apt-get update" apt knows no labels: go by the address.
    apt-get indextargets --no-release-info --format '$(SITE) $(COMPONENT) $(CREATED_BY)' 2>/dev/null |
        awk '$2 == "main" && $3 == "Packages" && !seen[$1]++ {
                 if ($1 ~ /\/debian\/?$/) print "Debian", $1
                 if ($1 ~ /\/ubuntu\/?$/) print "Ubuntu", $1 }'
}

# --- suite after suite ----------------------------------------------------------------------------
tried=()
note() { tried+=("$*"); }
unreachable=

try_suite() { # label site suite
    local label=$1 site=$2 suite=$3 keyring component versions version where
    case $label in
        Debian) keyring=/usr/share/keyrings/debian-archive-keyring.gpg component=main ;;
        Ubuntu) keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg component=universe ;;
    esac
    [ -f "$keyring" ] && keyring="[signed-by=$keyring] " || keyring=
    where="$suite of $site"
    echo "deb-src $keyring$site $suite $component" >"$tmp/sources.list"

    if ! apt apt-get -q update >"$tmp/log" 2>&1; then
        note "$where: $(reason)"
        return 1
    fi
    versions=$(apt apt-cache showsrc --only-source civetweb 2>/dev/null | awk '$1 == "Version:" { print $2 }' | sort -Vru)
    if ! grep -q '^1\.16[+-]' <<<"$versions"; then
        note "$where: has ${versions:-no civetweb}"
        return 1
    fi
    for version in $(grep '^1\.16[+-]' <<<"$versions"); do
        rm -rf "$tmp/unpack" && mkdir "$tmp/unpack"
        if ! (cd "$tmp/unpack" && apt apt-get -q source "civetweb=$version") >"$tmp/log" 2>&1; then
            note "$where: $version could not be fetched: $(reason)"
        elif ! is_good "$tmp"/unpack/civetweb-*/; then
            note "$where: $version lacks the fix of CVE-2025-55763 or CVE-2025-9648"
        else
            echo "CivetWeb $version from $label $suite" >"$tmp/unpack/$stamp"
            return 0
        fi
    done
    return 1
}

find_source() {
    local label site suite suites
    while read -r label site; do
        [ "$label" = Debian ] && suites="stable testing unstable" || suites=devel
        for suite in $suites; do
            try_suite "$label" "$site" "$suite" && return 0
            # An archive that cannot be reached has no other suite either.
            if grep -Eq 'Could not (resolve|connect)|Cannot initiate|Temporary failure|Unable to connect' "$tmp/log"; then
                unreachable=1
                break
            fi
        done
    done <<<"$1"
    return 1
}

list=$(archives || true)
[ -n "$list" ] || fail "this machine's apt sources name no archive of Debian or Ubuntu to fetch CivetWeb from: $instead."
if ! find_source "$list"; then
    if [ -n "$unreachable" ]; then
        what="CivetWeb's source could not be fetched because the package archive cannot be reached: check the network or the proxy, or $instead."
    else
        what="this machine's package archive serves no source of CivetWeb 1.16 with the fixes of CVE-2025-55763 and CVE-2025-9648: $instead."
    fi
    fail "$what Tried:$(printf '\n  %s' "${tried[@]}")"
fi

# Into place at once: a folder that exists is complete.
set -- "$tmp"/unpack/civetweb-*/
mv "$tmp/unpack/$stamp" "$1"
rm -rf "$dest"
mv "$1" "$dest"
say "$(cat "$dest/$stamp") is in $dest"
