#!/usr/bin/env bash
# Makes the NuGet packages, in artifacts/packages, from the native libraries of every platform on:
#
#   build/pack.sh [--version X] [--prebuilt]
#
# --prebuilt takes the native libraries that are in artifacts/runtimes as they are. The same commit gives the same bytes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=artifacts/packages
log=artifacts/pack.log
version=
prebuilt=

say() { printf 'pack: %s\n' "$*"; }
fail() { printf 'pack: error: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        --version) [ $# -ge 2 ] || fail "--version needs a version."; version=$2; shift ;;
        --version=*) version=${1#*=} ;;
        --prebuilt) prebuilt=1 ;;
        *) fail "unknown argument '$1'; usage: build/pack.sh [--version X] [--prebuilt]" ;;
    esac
    shift
done
[ -z "$version" ] || [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] ||
    fail "'$version' is no version: 1.2.3 and 1.2.3-rc.1 are."
command -v dotnet >/dev/null || fail "the .NET SDK 10 is needed and not there."

if [ -z "$prebuilt" ]; then
    SECONDS=0
    build/build-runtimes.sh
    say "native libraries: $SECONDS s"
fi

# Times in the packages are the commit's, or two packs would differ.
if commit=$(git rev-parse HEAD 2>/dev/null); then
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
    [ -z "$(git status --porcelain)" ] || say "note: the packages name commit $commit, but there are changes that are not committed"
else
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date +%s)}
    say "note: this is no git checkout, so the packages name no commit"
fi
export SOURCE_DATE_EPOCH

SECONDS=0
rm -rf "$out"
mkdir -p "$out"
# No build servers: they would outlive this script.
export MSBUILDDISABLENODEREUSE=1 UseSharedCompilation=false DOTNET_CLI_USE_MSBUILD_SERVER=0 DOTNET_NOLOGO=1
mapfile -t projects < <(grep -l '<IsPackable>true</IsPackable>' src/*/*.csproj)
for project in "${projects[@]}"; do
    dotnet pack "$project" -c Release --verbosity quiet ${version:+"-p:Version=$version"} >"$log" 2>&1 || {
        grep -E 'error|warn' "$log" | sort -u >&2 || cat "$log" >&2
        fail "$project could not be packed, see above (log: $log)."
    }
done
package=$(find "$out" -name 'CivetWeb.Net.[0-9]*.nupkg')
[ -n "$package" ] || fail "dotnet pack ended well and made no package (log: $log)."

# NuGet's symbol packages are for managed code only.
if compgen -G 'artifacts/runtimes/*/symbols' >/dev/null; then
    (cd artifacts/runtimes && tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=a+r,go-w \
        --create --file=- ./*/symbols) | gzip -9n >"${package%.nupkg}.native-symbols.tar.gz"
fi
say "packages: $SECONDS s"
for file in "$out"/*; do
    printf '%9d %s\n' "$(stat -c %s "$file")" "$file"
done
