"""The sensor as a process, in a network namespace that a test makes: what the tests of it share."""

import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PCAPS = os.path.join(ROOT, "pcaps")
HTTP = "127.0.0.1:10146"


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


STARTED = []


def start(command, **options):
    """Starts a process that does not outlive this script."""
    process = subprocess.Popen(command, **options)
    STARTED.append(process)
    return process


@contextlib.contextmanager
def scratch():
    """A folder for the tests; what they started ends with it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield folder
        finally:
            for process in STARTED:
                process.kill()


def get(path):
    with urllib.request.urlopen(f"http://{HTTP}{path}", timeout=5) as answer:
        return answer.read().decode()


def metrics():
    found = {}
    for line in get("/metrics").splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            found[series] = float(value)
    return found


def records(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Sensor:
    """dwell run on cap0, with its records in a file."""

    def __init__(self, binary, folder, *arguments):
        output = os.path.join(folder, "eve.json")
        if os.path.exists(output):
            os.remove(output)
        command = [binary, "run", "-i", "cap0", "--output", output, "--http", HTTP]
        self.begin([*command, *arguments], folder, output)

    @classmethod
    def of(cls, command, folder, output):
        """A sensor that another command starts."""
        sensor = cls.__new__(cls)
        sensor.begin(command, folder, output)
        return sensor

    def begin(self, command, folder, output):
        self.output = output
        self.errors = open(os.path.join(folder, "errors"), "w+", encoding="utf-8")
        self.process = start(command, stderr=self.errors)
        self.wait_until(self.is_ready, "ready")

    def is_ready(self):
        try:
            return get("/-/ready") == "ready\n"
        except OSError:
            return False

    def wait_until(self, condition, what):
        for _ in range(200):
            if condition():
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"not {what}: {self.log()}")

    def wait_for_packets(self, count, interface="cap0"):
        series = 'dwell_capture_packets_total{interface="%s"}' % interface
        self.wait_until(lambda: metrics()[series] >= count, f"{count} packets taken in")

    def stop(self):
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=40)
        seconds = time.monotonic() - begun
        assert code == 0, f"exit code {code}: {self.log()}"
        return seconds

    def log(self):
        self.errors.flush()
        with open(self.errors.name, encoding="utf-8") as text:
            return text.read()


def flow_key(record):
    flow = record["flow"]
    sums = ("pkts_toserver", "pkts_toclient", "bytes_toserver", "bytes_toclient")
    return (record["community_id"], *(flow[name] for name in sums))


def flows(lines):
    """The five-tuples and sums of all flows, over their parts."""
    ended = [line for line in lines if line["event_type"] == "flow" and line["dwell"]["record"] == "end"]
    return collections.Counter(flow_key(line) for line in ended)


def hellos(lines):
    found = collections.Counter()
    for line in lines:
        kind = line["event_type"]
        if kind in ("tls", "quic"):
            hello = line[kind]
            found[line["community_id"], hello.get("sni"), hello["ja4"], hello["ja3"]["hash"]] += 1
        elif kind == "http":
            found[line["community_id"], json.dumps(line["http"], sort_keys=True)] += 1
    return found


def configured(binary, folder, config, log, interface="cap0"):
    """A sensor with a configuration of its own."""
    path = os.path.join(folder, "outputs.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(config)
    command = [binary, "run", "-i", interface, "--config", path, "--http", HTTP]
    return Sensor.of(command, folder, log)


def replayed(binary, capture):
    """The records of a replay."""
    lines = run(binary, "replay", "--format", "eve", capture).stdout.splitlines()
    return [json.loads(line) for line in lines]


def sent_by(*command):
    """Runs tcpreplay; gives how many packets it sent, and its words on how fast."""
    text = run("tcpreplay", *command).stdout
    sent = int(re.search(r"Successful packets:\s+(\d+)", text).group(1))
    return sent, re.search(r"Rated: .*", text).group(0)


def in_namespace(name, tools):
    """Goes on in a network namespace of its own; says loudly, and passes, where that cannot be."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    inside = f"DWELL_{name.upper()}_TEST_INSIDE"
    if os.geteuid() != 0:
        skipped(name, "not root")
    if missing:
        skipped(name, f"not installed: {', '.join(missing)}")
    if os.environ.get(inside) != "1":
        probe = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True)
        if probe.returncode != 0:
            skipped(name, "no network namespaces here")
        arguments = ["unshare", "-n", "-m", sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]]
        os.execvpe("unshare", arguments, {**os.environ, inside: "1"})
    run("ip", "link", "set", "lo", "up")


def skipped(name, reason):
    print(f"{name}: SKIPPED: {reason.upper()}: THE LIVE SENSOR WAS NOT TESTED")
    sys.exit(0)


def make_link():
    run("ip", "link", "add", "cap0", "type", "veth", "peer", "name", "gen0")
    for name in ("cap0", "gen0"):
        # Our own neighbour and router messages are none of what is sent.
        with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="utf-8") as file:
            file.write("1")
        run("ip", "link", "set", name, "up")
