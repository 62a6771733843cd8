#!/bin/bash
# Which lines of our code the inputs reach: the committed ones, and those that campaigns left in the cache.
# Needs the compiler's own llvm-profdata and llvm-cov: `rustup component add llvm-tools`.
set -euo pipefail
cd "$(dirname "$0")"
tools=$(rustc --print target-libdir)/../bin
[ -x "$tools/llvm-cov" ] || { echo "run: rustup component add llvm-tools" >&2; exit 1; }
work=${BULKHEAD_CACHE:-$HOME/.cache/bulkhead}/fuzz
binary=$(./build.sh coverage)
rm -rf "$work/profiles" && mkdir -p "$work/profiles"
for target in $("$binary" --list); do
    mapfile -t inputs < <(find "corpus/$target" "$work/corpus/$target" -type f 2>/dev/null)
    LLVM_PROFILE_FILE="$work/profiles/$target.profraw" "$binary" "$target" --replay "${inputs[@]}" >/dev/null
done
"$tools/llvm-profdata" merge -sparse -o "$work/all.profdata" "$work"/profiles/*.profraw
"$tools/llvm-cov" report "$binary" -instr-profile="$work/all.profdata" \
    -ignore-filename-regex='(/\.cargo/|/rustc/|/fuzz/|/tests/|/build/)' | awk 'NR == 1 || /\.rs|TOTAL/ { print $1, $8, $9, $10 }' | column -t
