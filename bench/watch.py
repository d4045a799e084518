"""The watch beside `tcpdump -w FILE`, on the same device and traffic: processor seconds of the process, frames lost.

`python -m bench watch` as root: frames of 128 and 1400 bytes and the Internet's mix, once of random UDP and once of
WireGuard, in a network namespace of its own. `inside` is the watch with the ring on cilium_wg0 too, here on the same
device, so that it searches every frame twice.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from bench.results import Result, Row
from bench.traffic import MAC, PORT, SIZES
from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.frames import FlowIndex
from pytest_ciliumwg.agent.capture.inside import Tunnel
from pytest_ciliumwg.agent.capture.rings import Plan
from pytest_ciliumwg.agent.capture.watch import Watch
from pytest_ciliumwg.agent_client.client import RING

FRAMES, RATE, ROUNDS = 800_000, 200_000, 3
_INSIDE = "CILIUMWG_BENCH"
_DEVICES = (
    "ip link set lo up; sysctl -qw net.ipv6.conf.default.disable_ipv6=1; "
    "ip link add left address {mac} type veth peer name right; ip link set left up; ip link set right up; "
)
_OWN = [ip_address(address).packed for address in ("10.244.1.71", "fd00:10:244:1::71")]
_OTHERS = [ip_address(address).packed for address in ("10.244.2.72", "fd00:10:244:2::72")]


def _index() -> FlowIndex:
    flows = [(number, 17, own, other, 20000) for number, (own, other) in enumerate(zip(_OWN, _OTHERS, strict=True))]
    return FlowIndex(canary.Canaries.of(b"of the benchmark"), flows, frozenset([*_OWN, *_OTHERS]), frozenset(_OWN))


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def watch(send: Callable[[], None], tunnel: Tunnel | None = None) -> tuple[float, int]:
    """(processor seconds, frames lost) of our watch, in this process."""
    before = _cpu(resource.getrusage(resource.RUSAGE_SELF))
    one = Watch(Plan(["left"], _index(), RING["block_size"], RING["blocks"], PORT, tunnel))
    send()
    result = one.stop()
    device = result["devices"]["left"]
    missed = result["inside"]["missed"] if tunnel else 0
    lost = device["drops"] + device["wireguard"]["drops"] + missed
    return _cpu(resource.getrusage(resource.RUSAGE_SELF)) - before, lost


def inside(send: Callable[[], None]) -> tuple[float, int]:
    """The same with the inside of the tunnel."""
    return watch(send, Tunnel("left", headers=True))


def tcpdump(send: Callable[[], None]) -> tuple[float, int]:
    """(processor seconds, frames lost) of tcpdump, which writes all and searches nothing."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        command = ["tcpdump", "-i", "left", "-n", "-w", str(Path(directory, "bench.pcap"))]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            while "listening on" not in process.stderr.readline():
                pass
            send()
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            text = process.stderr.read()
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
    dropped = re.search(r"(\d+) packets dropped by kernel", text)
    return _cpu(usage), int(dropped[1]) if dropped else 0


def run(rounds: int = ROUNDS) -> Result:
    """All tools on all kinds of traffic, round after round."""
    tools = {"watch": watch, "inside": inside, "tcpdump": tcpdump}
    found: dict[tuple[str, str, str], list[tuple[float, int]]] = {}
    for _ in range(rounds):
        for kind in SIZES:
            for what in ("udp", "wireguard"):
                command = [sys.executable, "-m", "bench.traffic", "right", kind, what, str(FRAMES), str(RATE)]
                for tool, measure in tools.items():
                    taken = measure(lambda command=command: subprocess.run(command, check=True))  # type: ignore[arg-type, misc]
                    found.setdefault((kind, what, tool), []).append(taken)
    result = Result("watch")
    for (kind, what, tool), rows in found.items():
        ratios = [one / two for (one, _), (two, _) in zip(rows, found[kind, what, "tcpdump"], strict=True)]
        note = f"{sorted(ratios)[len(ratios) // 2]:.2f} x tcpdump; " if tool != "tcpdump" else ""
        lost = sum(count for _, count in rows)
        note += f"{lost} of {FRAMES * rounds} frames lost"
        result.rows.append(Row(f"{kind} {what}: {tool}", [seconds for seconds, _ in rows], "s", note))
    return result


def main() -> Result:
    """Run in a network namespace of its own; the result comes from there."""
    if os.environ.get(_INSIDE) is not None:
        return run()
    script = _DEVICES.format(mac=MAC.hex(":")) + 'exec "$@"'
    command = ["unshare", "--net", "--mount", "sh", "-ec", script, "sh", sys.executable, "-m", "bench", *sys.argv[1:]]
    raise SystemExit(subprocess.run(command, env={**os.environ, _INSIDE: "1"}, check=False).returncode)
