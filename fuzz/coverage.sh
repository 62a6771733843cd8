#!/bin/bash
# What the inputs reach, the committed ones and those that campaigns left in the cache: lines of decoders and handlers, and
# methods of the edges. `coverage.py` says which files those are, and fails when it is too little.
set -euo pipefail
cd "$(dirname "$0")"
# The compiler's own tools (`rustup component add llvm-tools`), or those of the system with the same major version.
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=$(rustc --print target-libdir)/../bin suffix=
if [ ! -x "$tools/llvm-cov" ]; then
    suffix=-$version
    if ! command -v "llvm-cov$suffix" >/dev/null; then
        sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
        $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends "llvm$suffix" >/dev/null
    fi
    tools=$(dirname "$(command -v "llvm-cov$suffix")")
fi
work=${BULKHEAD_CACHE:-$HOME/.cache/bulkhead}/fuzz
binary=$(./build.sh coverage)
rm -rf "$work/profiles" && mkdir -p "$work/profiles"
for target in $(LLVM_PROFILE_FILE=/dev/null "$binary" --list); do
    mapfile -t inputs < <(find "corpus/$target" "$work/corpus/$target" -type f 2>/dev/null)
    LLVM_PROFILE_FILE="$work/profiles/$target.profraw" "$binary" "$target" --replay "${inputs[@]}" >/dev/null
done
"$tools/llvm-profdata$suffix" merge -sparse -o "$work/all.profdata" "$work"/profiles/*.profraw
"$tools/llvm-cov$suffix" export "$binary" -format=lcov -instr-profile="$work/all.profdata" \
    -ignore-filename-regex='(/\.cargo/|/rustc/)' >"$work/all.lcov"
./coverage.py "$work/all.lcov"
