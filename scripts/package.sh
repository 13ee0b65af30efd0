#!/bin/sh
# Makes the Debian package from [package.metadata.deb] in crates/dwell/Cargo.toml: with cargo-deb where
# it is installed, else with dpkg-deb. Prints where the package is.
# usage: scripts/package.sh [DWELL-BINARY]    a binary that is built already is packed as it is
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
binary=${1:-$target/release/dwell}
[ $# -gt 0 ] || cargo build --release --package dwell
# Manual page and completions come from the command line's own definition.
mkdir -p target/documents
"$binary" man >target/documents/dwell.1
"$binary" completions bash >target/documents/dwell.bash
"$binary" completions zsh >target/documents/_dwell
"$binary" completions fish >target/documents/dwell.fish
if [ $# -eq 0 ] && cargo deb --version >/dev/null 2>&1; then
    exec cargo deb --package dwell --no-build
fi
exec python3 scripts/package.py "$binary"
