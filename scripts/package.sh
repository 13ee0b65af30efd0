#!/bin/sh
# Makes the Debian package: the binary, its manual page and completions from the command line's own
# definition, then cargo-deb (cargo install cargo-deb). Prints where the package is.
set -eu
cd "$(dirname "$0")/.."
if ! cargo deb --version >/dev/null 2>&1; then
    echo "package: cargo-deb is not installed: cargo install --locked cargo-deb" >&2
    exit 1
fi
target=${CARGO_TARGET_DIR:-target}
cargo build --release --package dwell
mkdir -p target/documents
"$target/release/dwell" man >target/documents/dwell.1
"$target/release/dwell" completions bash >target/documents/dwell.bash
"$target/release/dwell" completions zsh >target/documents/_dwell
"$target/release/dwell" completions fish >target/documents/dwell.fish
cargo deb --package dwell --no-build
