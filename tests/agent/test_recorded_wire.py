"""The search that watches use, on captures of real clusters: it counts their leaks, and nothing of Cilium's own."""

from __future__ import annotations

import gzip
import io
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.utils import RawPcapReader

from pytest_ciliumwg.agent.canary import Canaries
from pytest_ciliumwg.agent.capture.frames import FlowIndex
from pytest_ciliumwg.agent.capture.needles import pattern_of

PCAPS = Path(__file__).parent.parent / "recordings" / "pcap"
MARKER = b"RIGCLEAR"
"""What the pings of the recordings carried, in the place of a canary's prefix."""

# capture on rig-worker eth0 → (addresses of the two test pods, frames of their pings in cleartext)
CAPTURES: dict[str, tuple[tuple[str, str], int]] = {
    "1.13-on": (("10.0.1.71", "10.0.2.170"), 0),
    "1.13-agent-restart": (("10.0.1.56", "10.0.0.91"), 42),
    "1.13-agent-restart-2": (("10.0.1.56", "10.0.0.91"), 75),
    "1.13-allowedips-cleared": (("10.0.1.56", "10.0.0.91"), 0),
    "1.13-peer-removed": (("10.0.1.56", "10.0.0.91"), 0),
    "1.13-route201-deleted": (("10.0.1.56", "10.0.0.91"), 75),
    "1.13-rule-deleted": (("10.0.1.56", "10.0.0.91"), 75),
    "1.13-wg0-down": (("10.0.1.56", "10.0.0.91"), 75),
    "1.14-agent-restart": (("10.0.1.18", "10.0.0.145"), 0),
    "1.15-on": (("10.0.1.142", "10.0.0.157"), 0),
    "1.15-agent-restart": (("10.0.1.142", "10.0.0.157"), 0),
    "1.15-allowedips-cleared": (("10.0.1.142", "10.0.0.157"), 0),
    "1.15-egress-filter-removed": (("10.0.1.142", "10.0.0.157"), 75),
    "1.15-wg0-down": (("10.0.1.142", "10.0.0.157"), 0),
    "upgrade-1.13-to-1.15": (("10.0.1.106", "10.0.0.104"), 92),
}


@pytest.mark.parametrize("name", CAPTURES)
@pytest.mark.parametrize("prefix", [MARKER, b"\xff" * 8], ids=["by-marker", "by-header"])
def test_the_leak_is_counted_and_the_probes_are_not(name: str, prefix: bytes) -> None:
    pods, clear = CAPTURES[name]
    assert count(name, [pods], prefix) == clear


def test_a_leak_of_one_family_alone() -> None:
    v4, v6 = ("10.244.2.12", "10.244.1.135"), ("fd00:10:244:2::80e2", "fd00:10:244:1::e402")
    assert count("1.13-dual", [v4, v6], MARKER) == 0
    assert count("1.13-rule6-deleted", [v4], b"\xff" * 8) == 0
    assert count("1.13-rule6-deleted", [v4, v6], MARKER) >= 10


def count(name: str, pods: list[tuple[str, str]], prefix: bytes) -> int:
    """Frames in which the search finds the pods' pings."""
    flows = [
        (number, 1 if ":" not in source else 58, ip_address(source).packed, ip_address(destination).packed, 1)
        for number, (source, destination) in enumerate(pods)
    ]
    index = FlowIndex(Canaries(prefix[:4], prefix[4:], b"none", b""), flows)
    search, found = pattern_of(index.strings).search, 0
    capture = io.BytesIO(gzip.decompress((PCAPS / f"{name}.pcap.gz").read_bytes()))
    with RawPcapReader(capture) as frames:  # type: ignore[arg-type]  # it reads files too
        for data, _ in frames:
            found += search(data) is not None and index.find(data) is not None
    return found
