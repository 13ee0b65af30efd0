#!/bin/sh
# Replays the bundled captures and shows what dwell makes of them. Needs target/release/dwell.
set -eu
cd "$(dirname "$0")/.."
dwell=${CARGO_TARGET_DIR:-target}/release/dwell

echo "== Hellos of real clients: dwell fingerprint pcaps/curl.pcap pcaps/chromium-1.pcap"
"$dwell" fingerprint pcaps/curl.pcap pcaps/chromium-1.pcap
echo
echo "== An office of Macs on one day: dwell replay --sessions 8 pcaps/demo-office.pcap.gz"
"$dwell" replay --sessions 8 pcaps/demo-office.pcap.gz
