"""How fast captures are counted, by format, and what judging a sysdump of 100 nodes takes.

`python -m bench offline`. The captures hold a million frames between eight nodes: three quarters WireGuard's, the rest
what nodes say to each other. The sysdump has the outputs and pods of a recorded node, a hundred times.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from bench.results import Result, Row, interleaved
from pytest_ciliumwg.providers.offline.captures.capture import Interface, Take
from pytest_ciliumwg.providers.offline.captures.counting import FrameCounter
from pytest_ciliumwg.providers.offline.captures.files import read_capture

ROUNDS, FRAMES, KINDS = 5, 1_000_000, 2000
NODES, PODS = 100, 30
_RECORDED = Path(__file__).parent.parent / "tests" / "recordings" / "offline" / "healthy.zip"
_WORKER = "cilium-bugtool-cilium-jtwnp"
_STAMP = "20261126-215241"


def main() -> Result:
    """Count captures, and judge a sysdump."""
    # First, because the system counts the memory of who starts a process for that process too.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cilium-sysdump.zip")
        _sysdump(path)
        seconds, memory = _judged(path)
    size = f"{NODES * PODS} pods"
    rows = [Row(f"a sysdump of {NODES} nodes", [seconds], "s of a processor", size)]
    rows.append(Row("the same", [memory], "MB at most", size))
    speeds = interleaved(ROUNDS, {name: partial(_counted, data) for name, data in _captures().items()})
    rows += [Row(f"a million frames, {name}", values, "s of a processor") for name, values in speeds.items()]
    return Result("offline", rows)


def _counted(data: bytes) -> float:
    counters: list[FrameCounter] = []

    def taker(interface: Interface) -> Take:
        counters.append(FrameCounter(interface.link_type))
        return counters[-1].take

    began = time.process_time()
    read_capture("bench", io.BytesIO(data), taker)
    assert counters[0].frames == FRAMES
    return time.process_time() - began


def _captures() -> dict[str, bytes]:
    frames = list(_kinds())
    micro = _pcap(frames, 0xA1B2C3D4, 1_000_000)
    return {
        "pcap": micro,
        "pcap with nanoseconds": _pcap(frames, 0xA1B23C4D, 1_000_000_000),
        "pcapng": _pcapng(frames),
        "pcap behind gzip": gzip.compress(micro, 1),
    }


def _kinds() -> Iterator[bytes]:
    chance = random.Random(1)  # noqa: S311 - the same frames each time
    nodes = [ip_address(f"172.18.0.{number}").packed for number in range(2, 10)]
    for _ in range(KINDS):
        ends = b"".join(chance.sample(nodes, 2))
        if chance.random() < 0.75:
            size = chance.choice([96, 128, 1452])
            body = struct.pack(">HHHHI", 51871, 51871, 8 + size, 0, 4 << 24)
            protocol, length = 17, 28 + size
        else:
            body = struct.pack(">HHIIBBHHH", chance.randrange(1024, 65535), 6443, 1, 2, 0x50, 16, 100, 0, 0)
            protocol, length = 6, 100
        header = struct.pack(">BBHHHBBH", 0x45, 0, length, 7, 0x4000, 64, protocol, 0) + ends
        yield (bytes(12) + b"\x08\x00" + header + body).ljust(128, b"\0")


def _pcap(frames: list[bytes], magic: int, unit: int) -> bytes:
    rows = [struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 128, 1)]
    for number in range(FRAMES):
        seconds, fraction = divmod(number * 10 * unit // 1_000_000, unit)
        rows.append(struct.pack("<IIII", seconds, fraction, 128, 1500) + frames[number % KINDS])
    return b"".join(rows)


def _pcapng(frames: list[bytes]) -> bytes:
    blocks = [
        struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28),
        struct.pack("<IIHHII", 1, 20, 1, 0, 128, 20),
    ]
    for number in range(FRAMES):
        blocks.append(struct.pack("<IIIIIII", 6, 160, 0, 0, number * 10, 128, 1500) + frames[number % KINDS])
        blocks.append(struct.pack("<I", 160))
    return b"".join(blocks)


def _sysdump(path: Path) -> None:
    with zipfile.ZipFile(_RECORDED) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        outputs = {name.rpartition("/")[2]: old.read(name) for name in old.namelist() if _WORKER in name}
        objects = {name.rpartition("/")[2]: old.read(name) for name in old.namelist() if "/cmd/" not in name}
        nodes = yaml.safe_load(objects[f"ciliumnodes-{_STAMP}.yaml"])["items"]
        pods = yaml.safe_load(objects[f"k8s-pods-{_STAMP}.yaml"])["items"]
        new.writestr(f"dump/cilium-configmap-{_STAMP}.yaml", objects[f"cilium-configmap-{_STAMP}.yaml"])
        _write(new, "ciliumnodes", [_node(nodes[1], number) for number in range(NODES)])
        _write(new, "k8s-pods", [_pod(pods[0], node, pod) for node in range(NODES) for pod in range(PODS)])
        for number in range(NODES):
            for file, content in (outputs | {"hostname.md": f"node-{number}\n".encode()}).items():
                is_debuginfo = file.startswith("cilium-debuginfo")
                content = _with_peers(content) if is_debuginfo else content
                new.writestr(f"dump/cilium-bugtool-cilium-{number:03}-{_STAMP}/cmd/{file}", content)


def _write(archive: zipfile.ZipFile, kind: str, items: list[Any]) -> None:
    archive.writestr(f"dump/{kind}-{_STAMP}.yaml", yaml.dump({"items": items}, Dumper=yaml.CSafeDumper))


def _node(recorded: Any, number: int) -> Any:
    node = copy.deepcopy(recorded)
    node["metadata"]["name"] = f"node-{number}"
    node["spec"]["addresses"] = [{"ip": f"172.18.1.{number}", "type": "InternalIP"}]
    node["spec"]["ipam"]["podCIDRs"] = [f"10.1.{number}.0/24"]
    node["spec"]["health"] = {}
    return node


def _pod(recorded: Any, node: int, number: int) -> Any:
    pod = copy.deepcopy(recorded)
    pod["metadata"]["name"] = f"pod-{node}-{number}"
    pod["spec"]["nodeName"] = f"node-{node}"
    pod["status"]["podIPs"] = [{"ip": f"10.1.{node}.{number + 10}"}]
    return pod


def _with_peers(debuginfo: bytes) -> bytes:
    document = json.loads(debuginfo)
    for interface in document["encryption"]["wireguard"]["interfaces"]:
        interface["peers"] = [interface["peers"][0]] * (NODES - 1)
    return json.dumps(document).encode()


def _judged(path: Path) -> tuple[float, float]:
    arguments = [
        "--ciliumwg",
        "--ciliumwg-provider=offline",
        f"--ciliumwg-input={path}",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=path.parent, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "nodes" in done.stdout, done.stdout
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, after.ru_maxrss * 1024 / 1e6
