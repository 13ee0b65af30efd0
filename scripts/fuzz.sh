#!/bin/sh
# Builds the fuzz targets on the stable toolchain (no nightly, no clang) and runs each for a while.
# usage: scripts/fuzz.sh [SECONDS-EACH] [TARGET...]
set -eu
cd "$(dirname "$0")/../fuzz"
seconds=${1:-10}
[ $# -gt 0 ] && shift
host=$(rustc -vV | sed -n 's/^host: //p')
command -v c++ >/dev/null 2>&1 || { echo "fuzz: SKIPPED: no C++ compiler for libFuzzer" >&2; exit 0; }

# What cargo fuzz passes, less the sanitizer: coverage counters and comparisons.
export RUSTC_BOOTSTRAP=1
# Line tables and incremental state of a dozen binaries would take gigabytes.
export CARGO_PROFILE_RELEASE_DEBUG=false CARGO_INCREMENTAL=0
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
 -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
cargo build --release --quiet --target "$host"
out=${CARGO_TARGET_DIR:-target}/$host/release
targets=${*:-$(sed -n 's/^name = "\([a-z]*\)"$/\1/p' Cargo.toml | grep -v '^dwell')}
for target in $targets; do
    mkdir -p "corpus/$target" artifacts
    # What is found goes to a scratch folder: the committed seeds stay as they are.
    scratch=$(mktemp -d)
    log=$scratch/log
    if "$out/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -artifact_prefix="artifacts/$target-" "$scratch" "corpus/$target" >"$log" 2>&1; then
        echo "fuzz: $target: $(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs/p' "$log"), nothing found"
    else
        tail -40 "$log" >&2
        echo "fuzz: $target FAILED; the input is in fuzz/artifacts" >&2
        exit 1
    fi
    rm -rf "$scratch"
done
