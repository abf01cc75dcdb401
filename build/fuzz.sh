#!/usr/bin/env bash
# Fuzzes the native frame reader, or the decoder of chunked request bodies:
#
#   build/fuzz.sh [SECONDS] [reader|body]      (default 60 reader)
#
# What it finds new goes to artifacts/fuzz/reader, a crashing input to artifacts/fuzz/; the committed corpus
# (native/tests/corpus/reader) is only read. With body likewise. Exits 3 when clang with libFuzzer cannot be had.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
what=${2:-reader}
case $what in
    reader | body) ;;
    *) echo "fuzz: there is no '$what': take reader or body." >&2; exit 2 ;;
esac

can_fuzz() {
    local probe
    probe=$(mktemp -d)
    echo 'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { (void)d; (void)n; return 0; }' >"$probe/p.c"
    clang -fsanitize=fuzzer,address "$probe/p.c" -o "$probe/p" 2>/dev/null
    local result=$?
    rm -rf "$probe"
    return $result
}

if ! can_fuzz && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "fuzz: installing clang and its sanitizer runtimes"
    build/apt-install.sh clang libclang-rt-dev >/dev/null 2>&1 || true
    hash -r
fi
can_fuzz || { echo "fuzz: clang with libFuzzer is needed: run 'sudo apt-get install clang libclang-rt-dev'." >&2; exit 3; }

build/build-native.sh --preset fuzz
mkdir -p "artifacts/fuzz/$what"
exec "artifacts/native/fuzz/native/tests/fuzz_$what" -max_total_time="$seconds" -max_len=100000 -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -verbosity=1 -artifact_prefix=artifacts/fuzz/ "artifacts/fuzz/$what" "native/tests/corpus/$what"
