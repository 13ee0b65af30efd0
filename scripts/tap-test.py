#!/usr/bin/env python3
"""Tests the sensor on a link under load: real clients, the sender's full speed, floods, loss.

Usage: tap-test.py DWELL-BINARY [--rate]

Needs root, iproute2, tcpreplay, tcpdump, curl and openssl; where one is missing it says so, loudly, and
passes. What is sent stays in namespaces. How fast things are is printed, not judged; with --rate nothing but
that is done, for longer, and at a pace that leaves the sensor time.
"""

import os
import random
import shutil
import signal
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.request

sys.dont_write_bytecode = True
from sensor import (PCAPS, Sensor, configured, flows, get, hellos, in_namespace, make_link, metrics,
                    records, replayed, run, scratch, sent_by, start)

TOOLS = ["ip", "tcpreplay", "tcpdump", "unshare", "nsenter", "gunzip", "curl", "openssl"]
SERVER = "10.46.0.2"
TAKEN = 'dwell_capture_packets_total{interface="%s"}'
LOST = 'dwell_capture_drops_total{interface="cap0",stage="kernel"}'

# HTTP over TLS 1.3 and 1.2 on 443, in clear on 80: a small page, and a body of a megabyte.
SERVER_PROGRAM = f"""
import http.server, ssl, threading
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"x" * (1_000_000 if self.path == "/big" else 1_000)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *of):
        pass
clear = http.server.ThreadingHTTPServer(("{SERVER}", 80), Page)
threading.Thread(target=clear.serve_forever, daemon=True).start()
secure = http.server.ThreadingHTTPServer(("{SERVER}", 443), Page)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate", "key")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
print("ready", flush=True)
secure.serve_forever()
"""


def make_server(folder):
    """A machine of its own at the end of a link, tap0, that serves HTTP."""
    other = start(["unshare", "-n", "sleep", "600"])
    run("ip", "link", "add", "tap0", "type", "veth", "peer", "name", "far0")
    there = ["nsenter", "-t", str(other.pid), "-n"]
    for _ in range(100):
        if os.readlink(f"/proc/{other.pid}/ns/net") != os.readlink("/proc/self/ns/net"):
            break
        time.sleep(0.05)
    run("ip", "link", "set", "far0", "netns", str(other.pid))
    run("ip", "address", "add", "10.46.0.1/24", "dev", "tap0")
    run("ip", "link", "set", "tap0", "up")
    for words in (["link", "set", "lo", "up"], ["address", "add", f"{SERVER}/24", "dev", "far0"],
                  ["link", "set", "far0", "up"]):
        run(*there, "ip", *words)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=shop.example", "-keyout", os.path.join(folder, "key"),
        "-out", os.path.join(folder, "certificate"))
    server = start([*there, sys.executable, "-c", SERVER_PROGRAM], cwd=folder, stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"


def curl(name, path, *arguments):
    to = ("--resolve", f"{name}:443:{SERVER}", "--resolve", f"{name}:80:{SERVER}")
    scheme = "http" if "--clear" in arguments else "https"
    more = [word for word in arguments if word != "--clear"]
    run("curl", "-sS", "-k", "-o", "/dev/null", *to, *more, f"{scheme}://{name}{path}")


def python_client():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(f"https://{SERVER}/", context=context, timeout=10) as answer:
        answer.read()


def browse():
    """Requests of real clients; gives how many of them began with a ClientHello, and how many did not."""
    with_hello, clear = 1, 0
    python_client()
    for number in range(5):
        curl(f"shop{number}.example", "/")
        curl(f"old{number}.example", "/", "--tls-max", "1.2")
        curl(f"clear{number}.example", "/", "--clear")
        with_hello, clear = with_hello + 2, clear + 1
    curl("big.example", "/big")
    browser = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if not browser:
        print("tap: SKIPPED: NO CHROMIUM: CURL AND PYTHON ARE THE ONLY CLIENTS")
        return with_hello + 1, clear
    run(browser, "--headless", "--no-sandbox", "--ignore-certificate-errors", "--disable-background-networking",
        f"--host-resolver-rules=MAP * {SERVER}", "--dump-dom", "https://browser.example/", timeout=60)
    return with_hello + 2, clear


def clients(binary, folder):
    """What a replay of the same packets finds of real clients is found live; merged packets are told."""
    log = os.path.join(folder, "clients.json")
    config = f'[sensor]\nstats_every = "1s"\n[[output]]\nname = "log"\ntype = "file"\npath = "{log}"\n'
    sensor = configured(binary, folder, config, log, "tap0")
    recording = os.path.join(folder, "clients.pcap")
    dump = start(["tcpdump", "-i", "tap0", "-B", "65536", "--time-stamp-precision=nano", "-w", recording, "ip"],
                 stderr=subprocess.PIPE)
    dump.stderr.readline()
    time.sleep(0.5)
    with_hello, clear = browse()
    # Longer than tcpdump holds a block of its ring back.
    time.sleep(1.5)
    dump.send_signal(signal.SIGINT)
    dump.wait()
    # The clients' own stack gives the link segments that it is to cut: a mirror with such an offload.
    oversized = 'dwell_capture_oversized_packets_total{interface="tap0"}'
    sensor.wait_until(lambda: metrics()[oversized] > 0, "merged packets counted")
    told = sensor.log()
    sensor.stop()
    live, again = records(log), replayed(binary, recording)
    assert hellos(live) == hellos(again), (hellos(live) - hellos(again), hellos(again) - hellos(live))
    assert flows(live) == flows(again), (flows(live) - flows(again), flows(again) - flows(live))
    tls = [line for line in live if line["event_type"] == "tls"]
    assert len(tls) >= with_hello and sum(line["event_type"] == "http" for line in live) >= clear
    names = {line["tls"].get("sni") for line in tls}
    assert {"shop0.example", "old4.example", "big.example"} <= names, names
    assert "longer than its MTU" in told, told
    assert sum(line["event_type"] == "stats" for line in live) >= 2
    print(f"tap: real clients: {sum(hellos(live).values())} hellos and requests, {sum(flows(live).values())} flows, "
          "as a replay has them; merged packets were told")


def adds_up(counted, sent):
    """What was sent is what was taken in and what the kernel dropped; what was taken in is all told."""
    taken, lost = counted[TAKEN % "cap0"], counted[LOST]
    given = sum(v for k, v in counted.items() if k.startswith("dwell_decode_packets_total"))
    discarded = sum(v for k, v in counted.items() if k.startswith("dwell_decode_discards_total"))
    assert taken + lost == sent, f"sent {sent}, taken {taken}, lost {lost}"
    assert taken == given + discarded == counted["dwell_decode_frames_total"]
    return int(lost)


def wait_for_all(sensor, sent):
    sensor.wait_until(lambda: metrics()[TAKEN % "cap0"] + metrics()[LOST] >= sent, f"{sent} packets accounted for")


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def at_speed(binary, folder, capture, pace=("--topspeed",), loops=4):
    """All that the sender manages, with a scrape in a loop: nothing is lost, and the counters add up."""
    for attempt in (1, 2, 3):
        sensor = Sensor(binary, folder)
        before, scrapes, over = cpu_seconds(sensor.process), [], threading.Event()

        def scrape():
            while not over.wait(0.1):
                begun = time.monotonic()
                get("/metrics")
                scrapes.append(time.monotonic() - begun)

        scraper = threading.Thread(target=scrape)
        scraper.start()
        begun = time.monotonic()
        sent, words = sent_by("-q", "-K", *pace, f"--loop={loops}", "-i", "gen0", capture)
        elapsed = time.monotonic() - begun
        wait_for_all(sensor, sent)
        over.set()
        scraper.join()
        spent, counted = cpu_seconds(sensor.process) - before, metrics()
        sensor.stop()
        lost = adds_up(counted, sent)
        print(f"tap: at speed: {sent} packets ({words}), {lost} lost, {spent / sent * 1e9:.0f} ns CPU a packet, "
              f"{spent / elapsed:.0%} of a core, scrapes up to {max(scrapes) * 1000:.0f} ms, {counted['process_resident_memory_bytes'] / 1e6:.0f} MB")
        if lost == 0:
            return
        print(f"tap: AT SPEED: PACKETS LOST, ATTEMPT {attempt} OF 3: IS THE MACHINE BUSY?")
    print("tap: AT SPEED: PACKETS LOST AT EACH ATTEMPT, ALL OF THEM COUNTED: SEE --rate ON A QUIET MACHINE")


def idle(binary, folder):
    """Without packets timers go on, metrics are served, and the end comes at once."""
    log = os.path.join(folder, "idle.json")
    config = f'[flow]\nudp_idle = "2s"\nquic_idle = "2s"\n[[output]]\nname = "log"\ntype = "file"\npath = "{log}"\n'
    sensor = configured(binary, folder, config, log)
    sent, _ = sent_by("--mbps=100", "-i", "gen0", os.path.join(PCAPS, "chromium-quic.pcap"))
    wait_for_all(sensor, sent)
    sensor.wait_until(lambda: metrics()["dwell_flows_active"] > 0, "an open flow")
    sensor.wait_until(lambda: metrics()["dwell_flows_active"] == 0, "the flow's end on an idle link")
    run(binary, "health")
    seconds = sensor.stop()
    assert seconds < 1, f"took {seconds:.2f} s to end"
    assert subprocess.run([binary, "health"], capture_output=True).returncode != 0, "healthy though it is gone"
    ends = [line["flow"]["reason"] for line in records(log) if line["event_type"] == "flow" and "reason" in line["flow"]]
    assert ends, "no flow ended"
    print(f"tap: idle link: a flow timed out, metrics went on, ended in {seconds:.2f} s")


def flood_file(path, count):
    """SYNs from that many ports of that many machines, none of which is ever answered."""
    chance = random.Random(46)
    ethernet = bytes.fromhex("020000000002020000000001" "0800")
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for number in range(count):
            source = bytes((198, 18 + chance.randrange(2), chance.randrange(256), chance.randrange(256)))
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, number & 0xffff, 0, 64, 6, 0, source, bytes((192, 0, 2, 1)))
            words = sum(struct.unpack("!10H", ip))
            words = (words & 0xffff) + (words >> 16)
            words = 0xffff & ~((words & 0xffff) + (words >> 16))
            ip = ip[:10] + struct.pack("!H", words) + ip[12:]
            tcp = struct.pack("!HHIIBBHHH", chance.randrange(1024, 65536), 443, chance.randrange(1 << 32), 0, 0x50, 2,
                              64240, 0, 0)
            frame = ethernet + ip + tcp + bytes(6)
            file.write(struct.pack("<IIII", number // 100_000, number % 100_000 * 10, len(frame), len(frame)) + frame)


def flood(binary, folder):
    """A flood of SYNs fills the table, is counted, and costs no flow that says something."""
    count, room = 200_000, 20_000
    path, log = os.path.join(folder, "flood.pcap"), os.path.join(folder, "flood.json")
    flood_file(path, count)
    config = f'[flow]\nmax_flows = {room}\n[[output]]\nname = "log"\ntype = "file"\npath = "{log}"\n'
    sensor = configured(binary, folder, config, log)
    half = os.path.join(PCAPS, "curl.pcap")
    sent, _ = sent_by("--mbps=100", "-i", "gen0", "--limit=8", half)
    some, words = sent_by("-q", "-K", "--topspeed", "-i", "gen0", path)
    last, _ = sent_by("--mbps=100", "-i", "gen0", os.path.join(PCAPS, "curl-http1.pcap"))
    sent += some + last
    wait_for_all(sensor, sent)
    time.sleep(1.2)
    counted = metrics()
    adds_up(counted, sent)
    assert 0 < counted["dwell_flows_active"] <= counted["dwell_flow_table_capacity"] <= room * 2, counted
    evicted = counted['dwell_flows_evicted_total{kind="unestablished"}']
    assert evicted > count / 2, evicted
    assert counted['dwell_flows_evicted_total{kind="short"}'] == 0
    sensor.wait_until(lambda: "one way only" in sensor.log(), "flows without answers told")
    sensor.stop()
    found = hellos(records(log))
    assert sum(found.values()) >= 2, found
    print(f"tap: flood: {some} SYNs ({words}), {int(evicted)} half-open flows made room, "
          f"{counted['process_resident_memory_bytes'] / 1e6:.0f} MB; hellos before and after are there")


def copies(binary, folder, capture):
    """A mirror that takes each packet at two places: told, and in no figure."""
    count, path = 12_000, os.path.join(folder, "twice.pcap")
    with open(capture, "rb") as once, open(path, "wb") as twice:
        twice.write(once.read(24))
        for _ in range(count):
            header = once.read(16)
            frame = header + once.read(struct.unpack("<IIII", header)[2])
            twice.write(frame + frame)
    sensor = Sensor(binary, folder)
    sent, _ = sent_by("-q", "-K", "--mbps=100", "-i", "gen0", path)
    assert sent == 2 * count
    wait_for_all(sensor, sent)
    sensor.wait_until(lambda: "came twice" in sensor.log(), "copies told")
    counted = metrics()
    adds_up(counted, sent)
    packets = sum(v for k, v in counted.items() if k.startswith("dwell_decode_packets_total"))
    found = counted["dwell_capture_duplicates_total"]
    sensor.stop()
    carried = sum(key[1] + key[2] for key in flows(records(sensor.output)).elements())
    assert carried == packets - found and found > 0.4 * packets, (carried, packets, found)
    print(f"tap: copies: {int(found)} of {int(packets)} packets are copies, told, and in no flow")


def loss(binary, folder, capture):
    """Packets that find the ring full are counted, and flows, sessions and stats say so."""
    log = os.path.join(folder, "loss.json")
    config = f'[[capture]]\ninterface = "cap0"\nbuffer = "2MiB"\n[[output]]\nname = "log"\ntype = "file"\npath = "{log}"\n'
    sensor = configured(binary, folder, config, log)
    sent, _ = sent_by("-q", "-K", "--mbps=200", "--limit=2000", "-i", "gen0", capture)
    wait_for_all(sensor, sent)
    sensor.process.send_signal(signal.SIGSTOP)
    some, _ = sent_by("-q", "-K", "--topspeed", "--limit=30000", "-i", "gen0", capture)
    sensor.process.send_signal(signal.SIGCONT)
    sent += some
    wait_for_all(sensor, sent)
    # A second for the engine to be told.
    time.sleep(1.2)
    more, _ = sent_by("-q", "-K", "--mbps=200", "--limit=2000", "-i", "gen0", capture)
    sent += more
    wait_for_all(sensor, sent)
    lost = adds_up(metrics(), sent)
    assert lost > 0 and metrics()['dwell_capture_ring_freezes_total{interface="cap0"}'] > 0
    sensor.stop()
    lines = records(log)
    stats = [line for line in lines if line["event_type"] == "stats"][-1]["stats"]
    assert stats["capture"]["cap0"]["kernel_drops"] == lost, stats["capture"]
    ends = [line for line in lines if line["event_type"] == "flow" and line["dwell"]["record"] == "end"]
    marked = [line for line in ends if "capture_loss" in line["dwell"]["visibility"]]
    assert marked and all(line["dwell"]["quality"]["kernel_drops_during"] == lost for line in marked), len(marked)
    print(f"tap: forced loss: {lost} of {sent} packets counted, {len(marked)} of {len(ends)} flows say so")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    in_namespace("tap", TOOLS)
    binary = os.path.abspath(sys.argv[1])
    make_link()
    with scratch() as folder:
        capture = os.path.join(folder, "demo.pcap")
        with open(capture, "wb") as file:
            subprocess.run(["gunzip", "-c", os.path.join(PCAPS, "demo-office.pcap.gz")], stdout=file, check=True)
        if "--rate" in sys.argv:
            at_speed(binary, folder, capture, loops=20)
            at_speed(binary, folder, capture, ["--pps=100000"], loops=10)
            return
        make_server(folder)
        clients(binary, folder)
        at_speed(binary, folder, capture)
        idle(binary, folder)
        flood(binary, folder)
        copies(binary, folder, capture)
        loss(binary, folder, capture)
    print("tap: all passed")


main()
