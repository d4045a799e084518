"""The watch beside what a user would take instead: tcpdump, tshark and scapy on the same device and traffic.

`python -m bench.watch [FRAMES [FRAMES_A_SECOND]]` as root. In a network namespace of its own it sends UDP frames of
256 bytes, a few of them with a canary, as fast as one process can or at a rate, and prints what each tool saw, lost
and cost. One run, same traffic. The second row is the watch with the inside ring, which sees the same frames once more.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.frames import FlowIndex
from pytest_ciliumwg.agent.capture.inside import Tunnel
from pytest_ciliumwg.agent.capture.rings import Plan
from pytest_ciliumwg.agent.capture.watch import Watch
from pytest_ciliumwg.agent_client.client import RING

CANARIES = canary.Canaries.of(b"of the benchmark")
PREFIX = CANARIES.prefix
EVERY = 1000
SENDER = """
import socket, sys, time
plain, marked, count, every = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
rate, began = float(sys.argv[5]), time.monotonic()
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sock.bind(("right", 0))
for number in range(count):
    sock.send(plain if number % every else marked)
    if rate and not number % 100:
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What one tool did."""

    tool: str
    frames: int
    found: int
    dropped: int
    cpu: float


def frames() -> tuple[bytes, bytes]:
    """A frame of somebody else's, and one of ours."""
    head = bytes.fromhex(
        "020000000001020000000002" + "0800" + "4500011c00004000401100000a0000010a000002" + "04d204d301080000"
    )
    return head + b"\x5a" * 256, head + canary.fill(CANARIES.make(1, canary.REQUEST), 256)


def inside(send: Callable[[], None]) -> Row:
    """Our watch with the inside ring, on the same device."""
    return watch(send, Tunnel("left", headers=True))


def watch(send: Callable[[], None], tunnel: Tunnel | None = None) -> Row:
    """Our watch, in this process."""
    index = FlowIndex(CANARIES, [(1, 17, bytes([10, 244, 0, 10]), bytes([10, 244, 1, 10]), 20000)])
    before = resource.getrusage(resource.RUSAGE_SELF)
    one = Watch(Plan(["left"], index, RING["block_size"], RING["blocks"], 51871, tunnel))
    send()
    result = one.stop()
    after = resource.getrusage(resource.RUSAGE_SELF)
    device = result["devices"]["left"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Row(
        "inside" if tunnel else "watch",
        device["kernel_frames"],
        sum(row["count"] for row in result["seen"]),
        device["drops"],
        cpu,
    )


def tcpdump(send: Callable[[], None]) -> Row:
    """Tcpdump into a file, searched afterwards: it has no search of its own (its reading is not in the CPU time)."""
    path = Path(tempfile.mkdtemp(), "bench.pcap")
    command = ["tcpdump", "-i", "left", "-n", "-U", "-w", str(path), "udp"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "listening on" not in process.stderr.readline():
            pass
        send()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        text = process.stderr.read()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    # A frame of ours repeats its canary, so frames are counted by what follows 24 bytes of pcap and 16 of each record.
    found = len({(at.start() - 24) // (16 + 298) for at in re.finditer(re.escape(PREFIX), path.read_bytes())})
    shutil.rmtree(path.parent)
    received = int(re.search(r"(\d+) packets received by filter", text)[1])  # type: ignore[index]
    dropped = int(re.search(r"(\d+) packets dropped by kernel", text)[1])  # type: ignore[index]
    return Row("tcpdump", received, found, dropped, usage.ru_utime + usage.ru_stime)


def tshark(send: Callable[[], None]) -> Row:
    """Tshark with a display filter on the payload."""
    command = ["tshark", "-i", "left", "-l", "-Y", f"udp contains {':'.join(f'{byte:02x}' for byte in PREFIX)}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        while "Capturing on" not in process.stderr.readline():
            pass
        time.sleep(1)  # it says so before it captures
        send()
        time.sleep(5)
        process.send_signal(signal.SIGINT)
        found = len(process.stdout.readlines())
        text = process.stderr.read()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    dropped = re.search(r"(\d+) packets? dropped", text)
    return Row("tshark", -1, found, int(dropped[1]) if dropped else 0, usage.ru_utime + usage.ru_stime)


SCAPY = f"""
import json, resource, sys
from scapy.all import AsyncSniffer
seen = [0, 0]
def look(packet):
    seen[0] += 1
    seen[1] += {PREFIX!r} in bytes(packet)
sniffer = AsyncSniffer(iface="left", store=False, prn=look, started_callback=lambda: print("ready", flush=True))
sniffer.start()
sys.stdin.readline()
sniffer.stop()
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([*seen, usage.ru_utime + usage.ru_stime]))
"""


def scapy(send: Callable[[], None]) -> Row:
    """Scapy's AsyncSniffer in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", SCAPY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        send()
        time.sleep(1)
        count, found, cpu = json.loads(process.communicate("stop\n")[0])
    return Row("scapy", count, found, -1, cpu)


def main(count: int, rate: float) -> None:
    """Run all tools that are installed, one after the other, on the same traffic."""
    if os.environ.get("CILIUMWG_BENCH") is None:
        inner = "ip link set lo up; sysctl -qw net.ipv6.conf.default.disable_ipv6=1;"
        inner += 'ip link add left type veth peer name right; ip link set left up; ip link set right up; exec "$@"'
        command = [
            "unshare",
            "--net",
            "--mount",
            "sh",
            "-ec",
            inner,
            "sh",
            sys.executable,
            "-m",
            "bench.watch",
            str(count),
            str(rate),
        ]
        raise SystemExit(subprocess.run(command, env={**os.environ, "CILIUMWG_BENCH": "1"}, check=False).returncode)
    plain, marked = frames()

    def send() -> None:
        numbers = str(count), str(EVERY), str(rate)
        subprocess.run([sys.executable, "-ISc", SENDER, plain.hex(), marked.hex(), *numbers], check=True)

    print(f"{count} frames of {len(plain)} bytes sent, {-(-count // EVERY)} with a canary")
    print(f"{'tool':8} {'frames':>9} {'found':>7} {'dropped':>9} {'cpu s':>7}")
    for tool in (watch, inside, tcpdump, tshark, scapy):
        if tool in (watch, inside, scapy) or shutil.which(tool.__name__):
            row = tool(send)
            print(f"{row.tool:8} {row.frames:9} {row.found:7} {row.dropped:9} {row.cpu:7.2f}")
        else:
            print(f"{tool.__name__:8} is not installed")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 300_000, float(sys.argv[2]) if sys.argv[2:] else 0.0)
