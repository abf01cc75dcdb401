#!/usr/bin/env bash
# Checks the vcpkg way of building as far as that goes without vcpkg and without a network:
#
#   build/check-vcpkg.sh
#
# - the manifest, the configuration and the overlay port are what vcpkg takes, and fit each other;
# - the port's patches fit the plain source of CivetWeb 1.16, and mend it;
# - what the port installs is what CMake looks for: the library is built from there.
# The plain source is Debian's with its patches taken back. Not checked: the download and its SHA512.
set -euo pipefail

name=check-vcpkg
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
say() { printf '%s: %s\n' "$name" "$*"; }
fail() { printf '%s: error: %s\n' "$name" "$*" >&2; exit 1; }
cd "$root"

for tool in cmake ninja patch python3; do
    command -v "$tool" >/dev/null || fail "$tool is needed."
done
mkdir -p artifacts
tmp=$(mktemp -d "$root/artifacts/vcpkg.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP

# --- the JSON files -------------------------------------------------------------------------------
python3 - <<'PYTHON' || fail "the vcpkg files are not right, see above."
import json, pathlib, re, sys

errors = []
def read(path):
    def unique(pairs):
        names = [name for name, _ in pairs]
        for name in {name for name in names if names.count(name) > 1}:
            errors.append(f"{path}: '{name}' is there twice")
        return dict(pairs)
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"), object_pairs_hook=unique)
    except (OSError, ValueError) as e:
        errors.append(f"{path}: {e}")
        return {}
def only(path, value, names):
    for name in value.keys() - names - {"$schema"}:
        errors.append(f"{path}: '{name}' is not a field of vcpkg that is used here: a slip?")
def check(path, good, what):
    if not good:
        errors.append(f"{path}: {what}")

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
manifest, configuration = read("vcpkg.json"), read("vcpkg-configuration.json")
only("vcpkg.json", manifest, {"name", "version", "description", "dependencies", "builtin-baseline"})
check("vcpkg.json", NAME.fullmatch(manifest.get("name", "")), "'name' is not one vcpkg takes")
check("vcpkg.json", re.fullmatch("[0-9a-f]{40}", manifest.get("builtin-baseline", "")), "'builtin-baseline' is not a commit")
only("vcpkg-configuration.json", configuration, {"overlay-ports"})
folders = [pathlib.Path(folder) for folder in configuration.get("overlay-ports", [])]
for folder in folders:
    check("vcpkg-configuration.json", folder.is_dir(), f"there is no folder '{folder}'")
ports = {port.name: port for folder in folders for port in folder.iterdir() if port.is_dir()}
for dependency in manifest.get("dependencies", []):
    check("vcpkg.json", dependency in ports, f"'{dependency}' is not an overlay port")
for name, folder in ports.items():
    path = folder / "vcpkg.json"
    port = read(path)
    only(path, port, {"name", "version", "port-version", "description", "homepage", "license", "supports", "dependencies"})
    check(path, port.get("name") == name, f"'name' must be the folder's, {name}")
    check(path, re.fullmatch(r"\d+(\.\d+)*", port.get("version", "")), "'version' must be numbers and dots")
    check(path, isinstance(port.get("port-version", 0), int), "'port-version' must be a number")
    check(path, port.get("license"), "'license' is missing")
    portfile = (folder / "portfile.cmake").read_text(encoding="utf-8")
    for patch in folder.glob("*.patch"):
        check(folder, patch.name in portfile, f"portfile.cmake does not apply {patch.name}")
for error in errors:
    print(error, file=sys.stderr)
sys.exit(1 if errors else 0)
PYTHON
say "vcpkg.json, vcpkg-configuration.json and the ports are well-formed and fit each other"

# --- the plain source -----------------------------------------------------------------------------
# Not that of CIVETWEB_SOURCE_DIR, which nobody knows the patches of.
env -u CIVETWEB_SOURCE_DIR bash build/get-civetweb.sh artifacts/civetweb >/dev/null
[ -f artifacts/civetweb/.pc/applied-patches ] ||
    fail "artifacts/civetweb does not say what Debian's patches changed (.pc): remove the folder and run this again."
cp -r artifacts/civetweb "$tmp/plain"
while read -r patch; do
    # dpkg-source keeps each file as it was before the patch; an empty one was not there.
    (cd "$tmp/plain/.pc/$patch" && find . -type f ! -name .timestamp -exec cp --parents {} ../.. \;)
done < <(tac artifacts/civetweb/.pc/applied-patches)
grep -q 'strcat(new_path, ri->query_string)' "$tmp/plain/src/civetweb.c" ||
    fail "the source is not plain: the fault of CVE-2025-55763 is not in it."

# --- the port -------------------------------------------------------------------------------------
mkdir "$tmp/source"
cmake -DPORT_DIR="$root/native/vcpkg-ports/civetweb" -DPLAIN="$tmp/plain" -DWORK="$tmp/source" \
    -DPACKAGES="$tmp/installed/x64-linux" -P native/cmake/RunVcpkgPort.cmake >"$tmp/port.log" 2>&1 ||
    { cat "$tmp/port.log" >&2; fail "the overlay port does not do what it should, see above."; }
grep -o '[^ ]*\.patch applies' "$tmp/port.log"

# --- CMake takes what the port installs -----------------------------------------------------------
env -u CIVETWEB_SOURCE_DIR cmake -G Ninja -S . -B "$tmp/build" -DCMAKE_BUILD_TYPE=Release -DCWN_BUILD_TESTS=OFF \
    -DVCPKG_INSTALLED_DIR="$tmp/installed" -DVCPKG_TARGET_TRIPLET=x64-linux >"$tmp/build.log" 2>&1 ||
    { tail -n 20 "$tmp/build.log" >&2; fail "CMake does not take what the port installs, see above."; }
cmake --build "$tmp/build" --target civetweb_net >>"$tmp/build.log" 2>&1 ||
    { tail -n 20 "$tmp/build.log" >&2; fail "the library cannot be built from what the port installs, see above."; }
grep -qF "CivetWeb 1.16: $tmp/installed/x64-linux/share/civetweb/source" "$tmp/build.log" ||
    fail "CMake did not take the source that the port installs."
say "the library is built from what the port installs"
