#!/usr/bin/env python3
"""Tests metrics, rules and dashboard with promtool and a real Prometheus.

Usage: prometheus-test.py DWELL-BINARY

Needs promtool and prometheus (Debian package prometheus); for the scrape also root, iproute2 and
tcpreplay. What is missing is said loudly, and passes.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONFIGS = os.path.join(ROOT, "configs")
INSIDE = "DWELL_PROMETHEUS_TEST_INSIDE"
SENSOR = "127.0.0.1:10146"
SERVER = "127.0.0.1:9090"


def skipped(reason, untested):
    print(f"prometheus: SKIPPED: {reason.upper()}: {untested.upper()} NOT TESTED")
    sys.exit(0)


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def get(address, path):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        return answer.read().decode()


def query(expression):
    answer = json.loads(get(SERVER, "/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
    return answer["data"]["result"]


def until(condition, what, seconds=60):
    for _ in range(seconds * 10):
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"prometheus: not within {seconds} s: {what}")


def files():
    """Rules, their tests and the scrape configuration."""
    folder = os.path.join(CONFIGS, "prometheus")
    run("promtool", "check", "rules", "dwell.rules.yml", cwd=folder)
    run("promtool", "test", "rules", "dwell.rules.test.yml", cwd=folder)
    run("promtool", "check", "config", "--syntax-only", "prometheus.yml", cwd=folder)
    print("prometheus: rules, tests of rules and scrape configuration are right")


def metrics():
    """What the sensor serves is in good style and names nothing from the wire."""
    text = get(SENSOR, "/metrics")
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    if checked.returncode != 0 or checked.stderr or checked.stdout:
        sys.exit(f"promtool check metrics: {checked.stdout}{checked.stderr}")
    series = sum(1 for line in text.splitlines() if not line.startswith("#"))
    print(f"prometheus: {series} series pass promtool check metrics")


def panels():
    """Every query of every panel gives data."""
    with open(os.path.join(CONFIGS, "grafana", "dwell.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    count = 0
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$instance", ".*")
            expression = re.sub(r"\$__(rate_interval|range)", "10s", expression)
            until(lambda e=expression: query(e), f"data of {panel['title']}: {expression}", 20)
            count += 1
    print(f"prometheus: {count} queries of {len(dashboard['panels'])} panels give data")


def serve(folder, name):
    """A Prometheus with our scrape configuration and rules, but every second."""
    config = os.path.join(folder, "prometheus.yml")
    with open(os.path.join(CONFIGS, "prometheus", "prometheus.yml"), encoding="utf-8") as file:
        text = file.read()
    shutil.copy(os.path.join(CONFIGS, "prometheus", "dwell.rules.yml"), folder)
    with open(config, "w", encoding="utf-8") as file:
        file.write(text.replace("15s", "1s"))
    return subprocess.Popen(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/{name}",
                             f"--web.listen-address={SERVER}", "--log.level=error"])


def scrape(binary, folder):
    sensor = subprocess.Popen([binary, "run", "-i", "cap0", "--output", os.path.join(folder, "eve.json")],
                              stderr=subprocess.DEVNULL)
    server = serve(folder, "scrape")
    try:
        until(lambda: get(SENSOR, "/-/ready"), "sensor ready")
        until(lambda: query("dwell_build_info"), "first scrape")
        capture = os.path.join(ROOT, "pcaps", "curl.pcap")
        for _ in range(5):
            run("tcpreplay", "-q", "--mbps=10", "-i", "gen0", capture)
            time.sleep(1)
        metrics()
        until(lambda: query("dwell_capture_packets_total >= 95"), "packets at the server", 15)
        panels()
        assert query('up{job="dwell"} == 1')
        sensor.send_signal(signal.SIGTERM)
        assert sensor.wait(timeout=10) == 0
    finally:
        server.kill()
        sensor.kill()
    print("prometheus: a real server scraped the sensor")


def demo(binary, folder):
    """The sensor on the demo's packets, an hour in two seconds: its finding is in the log, on /metrics, at the
    server, and an alert."""
    log, config = os.path.join(folder, "demo.json"), os.path.join(folder, "demo.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[[output]]\nname = "log"\ntype = "file"\npath = "{log}"\n')
    capture = os.path.join(ROOT, "pcaps", "demo-office.pcap.gz")
    sensor = subprocess.Popen([binary, "replay", "--config", config, "--http", SENSOR, "--speed", "1500", capture],
                              stderr=subprocess.DEVNULL)
    server = serve(folder, "demo")
    found = 'dwell_alerts_total{analytic="AN0146"} > 0'
    try:
        until(lambda: query(found), "the finding at the server", 40)
        until(lambda: query('ALERTS{alertname="DwellFinding", analytic="AN0146"}'), "the finding as an alert", 40)
        own = [line for line in get(SENSOR, "/metrics").splitlines() if line.startswith("dwell_alerts_total")]
        assert any('"AN0146"' in line and not line.endswith(" 0") for line in own), own
        sensor.send_signal(signal.SIGTERM)
        assert sensor.wait(timeout=10) == 0
    finally:
        server.kill()
        sensor.kill()
    with open(log, encoding="utf-8") as lines:
        alerts = [line for line in map(json.loads, lines) if line["event_type"] == "alert"]
    assert any("AN0146" in json.dumps(alert) for alert in alerts), alerts
    print("prometheus: the demo's finding is in the log, on /metrics, at the server and an alert there")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if not shutil.which("promtool") or not shutil.which("prometheus"):
        skipped("prometheus is not installed", "metrics, rules and dashboard were")
    if os.environ.get(INSIDE) != "1":
        files()
        missing = [tool for tool in ("ip", "unshare", "tcpreplay") if not shutil.which(tool)]
        if os.geteuid() != 0 or missing:
            skipped(f"not root or missing {missing}", "the scrape was")
        arguments = ["unshare", "-n", sys.executable, os.path.abspath(__file__), *sys.argv[1:]]
        os.execvpe("unshare", arguments, {**os.environ, INSIDE: "1"})
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "cap0", "type", "veth", "peer", "name", "gen0")
    run("ip", "link", "set", "cap0", "up")
    run("ip", "link", "set", "gen0", "up")
    with tempfile.TemporaryDirectory() as folder:
        scrape(os.path.abspath(sys.argv[1]), folder)
        demo(os.path.abspath(sys.argv[1]), folder)
    print("prometheus: all passed")


main()
