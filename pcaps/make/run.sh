#!/usr/bin/env bash
# Captures one request of each client against a server of our own, between two network namespaces
# that exist only while this runs. Knows the clients' command lines; install.sh brings the clients.
#
# usage: run.sh VENV [NAME...]        (as root; all captures when none is named)
#
# Writes ../NAME.pcap, and to standard output one line a capture with the client's version. No
# packet leaves the namespaces: they have no route and no resolver. Bounded: 30 s a client.
set -euo pipefail

venv=$(realpath "${1:?usage: run.sh VENV [NAME...]}")
shift
wanted=("$@")

here=$(cd "$(dirname "$0")" && pwd)
pcaps=$(dirname "$here")
work=$(mktemp -d)
server_ns=dwell-s-$$
client_ns=dwell-c-$$
name=www.example.test
url=https://$name/
server_v4=192.0.2.1
server_v6=2001:db8::1
ca=$work/ca.pem
background=()

main() {
    trap clean_up EXIT
    make_certificates
    make_namespaces
    start_servers
    build_clients
    capture_command_line_clients
    capture_languages
    capture_guises
    capture_browsers
}

clean_up() {
    for pid in "${background[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    ip netns delete "$server_ns" 2>/dev/null || true
    ip netns delete "$client_ns" 2>/dev/null || true
    rm -rf "/etc/netns/$client_ns" "$work"
}

# A certificate authority of our own and a leaf for *.example.test.
make_certificates() {
    local key_type=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    openssl req -x509 "${key_type[@]}" -keyout "$work/ca.key" -out "$ca" -days 30 \
        -subj "/CN=dwell test authority" -addext keyUsage=critical,keyCertSign 2>/dev/null
    openssl req "${key_type[@]}" -keyout "$work/server.key" -out "$work/server.csr" \
        -subj "/CN=$name" 2>/dev/null
    printf 'subjectAltName=DNS:example.test,DNS:*.example.test\nextendedKeyUsage=serverAuth\n' \
        >"$work/leaf.ext"
    openssl x509 -req -in "$work/server.csr" -CA "$ca" -CAkey "$work/ca.key" -CAcreateserial \
        -days 30 -extfile "$work/leaf.ext" -out "$work/server.pem" 2>/dev/null
    keytool -importcert -noprompt -alias ca -file "$ca" -keystore "$work/ca.p12" \
        -storetype PKCS12 -storepass changeit 2>/dev/null
}

# Two namespaces joined by a veth pair without offloads, so that segments are as on a wire.
make_namespaces() {
    ip netns add "$server_ns"
    ip netns add "$client_ns"
    ip link add server0 address 02:00:00:00:00:01 netns "$server_ns" type veth \
        peer name client0 address 02:00:00:00:00:02 netns "$client_ns"
    local end
    for end in "$server_ns server0 $server_v4/24 $server_v6/64" \
        "$client_ns client0 192.0.2.2/24 2001:db8::2/64"; do
        # shellcheck disable=SC2086 # four words
        set -- $end
        ip -n "$1" address add "$3" dev "$2"
        ip -n "$1" address add "$4" dev "$2" nodad
        ip -n "$1" link set lo up
        ip -n "$1" link set "$2" up
        ip netns exec "$1" ethtool -K "$2" tso off gso off gro off tx off rx off >/dev/null 2>&1
    done
    mkdir -p "/etc/netns/$client_ns"
    printf '127.0.0.1 localhost\n%s %s\n%s v6.example.test\n' \
        "$server_v4" "$name" "$server_v6" >"/etc/netns/$client_ns/hosts"
    printf 'nameserver 127.0.0.1\n' >"/etc/netns/$client_ns/resolv.conf"
}

start_servers() {
    cp "$here/nginx.conf" "$work/"
    ip netns exec "$server_ns" nginx -p "$work" -c "$work/nginx.conf" -g 'daemon off;' \
        2>"$work/nginx.log" &
    background+=($!)
    ip netns exec "$server_ns" "$venv/bin/python" "$here/h3_server.py" \
        "$server_v4" 443 "$work/server.pem" "$work/server.key" &
    background+=($!)
    local _
    for _ in $(seq 50); do
        in_client curl -s --max-time 1 --cacert "$ca" -o "$work/ready" "$url" && return
        sleep 0.1
    done
    echo "run.sh: no answer from the server: $(cat "$work/nginx.log")" >&2
    return 1
}

build_clients() {
    cp -r "$here/clients" "$work/clients"
    if is_wanted go; then
        (cd "$work/clients" && GO111MODULE=off GOCACHE=$work/go go build -o "$work/get-go" get.go)
    fi
    if is_wanted java; then
        javac -d "$work" "$work/clients/Get.java"
    fi
    if is_wanted rustls; then
        (cd "$work/clients/rustls" && CARGO_TARGET_DIR=$work/target cargo build -q --release)
    fi
}

capture_command_line_clients() {
    local version
    version=$(curl --version | head -n 1)
    capture curl "$version" curl -s --cacert "$ca" "$url"
    capture curl-http1 "$version" curl -s --http1.1 --cacert "$ca" "$url"
    capture curl-tls12 "$version" curl -s --tls-max 1.2 --cacert "$ca" "$url"
    capture curl-ipv6 "$version" curl -s --cacert "$ca" https://v6.example.test/
    capture curl-clear "$version" curl -s "http://$name/"
    capture wget "$(wget --version | head -n 1)" wget -q -O - --ca-certificate "$ca" "$url"
    # The server has no repository: the fetch fails after the handshake and the first request.
    capture git "$(git --version)" git -c http.sslCAInfo="$ca" ls-remote "${url}r.git"
    capture openssl-resumed "$(openssl version)" resume_session
}

capture_languages() {
    local python=/usr/bin/python3
    capture python-requests "$($python -c 'import platform, requests
print("Python", platform.python_version(), "requests", requests.__version__)')" \
        $python "$here/clients/get_requests.py" "$url" "$ca"
    capture python-urllib "$($python --version)" \
        $python "$here/clients/get_urllib.py" "$url" "$ca"
    capture node-https "Node.js $(node --version)" \
        env NODE_EXTRA_CA_CERTS="$ca" node "$here/clients/https.mjs" "$url"
    capture node-fetch "Node.js $(node --version)" \
        env NODE_EXTRA_CA_CERTS="$ca" node "$here/clients/fetch.mjs" "$url"
    capture go "$(go version)" "$work/get-go" "$url" "$ca"
    capture java "$(java -version 2>&1 | head -n 1)" java -cp "$work" \
        -Djavax.net.ssl.trustStore="$work/ca.p12" -Djavax.net.ssl.trustStorePassword=changeit \
        Get "$url"
    capture rustls "$(rustls_versions)" "$work/target/release/get-rustls" "$url" "$ca"
}

# No Mac is at hand: curl_cffi sends the ClientHello that Safari was observed to send.
capture_guises() {
    local guise version
    version=$("$venv/bin/pip" list 2>/dev/null | awk '$1 == "curl_cffi" { print $1, $2 }')
    for guise in safari184 safari260 safari270; do
        capture "curl-cffi-$guise" "$version, impersonate $guise" \
            "$venv/bin/python" "$here/clients/impersonate.py" "$url" "$ca" "$guise"
    done
}

capture_browsers() {
    local version
    version=$(firefox-esr --version 2>/dev/null)
    capture firefox "$version" open_firefox
    version=$(chromium --version 2>/dev/null)
    # Twice: Chromium shuffles its extensions, so JA3 differs and JA4 does not.
    capture chromium-1 "$version" open_chromium
    capture chromium-2 "$version" open_chromium
    capture chromium-quic "$version" open_chromium --enable-quic \
        --origin-to-force-quic-on="$name:443" \
        --ignore-certificate-errors-spki-list="$(public_key_hash)"
}

resume_session() {
    local server=(-connect "$server_v4:443" -servername "$name" -CAfile "$ca" -ign_eof)
    printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client "${server[@]}" -sess_out "$work/session"
    printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client "${server[@]}" -sess_in "$work/session"
}

open_firefox() {
    local profile=$work/firefox
    rm -rf "$profile"
    mkdir -p "$profile"
    cp "$here/clients/firefox-user.js" "$profile/user.js"
    certutil -N -d "sql:$profile" --empty-password
    certutil -A -n ca -t C,, -i "$ca" -d "sql:$profile"
    HOME=$profile timeout 12 firefox-esr --headless --no-remote --profile "$profile" "$url" ||
        test $? = 124
}

open_chromium() {
    local profile=$work/chromium quic=--disable-quic
    [[ " $* " == *" --enable-quic "* ]] && quic=
    rm -rf "$profile"
    # shellcheck disable=SC2086 # $quic may be empty
    HOME=$work timeout 20 chromium --headless --no-sandbox --disable-gpu --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync \
        --host-resolver-rules="MAP $name $server_v4, MAP * ~NOTFOUND" \
        --ignore-certificate-errors --user-data-dir="$profile" $quic "$@" --dump-dom "$url"
}

public_key_hash() {
    openssl x509 -in "$work/server.pem" -noout -pubkey | openssl pkey -pubin -outform der |
        openssl dgst -sha256 -binary | openssl base64
}

rustls_versions() {
    awk -F'"' '/^name = "(rustls|ureq)"$/ { printf "%s ", $2; getline; printf "%s ", $2 }' \
        "$work/clients/rustls/Cargo.lock" 2>/dev/null
}

# capture NAME VERSION COMMAND...: runs the command in the client's namespace under tcpdump.
# COMMAND may be a function of this script.
capture() {
    local label=$1 version=$2 raw=$work/raw.pcap tcpdump_pid
    shift 2
    is_wanted "$label" || return 0
    rm -f "$raw"
    ip netns exec "$client_ns" tcpdump -Z root -i client0 -s 0 -U --immediate-mode -w "$raw" \
        'tcp or udp' 2>/dev/null &
    tcpdump_pid=$!
    background+=("$tcpdump_pid")
    sleep 0.7
    in_client "$@" >"$work/$label.log" 2>&1 ||
        echo "run.sh: $label: exit status $?" >&2
    sleep 0.4
    kill -INT "$tcpdump_pid"
    wait "$tcpdump_pid" || true
    tcpdump -Z root -r "$raw" -w "$pcaps/$label.pcap" "port 443 or port 80" 2>/dev/null
    printf '%s\t%s\t%s bytes\n' "$label" "$version" "$(stat -c %s "$pcaps/$label.pcap")"
}

# Runs a command, or a function of this script, in the client's namespace for at most 30 s.
in_client() {
    if declare -F "$1" >/dev/null; then
        export here work name url ca server_v4
        local body
        body=$(declare -f "$1")
        ip netns exec "$client_ns" timeout 30 bash -c "$body; \"\$@\"" in_client "$@"
    else
        ip netns exec "$client_ns" timeout 30 "$@"
    fi
}

is_wanted() {
    [ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " == *" $1 "* ]]
}

main
