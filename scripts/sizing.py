#!/usr/bin/env python3
"""Measures what docs/deploy.md says of sizes: what scraping costs, how long a scrape takes, memory.

Usage: sizing.py DWELL-BINARY MAKE-BENCH-BINARY    (cargo build --release -p dwell -p dwell-testkit)

Judges nothing. Writes captures of some gigabytes to the temporary folder.
"""

import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from sensor import HTTP, get

FLOWS = 4_000_000


def cpu_and_peak(process):
    """CPU seconds and peak memory in MB of a process; of one that is over, no memory."""
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        peak = next((int(line.split()[1]) for line in file if line.startswith("VmHWM")), 0)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak / 1000


def replay(binary, folder, capture, pause):
    """Runs the whole sensor on a capture, scraped every `pause` seconds if that is no None; gives its wall and CPU
    seconds, peak memory, the most flows that were open, and the seconds of each scrape with so many."""
    config = os.path.join(folder, "sizing.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[flow]\nmax_flows = {FLOWS + FLOWS // 4}\n[[output]]\nname = "log"\ntype = "file"\n'
                   f'path = "{folder}/log.json"\nrecords = ["alert", "session", "stats"]\n')
    begun = time.monotonic()
    process = subprocess.Popen([binary, "replay", "--config", config, "--http", HTTP if pause is not None else "off",
                                capture], stderr=subprocess.DEVNULL)
    scrapes, most, cpu, peak = [], 0, 0, 0
    while process.poll() is None:
        time.sleep(0.05 if pause is None else pause)
        asked = time.monotonic()
        try:
            text = get("/metrics") if pause is not None else ""
            took = time.monotonic() - asked
            cpu, held = cpu_and_peak(process)
            peak = max(peak, held)
        except (OSError, ValueError, IndexError):
            continue
        open_now = next((float(line.split()[1]) for line in text.splitlines() if line.startswith("dwell_flows_active ")), 0)
        scrapes.append((open_now, took))
        most = max(most, open_now)
    wall = time.monotonic() - begun
    return wall, cpu, peak, most, sorted(took for count, took in scrapes if count >= most * 0.9)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binary, make_bench = (os.path.abspath(path) for path in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as folder:
        capture = os.path.join(folder, "worst.pcap")
        subprocess.run([make_bench, "worst", capture, "--flows", str(FLOWS), "--packets", str(3 * FLOWS)], check=True)
        wall, cpu, peak, most, took = replay(binary, folder, capture, 0.05)
        print(f"sizing: {int(most)} flows open, {peak:.0f} MB; {len(took)} scrapes meanwhile: median "
              f"{took[len(took) // 2] * 1000:.1f} ms, longest {took[-1] * 1000:.1f} ms")
        os.remove(capture)
        capture = os.path.join(folder, "internet.pcap")
        subprocess.run([make_bench, "internet", capture, "--bytes", "1GB"], check=True)
        replay(binary, folder, capture, None)
        for turn in (1, 2, 3):
            for pause in (None, 0.0):
                wall, cpu, peak, most, took = replay(binary, folder, capture, pause)
                how = "not scraped" if pause is None else f"{len(took)} scrapes in a loop"
                print(f"sizing: turn {turn}: {how}: {wall:.2f} s, {cpu:.2f} s CPU, {peak:.0f} MB", flush=True)


main()
