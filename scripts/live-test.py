#!/usr/bin/env python3
"""Tests the live sensor on a veth pair in a network namespace of its own.

Usage: live-test.py DWELL-BINARY

Needs root, iproute2, tcpreplay and tcpdump; where one is missing it says so, loudly, and passes.
What is sent stays in the namespace.
"""

import collections
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from sensor import (HTTP, PCAPS, Sensor, configured, flows, hellos, in_namespace, make_link, metrics, records,
                     replayed, run, scratch, start)

TOOLS = ["ip", "tcpreplay", "tcpdump", "unshare"]


def is_ethernet(path):
    """A pcap file of Ethernet frames, which a veth pair can carry."""
    if not path.endswith(".pcap"):
        return False
    with open(path, "rb") as file:
        header = file.read(24)
    return header[:4] == b"\xd4\xc3\xb2\xa1" and header[20:24] == b"\1\0\0\0"


def same_as_replay(binary, folder):
    """Every flow, hello and request that a replay of the same packets finds is found live."""
    names = sorted(name for name in os.listdir(PCAPS) if is_ethernet(os.path.join(PCAPS, name)))
    recording = os.path.join(folder, "recording.pcap")
    sensor = Sensor(binary, folder)
    dump = start(
        ["tcpdump", "-i", "cap0", "-B", "65536", "--time-stamp-precision=nano", "-w", recording],
        stderr=subprocess.PIPE,
    )
    dump.stderr.readline()
    time.sleep(0.5)
    sent = 0
    for name in names:
        path = os.path.join(PCAPS, name)
        output = run("tcpreplay", "--mbps=100", "-i", "gen0", path)
        sent += int(re.search(r"Successful packets:\s+(\d+)", output.stdout).group(1))
    sensor.wait_for_packets(sent)
    time.sleep(0.5)
    dump.send_signal(signal.SIGINT)
    dump.wait()
    counted = metrics()
    sensor.stop()
    live = records(sensor.output)
    again = replayed(binary, recording)
    assert hellos(live) == hellos(again), "hellos and requests differ"
    assert flows(live) == flows(again), "flows differ"
    taken = counted['dwell_capture_packets_total{interface="cap0"}']
    frames = counted["dwell_decode_frames_total"]
    given = sum(v for k, v in counted.items() if k.startswith("dwell_decode_packets_total"))
    discarded = sum(v for k, v in counted.items() if k.startswith("dwell_decode_discards_total"))
    lost = sum(v for k, v in counted.items() if k.startswith("dwell_capture_drops_total"))
    assert taken >= sent and taken == frames == given + discarded, (sent, taken, frames, given, discarded)
    assert lost == 0, f"{lost} lost"
    stats = [line for line in live if line["event_type"] == "stats"][-1]["stats"]
    assert stats["capture"]["cap0"]["packets"] == taken, stats
    assert stats["output"]["unqueued"] == 0, stats
    [output] = stats["output"]["sinks"].values()
    # All records but this one, as far as its thread was by then.
    assert output["written"] + output["queued"] >= len(live) - 257 and output["dropped"] == 0, stats
    print(f"live: {len(names)} captures, {sent} packets sent, {int(taken)} taken, 0 lost; "
          f"{sum(hellos(live).values())} hellos and requests, {sum(flows(live).values())} flows, as a replay has them")


def idle(binary, folder):
    """An idle link stops neither metrics nor the end; SIGHUP without a file changes nothing."""
    sensor = Sensor(binary, folder)
    before = metrics()["dwell_worker_busy_ratio"]
    time.sleep(2.2)
    after = metrics()
    assert after["dwell_capture_interface_up{interface=\"cap0\"}"] == 1.0
    assert before < 0.5 and after["dwell_worker_busy_ratio"] < 0.2, after["dwell_worker_busy_ratio"]
    seconds = sensor.stop()
    assert seconds < 1, f"took {seconds:.2f} s to end"
    print(f"live: idle link: ended in {seconds:.2f} s")


def interface_comes_and_goes(binary, folder):
    """Down, up, another MTU, gone, back and renamed: the sensor goes on, says so and counts it."""
    sensor = Sensor(binary, folder)
    path = os.path.join(PCAPS, "curl.pcap")
    changes = 'dwell_capture_interface_changes_total{change="%s",interface="cap0"}'

    def change(kind, *command):
        run(*command)
        sensor.wait_until(lambda: metrics()[changes % kind] >= 1, kind)

    change("down", "ip", "link", "set", "cap0", "down")
    assert not sensor.is_ready()
    change("up", "ip", "link", "set", "cap0", "up")
    change("mtu", "ip", "link", "set", "cap0", "mtu", "1400")
    sensor.wait_until(sensor.is_ready, "ready again")
    run("tcpreplay", "--mbps=100", "-i", "gen0", path)
    sensor.wait_for_packets(19)
    change("gone", "ip", "link", "del", "cap0")
    make_link()
    sensor.wait_until(lambda: metrics()[changes % "reattached"] >= 1, "reattached")
    before = metrics()['dwell_capture_packets_total{interface="cap0"}']
    run("tcpreplay", "--mbps=100", "-i", "gen0", path)
    sensor.wait_for_packets(before + 19)
    run("ip", "link", "set", "cap0", "down")
    change("renamed", "ip", "link", "set", "cap0", "name", "other0")
    run("ip", "link", "set", "other0", "up")
    sensor.wait_until(sensor.is_ready, "ready under another name")
    before = metrics()['dwell_capture_packets_total{interface="cap0"}']
    run("tcpreplay", "--mbps=100", "-i", "gen0", path)
    sensor.wait_for_packets(before + 19)
    sensor.stop()
    run("ip", "link", "set", "other0", "down")
    run("ip", "link", "set", "other0", "name", "cap0")
    run("ip", "link", "set", "cap0", "up")
    print("live: down, up, MTU, gone, back, renamed: capture went on, each was counted")


def reload(binary, folder):
    """A bad file changes nothing and says so; a good one takes effect; SIGUSR1 opens files again."""
    config = os.path.join(folder, "dwell.toml")
    log = os.path.join(folder, "log.json")

    def write(text):
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)

    good = f'[[output]]\nname = "log"\ntype = "file"\npath = "{log}"\n[privileges]\nlandlock = false\n'
    write(good)
    command = [binary, "run", "-i", "cap0", "--config", config, "--http", HTTP]
    sensor = Sensor.of(command, folder, log)
    gauge = "dwell_config_last_reload_successful"
    assert metrics()[gauge] == 1
    write(good + "[detect]\nsession_duraton = '1h'\n")
    sensor.process.send_signal(signal.SIGHUP)
    sensor.wait_until(lambda: metrics()[gauge] == 0, "refused")
    assert "unknown field `session_duraton`" in sensor.log() and "nothing changed" in sensor.log()
    write(good + "[detect]\nsession_duration = '1h'\n")
    sensor.process.send_signal(signal.SIGHUP)
    sensor.wait_until(lambda: metrics()[gauge] == 1, "reloaded")
    run("tcpreplay", "--mbps=100", "-i", "gen0", os.path.join(PCAPS, "curl.pcap"))
    sensor.wait_for_packets(19)
    sensor.wait_until(lambda: os.path.getsize(log) > 0, "records")
    os.rename(log, log + ".1")
    sensor.process.send_signal(signal.SIGUSR1)
    sensor.wait_until(lambda: os.path.exists(log), "a new file")
    sensor.stop()
    assert records(log + ".1") and records(log)
    print("live: a bad reload changed nothing, a good one took effect, files were opened again")


def rights(binary, folder):
    """Rights are given up: what must fail is refused, and capture goes on without them."""
    path = os.path.join(folder, "rights.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write('[[capture]]\ninterface = "cap0"\n[privileges]\nuser = "nobody"\n')
    tried = run(binary, "check", "--config", path, "--sandbox").stdout.splitlines()
    refused = [line for line in tried if line.startswith("refused")]
    assert len(refused) == len(tried) == 6, tried
    log = os.path.join(folder, "rights", "eve.json")
    os.mkdir(os.path.dirname(log))
    shutil.chown(os.path.dirname(log), "nobody")
    os.chmod(folder, 0o755)
    sensor = configured(binary, folder, f'''[privileges]
user = "nobody"
[[output]]
name = "log"
type = "file"
path = "{log}"
rotate_size = "1KiB"
''', log)
    with open(f"/proc/{sensor.process.pid}/status", encoding="utf-8") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    nobody = run("id", "-u", "nobody").stdout.strip()
    assert status["Uid"].split() == [nobody] * 4, status["Uid"]
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(status[name], 16) == 0, (name, status[name])
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    run("tcpreplay", "--mbps=100", "-i", "gen0", os.path.join(PCAPS, "curl.pcap"))
    sensor.wait_for_packets(19)
    sensor.wait_until(lambda: len(os.listdir(os.path.dirname(log))) > 1, "rotated without rights")
    sensor.stop()
    print(f"live: {len(refused)} forbidden things refused; captured and rotated as nobody")


def outputs(binary, folder):
    """Collectors, a full disk and a collector that is away: nothing stops, everything is counted."""
    small = os.path.join(folder, "small")
    os.mkdir(small)
    run("mount", "-t", "tmpfs", "-o", "size=8k", "none", small)
    flows_folder = os.path.join(folder, "ipfix")
    os.mkdir(flows_folder)
    collector = shutil.which("nfcapd")
    if collector:
        nfcapd = start([collector, "-l", flows_folder, "-p", "4739", "-b", "127.0.0.1", "-t", "3600"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
    receiver = socket.create_server(("127.0.0.1", 6514))
    log = os.path.join(folder, "all.json")
    config = [f'[[output]]\nname = "log"\ntype = "file"\npath = "{log}"',
              f'[[output]]\nname = "full"\ntype = "file"\npath = "{small}/eve.json"',
              '[[output]]\nname = "flows"\ntype = "ipfix"\naddress = "127.0.0.1:4739"',
              '[[output]]\nname = "syslog"\ntype = "syslog"\ntransport = "tcp"\naddress = "127.0.0.1:6514"',
              '[[output]]\nname = "away"\ntype = "webhook"\nurl = "http://127.0.0.1:1/"\nrecords = ["tls"]']
    sensor = configured(binary, folder, "\n".join(config), log)
    sent = 0
    for name in ("curl.pcap", "curl-ipv6.pcap", "chromium-1.pcap", "firefox.pcap"):
        text = run("tcpreplay", "--mbps=100", "-i", "gen0", os.path.join(PCAPS, name)).stdout
        sent += int(re.search(r"Successful packets:\s+(\d+)", text).group(1))
    sensor.wait_for_packets(sent)
    error = 'dwell_output_errors_total{reason="%s",sink="%s"}'
    sensor.wait_until(lambda: metrics()[error % ("disk_full", "full")] > 0, "a full disk counted")
    sensor.wait_until(lambda: metrics()[error % ("unreachable", "away")] > 0, "a collector away counted")
    run("mount", "-o", "remount,size=10m", small)
    written = 'dwell_output_records_total{sink="%s",type="flow"}'
    sensor.wait_until(lambda: metrics()[written % "full"] > 0, "the disk has room again")
    sensor.stop()
    live = records(log)
    lines = records(os.path.join(small, "eve.json"))
    assert lines == live, f"{len(lines)} of {len(live)} records after the disk was full"
    connection, _ = receiver.accept()
    received = b"".join(iter(lambda: connection.recv(65536), b""))
    messages = 0
    while received:
        length, rest = received.split(b" ", 1)
        message, received = rest[:int(length)], rest[int(length):]
        assert json.loads(message.split(b" - ", 1)[1]) == live[messages]
        messages += 1
    assert messages == len(live), (messages, len(live))
    run("umount", small)
    print(f"live: a full disk lost nothing of {len(live)} records; syslog got all {messages}")
    if not collector:
        print("live: SKIPPED: NO NFCAPD: IPFIX WAS NOT TESTED")
        return
    time.sleep(0.5)
    nfcapd.terminate()
    nfcapd.wait()
    files = [os.path.join(flows_folder, name) for name in os.listdir(flows_folder) if name.startswith("nfcapd.2")]
    text = run("nfdump", "-q", "-N", "-o", "fmt:%pr,%sa,%sp,%da,%dp,%pkt,%byt", "-r", files[0]).stdout
    found = collections.Counter()
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 7:
            found[tuple(fields[1:5])] += int(fields[5])
    expected = collections.Counter()
    for line in live:
        if line["event_type"] == "flow" and line["dwell"]["record"] == "end":
            client = (line["src_ip"], str(line["src_port"]))
            server = (line["dest_ip"], str(line["dest_port"]))
            expected[client + server] += line["flow"]["pkts_toserver"]
            expected[server + client] += line["flow"]["pkts_toclient"]
    expected = +expected
    assert found == expected, f"nfdump: {found} expected: {expected}"
    print(f"live: nfdump has {len(found)} directions of flows with the packets that the log has")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    in_namespace("live", TOOLS)
    binary = os.path.abspath(sys.argv[1])
    make_link()
    tests = [same_as_replay, idle, interface_comes_and_goes, reload, rights, outputs]
    with scratch() as folder:
        try:
            for test in tests:
                test(binary, folder)
        finally:
            # A file system that a failed test left behind.
            subprocess.run(["umount", "-l", os.path.join(folder, "small")], capture_output=True)
    print("live: all passed")


main()
