"""A continuous watch for a long time: what it costs each node, and whether it stays that way.

    python -m bench.continuous [--minutes=30] [--nodes=6] [--cilium-version=1.20.3]

Fails if a frame is dropped, if a node's agent takes 10 % of a core, or if its memory grows. tcpdump, which a user would
leave running instead, runs beside it on one node's device, and both are measured in the same time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pytest_ciliumwg.providers.lab import LabCluster, LabSpec, create_lab
from pytest_ciliumwg.verdict.timeline import answered_without_tunnel
from pytest_ciliumwg.watch.continuous import ContinuousWatch

TICKS = 100
MOST_CPU = 10.0
SETTLED = 180.0
"""Seconds after which memory has to be flat."""
MOST_GROWTH = 512
"""KiB that a process may grow by after that: pages that are touched late, not a leak of every minute."""


@dataclass
class Process:
    """One process of the lab, with what it has taken so far."""

    name: str
    stat: Path

    def cpu(self) -> float:
        fields = self.stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> int:
        """KiB that are its own (the ring is shared with the kernel and never grows)."""
        rollup = self.stat.with_name("smaps_rollup").read_text()
        return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(("Private_Dirty", "Swap:")))


def processes(cluster: LabCluster) -> list[Process]:
    root = cluster.lab.sandbox.root
    places = [name for node in cluster.lab.layout for name in (node.name, node.test_pod.netns)]
    found = []
    for place in places:
        hello = json.loads(cluster.lab.transport(place).exchange(b'{"op":"hello"}\n', timeout=5))
        found.append(Process(place, root / "proc" / str(hello["pid"]) / "stat"))
    return found


def tcpdump(cluster: LabCluster) -> tuple[Process, subprocess.Popen[bytes]]:
    """What a user would run: everything of one device, into a ring of files."""
    node = cluster.lab.layout[-1]
    command = ["tcpdump", "-i", "eth0", "-n", "-w", "/dev/null", "--immediate-mode"]
    started = cluster.lab.sandbox.popen(["sh", "-c", 'echo $$; exec "$@"', "sh", *command], netns=node.name)
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    return Process("tcpdump", cluster.lab.sandbox.root / "proc" / str(pid) / "stat"), started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--nodes", type=int, default=6)
    parser.add_argument("--cilium-version", default="1.20.3")
    options = parser.parse_args()
    cluster = create_lab(LabSpec(cilium_version=options.cilium_version, nodes=options.nodes), print)
    try:
        return run(cluster, options.minutes * 60)
    finally:
        cluster.close()


def run(cluster: LabCluster, seconds: float) -> int:
    devices = {node.name: ["eth0"] for node in cluster.nodes()}
    with ContinuousWatch(cluster, devices, 51871, print) as watch:
        dump, started = tcpdump(cluster)
        watched = [*processes(cluster), dump]
        began, cpu = time.monotonic(), [process.cpu() for process in watched]
        time.sleep(min(SETTLED, seconds / 2))
        early = [process.memory() for process in watched]
        while time.monotonic() - began < seconds:
            time.sleep(min(60.0, seconds))
            print(f"{(time.monotonic() - began) / 60:5.1f} min", [process.memory() for process in watched], flush=True)
        passed = time.monotonic() - began
        shares = [(process.cpu() - before) / passed * 100 for process, before in zip(watched, cpu, strict=True)]
        growth = [process.memory() - before for process, before in zip(watched, early, strict=True)]
        started.terminate()
        timeline = watch.stop()
    for process, share, grown in zip(watched, shares, growth, strict=True):
        print(f"{process.name:28} {share:5.1f} % of a core, memory {grown:+d} KiB after the first three")
    counted = [device for devices in timeline.counted.values() for device in devices.values()]
    drops, frames = sum(device.drops for device in counted), sum(device.frames for device in counted)
    answered = sum(totals.answered for totals in timeline.totals.values())
    lost = sum(outage.lost for outage in timeline.outages)
    print(f"{frames} frames searched, {drops} dropped; {answered} messages answered, {lost} lost")
    print(
        f"{len(timeline.clear)} times in cleartext, {len(timeline.blind)} times blind, {len(timeline.unsound)} doubts"
    )
    doubts = [*timeline.blind, *timeline.unsound, *timeline.clear]
    doubts += [f"{where}: {why}" for where, why in answered_without_tunnel(timeline)]
    for doubt in doubts[:5]:
        print(f"  {doubt}")
    agents = shares[:-1]
    good = not drops and not doubts and max(agents) < MOST_CPU and max(growth[:-1]) < MOST_GROWTH
    print(f"{'good' if good else 'NOT GOOD'}: at most {max(agents):.1f} % of a core, after {passed / 60:.1f} minutes")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
