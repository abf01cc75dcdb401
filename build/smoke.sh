#!/usr/bin/env bash
# Checks the packages in artifacts/packages, which build/pack.sh has made, as their users would meet them:
#
#   build/smoke.sh [CHECK...]      all of them unless some are named; docs/packaging.md tells what each is
#
# A line for each check, and the sum as the last; what a check said is in artifacts/smoke/CHECK.log. A tool that is
# missing is installed with apt as root; otherwise its checks are skipped, or fail when CI=true.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
packages=$root/artifacts/packages
logs=$root/artifacts/smoke
all=(files incomplete reproducible framework-dependent missing-library single-file native-aot quick-start quick-start-aot
    linux-arm64 linux-arm64-aot linux-arm64-quick-start linux-arm64-echo-server linux-musl-x64 win-x64)

fail() { printf 'smoke: error: %s\n' "$*" >&2; exit 1; }

checks=("$@")
[ $# -gt 0 ] || checks=("${all[@]}")
for name in "${checks[@]}"; do
    [[ " ${all[*]} " == *" $name "* ]] || fail "there is no check '$name': take ${all[*]}."
done
package=$(find "$packages" -name 'CivetWeb.Net.[0-9]*.nupkg' 2>/dev/null)
[ -n "$package" ] || fail "there is no package in artifacts/packages: run build/pack.sh first."
version=${package##*/CivetWeb.Net.}
version=${version%.nupkg}

# Outside of the checkout, so that nothing in it has a say.
work=$(mktemp -d "${TMPDIR:-/tmp}/civetweb-smoke.XXXXXX") || exit 1
server=
clean_up() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$logs"

# No build servers: they would outlive this script. The servers are on this machine; a proxy is not to be asked for them.
export MSBUILDDISABLENODEREUSE=1 UseSharedCompilation=false DOTNET_CLI_USE_MSBUILD_SERVER=0
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_CLI_UI_LANGUAGE=en
export no_proxy="localhost,127.0.0.1,::1${no_proxy:+,$no_proxy}"
export NO_PROXY=$no_proxy

# --- tools ----------------------------------------------------------------------------------------
qemu() { command -v qemu-aarch64-static || command -v qemu-aarch64; }
tools="unzip:unzip clang:clang aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu,libc6-dev-arm64-cross,libstdc++6-arm64-cross
    musl-gcc:musl-tools"
missing_packages() {
    local tool
    for tool in $tools; do
        command -v "${tool%%:*}" >/dev/null || tr ',' ' ' <<<"${tool#*:}"
    done
    [ -e /usr/aarch64-linux-gnu/lib/libstdc++.so.6 ] || echo libstdc++6-arm64-cross
    qemu >/dev/null || echo qemu-user-static
}
missing=$(missing_packages | xargs)
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "smoke: installing $missing"
    # shellcheck disable=SC2086
    build/apt-install.sh $missing >"$logs/apt.log" 2>&1 ||
        echo "smoke: apt-get could not install $missing (log: artifacts/smoke/apt.log)"
    hash -r
fi
need() { # commands
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { echo "$tool is not there"; exit 77; }
    done
}
openssl_arm64=artifacts/openssl-arm64/usr/lib/aarch64-linux-gnu
need_arm64() {
    qemu >/dev/null || { echo "qemu-aarch64-static is not there"; exit 77; }
    [ -e /usr/aarch64-linux-gnu/lib/libstdc++.so.6 ] || { echo "libstdc++6-arm64-cross is not there"; exit 77; }
}

# --- a user's surroundings ------------------------------------------------------------------------
# Our packages come from the folder and from nowhere else, all others from the sources this machine has. The packages
# that NuGet unpacks go to a folder of their own, so that no older CivetWeb.Net of the same version is taken for this one.
export NUGET_PACKAGES=$root/artifacts/smoke/nuget
rm -rf "$NUGET_PACKAGES"/civetweb.net*
common=${NUGET_FALLBACK_PACKAGES:-${HOME:-/nonexistent}/.nuget/packages}
if [ -d "$common" ] && ! compgen -G "$common/civetweb.net*" >/dev/null; then
    export NUGET_FALLBACK_PACKAGES=$common # what is there needs no download
else
    unset NUGET_FALLBACK_PACKAGES
fi
sources=$(cd "$work" && dotnet nuget list source | sed -n 's/^ *[0-9]*\. *\(.*\) \[Enabled\]$/\1/p')
[ -n "$sources" ] || fail "NuGet knows no source of packages on this machine."
{
    printf '<?xml version="1.0" encoding="utf-8"?>\n<configuration>\n  <packageSources>\n'
    printf '    <add key="civetweb-net-packed" value="%s" />\n  </packageSources>\n  <packageSourceMapping>\n' "$packages"
    printf '    <packageSource key="civetweb-net-packed"><package pattern="CivetWeb.Net" /><package pattern="CivetWeb.Net.*" /></packageSource>\n'
    sed 's/&/\&amp;/g; s/</\&lt;/g; s/"/\&quot;/g' <<<"$sources" | while IFS= read -r source; do
        printf '    <packageSource key="%s"><package pattern="*" /></packageSource>\n' "$source"
    done
    printf '  </packageSourceMapping>\n</configuration>\n'
} >"$work/nuget.config"
mkdir "$work/smoke"
cp -r tests/smoke/. "$work/smoke"

# For a command that finds only these others: no compiler, no CMake.
only() { # commands
    local tool folder
    folder=$(mktemp -d "$work/path.XXXXXX")
    for tool in "$@"; do
        ln -s "$(command -v "$tool")" "$folder/$tool"
    done
    echo "PATH=$folder"
}

publish() { # project, output folder, arguments...
    timeout 900 dotnet publish "$work/smoke/$1" --output "$2" --verbosity quiet "-p:CivetWebNetVersion=$version" "${@:3}"
}

# Whether a folder has the native library of a RID, and that of no other.
has_library() { # folder, file as packed
    local found
    found=$(cd "$1" && find . -name '*civetweb_net*')
    [ "$found" = "./${2##*/}" ] || { echo "there should be ${2##*/} in $1, and there is: ${found:-none}"; return 1; }
    cmp "$1/${2##*/}" "$root/artifacts/runtimes/$2"
}

run() { timeout 300 "$@"; }

# Starts a server, lets a client (here, in .NET, not in an emulator) speak to each address it prints, and ends it: by the
# end of its input, or by the signal that $stop names.
echoes() { # how many addresses, path of the echo, command...
    local addresses=$1 path=$2 found='' io i code
    shift 2
    client
    io=$(mktemp -d "$work/io.XXXXXX")
    mkfifo "$io/input"
    # libicu is not what is checked here, and there is none for the emulator.
    DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 "$@" <"$io/input" >"$io/output" 2>&1 &
    server=$!
    exec 7>"$io/input"
    for ((i = 0; i < 1800; i++)); do
        found=$(sed -nE "s|^Listening on (http\|ws)(://[^/ ]+).*|ws\2$path|p" "$io/output" | sort -u)
        [ "$(grep -c . <<<"$found")" -lt "$addresses" ] || break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$io/output"
    [ "$(grep -c . <<<"$found")" -ge "$addresses" ] || { echo "the server has not printed $addresses address(es)"; return 1; }
    for i in $found; do
        run dotnet "$work/client/Smoke.dll" client "$i"
    done
    exec 7>&-
    [ -z "${stop:-}" ] || kill "-$stop" "$server"
    for ((i = 0; i < 300; i++)); do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    [ "$i" -lt 300 ] || { echo "the server does not end"; return 1; }
    code=0
    wait "$server" || code=$?
    server=
    return "$code"
}
client() {
    [ -e "$work/client/Smoke.dll" ] || publish FrameworkDependent "$work/client"
}

# --- the checks: each is run with -e; status 77 says skipped ----------------------------------------
check_files() {
    need unzip
    local file list approved bad=0 what
    for file in "$packages"/*; do
        list=${file##*/}
        list=${list/".$version"/}
        approved=tests/smoke/approved/$list.txt
        [ -f "$approved" ] || { echo "unexpected: $file, for which there is no $approved"; bad=1; continue; }
        case $file in
            *.tar.gz) tar -tzf "$file" | sed 's|^\./||' ;;
            *) unzip -Z1 "$file" ;;
        esac | LC_ALL=C sort >"$work/list"
        while IFS= read -r what; do
            echo "$what"
            bad=1
        done < <(LC_ALL=C comm -3 --output-delimiter='>' "$approved" "$work/list" | sed "s|^>|unexpected in $list: |; t; s|^|missing in $list: |")
    done
    for approved in tests/smoke/approved/*.txt; do
        list=${approved##*/}
        compgen -G "$packages/${list%%.nupkg.txt}.$version.nupkg" >/dev/null || [[ $list != *.nupkg.txt ]] ||
            { echo "missing: the package of $approved"; bad=1; }
    done
    unzip -p "$package" CivetWeb.Net.nuspec >"$work/nuspec"
    for what in '<license type="expression">MIT<' '<icon>icon.png<' '<readme>README.md<' '<releaseNotes>.' '<repository type="git"'; do
        grep -q "$what" "$work/nuspec" || { echo "missing in the nuspec: $what"; bad=1; }
    done
    [ "$bad" -eq 0 ]
    say "$(($(stat -c %s "$package") / 1000)) kB"
}

# Without a platform's library there is no package, and a sentence that says so.
check_incomplete() {
    local said
    mkdir "$work/none"
    cp -r artifacts/runtimes "$work/runtimes"
    rm -r "$work/runtimes/linux-arm64/native" "$work/runtimes/win-x64/native"
    if said=$(timeout 900 dotnet pack src/CivetWeb.Net "-p:CivetWebRuntimes=$work/runtimes/" "-p:PackageOutputPath=$work/none" --verbosity quiet 2>&1); then
        echo "it was packed"
        return 1
    fi
    echo "$said"
    grep -qF 'The package cannot be made: the native library of linux-arm64, win-x64 is missing' <<<"$said"
    [ -z "$(find "$work/none" -type f)" ]
}

# Another checkout of the same commit, in another place, gives the same bytes. With an address that others can reach,
# debuggers find the sources there.
check_reproducible() {
    need unzip
    [ -z "$(git status --porcelain)" ] || { echo "there are changes that are not committed"; exit 77; }
    unzip -p "$package" CivetWeb.Net.nuspec | grep -qF "commit=\"$(git rev-parse HEAD)\"" ||
        { echo "the package is of another commit than this: run build/pack.sh again"; return 1; }
    local other=$work/other file remote=https://github.com/example/example
    git clone --quiet --no-hardlinks . "$other"
    mkdir -p "$other/artifacts"
    cp -r artifacts/runtimes "$other/artifacts"
    if git remote get-url origin >/dev/null 2>&1; then git -C "$other" remote set-url origin "$(git remote get-url origin)"; fi
    (unset NUGET_PACKAGES NUGET_FALLBACK_PACKAGES && bash "$other/build/pack.sh" --prebuilt --version "$version")
    for file in "$packages"/*; do
        cmp "$file" "$other/artifacts/packages/${file##*/}"
    done
    git -C "$other" remote set-url origin "$remote.git"
    (unset NUGET_PACKAGES NUGET_FALLBACK_PACKAGES && bash "$other/build/pack.sh" --prebuilt --version "$version")
    unzip -p "$other/artifacts/packages/CivetWeb.Net.$version.snupkg" lib/net10.0/CivetWeb.Net.pdb >"$work/pdb"
    grep -aqF "raw.githubusercontent.com/example/example/$(git rev-parse HEAD)/*" "$work/pdb" || { echo "no source link in the pdb"; return 1; }
    unzip -p "$other/artifacts/packages/CivetWeb.Net.$version.nupkg" CivetWeb.Net.nuspec >"$work/nuspec"
    grep -qF "<repository type=\"git\" url=\"$remote" "$work/nuspec" || { echo "no address of the repository in the nuspec"; return 1; }
}

check_framework_dependent() {
    client
    run dotnet "$work/client/Smoke.dll"
}

check_missing_library() {
    client
    cp -r "$work/client" "$work/without"
    rm -r "$work/without/runtimes"
    local said
    if said=$(run dotnet "$work/without/Smoke.dll" 2>&1); then echo "it runs without its library"; return 1; fi
    echo "$said"
    grep -qE 'could not be loaded for [a-z]+-.* The package has one for linux-x64, linux-arm64, linux-musl-x64 and win-x64' <<<"$said"
}

check_single_file() {
    publish SingleFile "$work/single" -r linux-x64
    has_library "$work/single" linux-x64/native/libcivetweb_net.so
    run "$work/single/Smoke"
    publish SingleFile "$work/single-all" -r linux-x64 -p:IncludeNativeLibrariesForSelfExtract=true
    [ -z "$(find "$work/single-all" -name '*civetweb_net*')" ]
    DOTNET_BUNDLE_EXTRACT_BASE_DIR=$work/extract run "$work/single-all/Smoke"
    [ -n "$(find "$work/extract" -name libcivetweb_net.so)" ]
}

check_native_aot() {
    need clang
    publish NativeAot "$work/aot" -r linux-x64 2>&1 | tee "$work/aot.log"
    if grep -E 'warning (IL|CA|CS)[0-9]+' "$work/aot.log"; then return 1; fi
    has_library "$work/aot" linux-x64/native/libcivetweb_net.so
    run "$work/aot/Smoke"
    say "$(($(stat -c %s "$work/aot/Smoke") / 1000)) kB with all of the library"
}

# README.md's first C# block, in a new project.
new_console() { # folder
    mkdir "$1" "$1/wwwroot"
    cd "$1"
    run env "$(only dotnet)" dotnet new console
    awk '/^```csharp$/ && !done { inside = 1; next } /^```$/ && inside { exit } inside' "$root/README.md" >Program.cs
    [ -s Program.cs ]
    local prerelease=
    [[ $version != *-* ]] || prerelease=--prerelease
    run env "$(only dotnet)" dotnet add package CivetWeb.Net $prerelease
    grep -F "\"CivetWeb.Net\" Version=\"$version\"" ./*.csproj
}
quick_start_path() { sed -n 's|.*MapWebSocket("\([^"]*\)".*|\1|p' "$root/README.md" | head -n 1; }

check_quick_start() {
    new_console "$work/quick"
    run env "$(only dotnet)" dotnet build --verbosity quiet
    echoes 1 "$(quick_start_path)" env "$(only dotnet)" dotnet run --no-build -- http://127.0.0.1:0
}

check_quick_start_aot() {
    need clang
    new_console "$work/quick-aot"
    # A shell, the C linker and what it calls, and what takes the symbols out: all that NativeAOT wants on the machine.
    timeout 900 env "$(only dotnet sh clang ld ld.bfd objcopy)" dotnet publish -p:PublishAot=true --output out --verbosity quiet
    echoes 1 "$(quick_start_path)" env "$(only dotnet)" out/quick-aot http://127.0.0.1:0
    say "$(($(stat -c %s out/quick-aot) / 1000)) kB"
}

check_linux_arm64_quick_start() {
    need_arm64
    new_console "$work/quick-arm64"
    timeout 900 env "$(only dotnet)" dotnet publish -r linux-arm64 --self-contained --output out --verbosity quiet
    has_library out linux-arm64/native/libcivetweb_net.so
    echoes 1 "$(quick_start_path)" "$(qemu)" -L /usr/aarch64-linux-gnu out/quick-arm64 http://127.0.0.1:0
}

check_linux_arm64() {
    need_arm64
    publish FrameworkDependent "$work/arm64" -r linux-arm64 --self-contained
    has_library "$work/arm64" linux-arm64/native/libcivetweb_net.so
    echoes 2 /echo "$(qemu)" -L /usr/aarch64-linux-gnu "$work/arm64/Smoke" serve
    # .NET's client and TLS need OpenSSL.
    build/get-arm64-openssl.sh
    run "$(qemu)" -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$openssl_arm64" "$work/arm64/Smoke"
}

check_linux_arm64_aot() {
    need_arm64
    need clang aarch64-linux-gnu-gcc
    publish NativeAot "$work/arm64-aot" -r linux-arm64
    has_library "$work/arm64-aot" linux-arm64/native/libcivetweb_net.so
    build/get-arm64-openssl.sh
    run "$(qemu)" -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$openssl_arm64" "$work/arm64-aot/Smoke"
}

# Not from the package: the repository's own program takes the library of the platform it is published for.
check_linux_arm64_echo_server() {
    need_arm64
    (unset NUGET_PACKAGES NUGET_FALLBACK_PACKAGES &&
        timeout 900 dotnet publish src/EchoServer -r linux-arm64 --self-contained --output "$work/echo-server" --verbosity quiet)
    has_library "$work/echo-server" linux-arm64/native/libcivetweb_net.so
    stop=TERM echoes 1 /websocket "$(qemu)" -L /usr/aarch64-linux-gnu "$work/echo-server/EchoServer" --port 0
}

check_linux_musl_x64() {
    need musl-gcc
    publish FrameworkDependent "$work/musl" -r linux-musl-x64 --self-contained
    has_library "$work/musl" linux-musl-x64/native/libcivetweb_net.so
    # Debian has no libstdc++ for musl: its own, and what that wants of glibc in the place of glibc's loader.
    mkdir "$work/musl-lib"
    for library in libstdc++.so.6 libgcc_s.so.1; do
        cp -L "$(gcc -print-file-name=$library)" "$work/musl-lib/$library"
    done
    musl-gcc -Wall -Wextra -Werror -O2 -fPIC -shared -o "$work/musl-lib/ld-linux-x86-64.so.2" tests/smoke/musl/shim.c
    echoes 2 /echo env LD_LIBRARY_PATH="$work/musl-lib" "$work/musl/Smoke" serve
}

# Only laid out: the .NET runtime does not start under Debian's wine.
check_win_x64() {
    publish FrameworkDependent "$work/win" -r win-x64 --self-contained
    [ -e "$work/win/Smoke.exe" ]
    has_library "$work/win" win-x64/native/civetweb_net.dll
}

# --- all of them ----------------------------------------------------------------------------------
say() { echo "$*" >"$work/said"; }
passed=0 failed=0 skipped=0
for name in "${checks[@]}"; do
    log=$logs/$name.log
    rm -f "$work/said"
    SECONDS=0
    (
        set -e
        trap - EXIT
        trap '[ -z "$server" ] || kill -KILL "$server" 2>/dev/null' EXIT
        "check_${name//-/_}"
    ) </dev/null >"$log" 2>&1
    code=$?
    if [ "$code" -eq 0 ]; then
        passed=$((passed + 1))
        echo "passed: $name ($SECONDS s)$([ ! -e "$work/said" ] || echo ": $(cat "$work/said")")"
    elif [ "$code" -eq 77 ] && [ "${CI:-}" != true ]; then
        skipped=$((skipped + 1))
        echo "skipped: $name: $(tail -n 1 "$log")"
    else
        failed=$((failed + 1))
        tail -n 20 "$log" | cut -c1-300
        echo "FAILED: $name ($SECONDS s; log: artifacts/smoke/$name.log)"
    fi
done
sum="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || sum+=", $skipped skipped"
echo "smoke: $sum"
[ "$failed" -eq 0 ]
