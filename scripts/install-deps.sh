#!/bin/sh
# Installs what building (build) or testing (test) needs and is missing: libpcap's headers, a C
# compiler and, for tests, Python and a C++ compiler (libFuzzer). Says plainly what to do where it
# cannot.
set -eu

purpose=${1:-build}

missing() {
    need=""
    command -v cc >/dev/null 2>&1 || need="$need compiler"
    printf '#include <pcap/pcap.h>\n' | cc -E - >/dev/null 2>&1 || need="$need libpcap"
    if [ "$purpose" = test ]; then
        command -v python3 >/dev/null 2>&1 || need="$need python3"
        command -v c++ >/dev/null 2>&1 || need="$need c++"
        if command -v apt-get >/dev/null 2>&1; then
            for tool in ip tcpdump tcpreplay promtool nfcapd systemd-analyze curl openssl logrotate; do
                command -v $tool >/dev/null 2>&1 || need="$need $tool"
            done
        fi
    fi
    printf '%s' "$need"
}

# What the tests of the live sensor use; they say "skipped" where it is missing.
live() {
    [ "$purpose" = test ] || return 0
    printf 'iproute2 tcpdump tcpreplay prometheus nfdump systemd curl openssl logrotate'
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        echo "install-deps: not root and no sudo: run as root: $*" >&2
        exit 1
    fi
}

if ! command -v cargo >/dev/null 2>&1; then
    echo "install-deps: no cargo: install Rust 1.89 or later (https://www.rust-lang.org/tools/install)" >&2
    exit 1
fi

[ -n "$(missing)" ] || exit 0
echo "install-deps: installing for $purpose:$(missing)"
if command -v apt-get >/dev/null 2>&1; then
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc g++ libc6-dev libpcap-dev python3 $(live) >/dev/null
elif command -v dnf >/dev/null 2>&1; then
    as_root dnf install -y -q gcc gcc-c++ libpcap-devel python3
elif command -v brew >/dev/null 2>&1; then
    brew install --quiet libpcap python3
    echo "install-deps: the compiler comes with: xcode-select --install"
else
    echo "install-deps: neither apt-get, dnf nor brew is here: install a C compiler and libpcap with its headers (libpcap-dev, libpcap-devel), then run make again" >&2
    exit 1
fi
if [ -n "$(missing)" ]; then
    echo "install-deps: still missing after the installation:$(missing)" >&2
    exit 1
fi
