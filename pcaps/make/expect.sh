#!/usr/bin/env bash
# Prints what two independent tools read from the captures: one line a ClientHello with server_name,
# ALPN and JA3 by tshark 4.0, JA4 by the PyPI package ja4plus 1.4 (of which only JA4 is used), and
# the JA3S of the answer by tshark. dwell's tests compare themselves with ../fingerprints.tsv.
#
# usage: expect.sh JA4PLUS >../fingerprints.tsv        (JA4PLUS: the installed command)
set -euo pipefail

ja4plus=${1:?usage: expect.sh JA4PLUS}
cd "$(dirname "$0")/.."

fields() {
    local capture=$1 filter=$2
    shift 2
    tshark -r "$capture" -Y "$filter" -T fields -E separator=/t "${@/#/-e}" 2>/dev/null
}

printf 'capture\tserver_name\talpn\tja3\tja4\tja3s\n'
for capture in *.pcap; do
    paste \
        <(fields "$capture" tls.handshake.type==1 tls.handshake.extensions_server_name \
            tls.handshake.extensions_alpn_str tls.handshake.ja3) \
        <("$ja4plus" --types ja4 --format csv analyze "$capture" | tail -n +2 | cut -d, -f4) \
        <(fields "$capture" tls.handshake.type==2 tls.handshake.ja3s) |
        sed "/^\t*$/d; s/^/${capture%.pcap}\t/"
done
