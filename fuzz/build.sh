#!/bin/bash
# Builds the targets with the instrumentation of an engine (driver, libfuzzer or coverage) and prints the binary's path.
# `planted` is the driver with planted faults, under a name of its own.
#
# Only our own crates and Cap'n Proto are instrumented, and everything else comes from the cache that `make build` filled:
# RocksDB and the kernel are not compiled again. This file is its own RUSTC_WRAPPER, because RUSTFLAGS would change the
# flags of every crate; a number of codegen units that no other build has keeps the products apart.
set -euo pipefail

SANCOV="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 -Cllvm-args=-sanitizer-coverage-trace-compares"
declare -A FLAGS=(
    [driver]="$SANCOV -Cllvm-args=-sanitizer-coverage-trace-pc-guard"
    [planted]="$SANCOV -Cllvm-args=-sanitizer-coverage-trace-pc-guard"
    [libfuzzer]="$SANCOV -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
    [coverage]="-Cinstrument-coverage"
)
declare -A UNITS=([driver]=15 [planted]=15 [libfuzzer]=14 [coverage]=13)

# Of ours, those that have a profile of their own: the products of others would be taken for those of `make build`. What is asked
# for at every planted fault must not look like a branch of the program.
instrumented() {
    [ "$1" != bulkhead-planted ] && [[ " $BULKHEAD_FUZZ_PACKAGES " == *" $1 "* ]]
}

if [ -n "${BULKHEAD_FUZZ_ENGINE:-}" ]; then
    # Called by cargo: compiler and arguments. Build scripts and what they link are compiled without optimization.
    if [[ " $* " == *" opt-level="* ]] && instrumented "${CARGO_PKG_NAME:-}"; then
        # shellcheck disable=SC2086 # a list of flags
        exec "$@" ${FLAGS[$BULKHEAD_FUZZ_ENGINE]}
    fi
    exec "$@"
fi

engine=${1:-driver}
[ -n "${FLAGS[$engine]:-}" ] || { echo "usage: build.sh driver|planted|libfuzzer|coverage" >&2; exit 2; }
cd "$(dirname "$0")"
configs=()
packages=$(sed -n 's/^\[profile\.release\.package\.\(.*\)\]$/\1/p' Cargo.toml | tr '\n' ' ')"capnp capnp-rpc"
for package in $packages; do
    configs+=(--config "profile.release.package.$package.codegen-units=${UNITS[$engine]}")
done
binary=fuzz features=engine
[ "$engine" = planted ] && features=planted-faults
[ "$engine" = libfuzzer ] && binary=libfuzzer features=engine,libfuzzer
BULKHEAD_FUZZ_ENGINE=$engine BULKHEAD_FUZZ_PACKAGES=$packages RUSTC_WRAPPER=$PWD/build.sh \
    ${CARGO:-cargo} build --release --locked --bin "$binary" --features "$features" "${configs[@]}" >&2
# Under a name of its own: builds for other engines, and `cargo test`, write to the same place.
folder=${CARGO_TARGET_DIR:-$PWD/target}/release
ln -f "$folder/$binary" "$folder/fuzz-$engine"
echo "$folder/fuzz-$engine"
