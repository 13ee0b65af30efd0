#!/usr/bin/env bash
# Installs what run.sh drives and measures with: Debian 12 packages, and two Python packages in a
# virtual environment given as the argument. Knows nothing of the captures themselves.
#
# usage: install.sh VENV        (as root)
set -euo pipefail

venv=${1:?usage: install.sh VENV}

# RUNLEVEL=1 keeps the nginx package from starting its service.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get update -q
# A Node.js from elsewhere is kept: it is a client like any other, and run.sh prints its version.
node_package=$(command -v node >/dev/null || echo nodejs)
# shellcheck disable=SC2086 # empty when there is a Node.js already
apt-get install -y -q --no-install-recommends \
    chromium curl default-jdk-headless ethtool firefox-esr git golang-go iproute2 \
    libnss3-tools nginx-light openssl python3 python3-requests python3-venv tcpdump wget \
    $node_package

/usr/bin/python3 -m venv "$venv"
"$venv/bin/pip" install --quiet aioquic==1.7.2 curl-cffi==0.17.0
