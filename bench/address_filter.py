"""Every fault of the lab, as seen by this suite and by tcpdump with the address filters of `cilium connectivity test`.

`python -m bench.address_filter [FAULT …]` as root raises the labs of the self-test once more, each with tcpdump on the
devices of all its nodes, and writes docs/compared.md: one run, the same packets. The filters are those of cilium-cli's
encryption_v2.go, and they get more than there: all pairs of nodes and both directions, where cilium-cli takes one pair
and the sender's side, and the whole run, where it takes one request.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.faults import FAULTS, create_faulty_lab
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.lab import LabCluster, LabSpec
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.selftest.matrix import line, problems
from pytest_ciliumwg.selftest.runs import HEALTHY, Ran, Runner, plan
from pytest_ciliumwg.session.opening import families_of

PAGE = Path(__file__).parents[1] / "docs" / "compared.md"
RESULT = "tcpdump.json"
TUNNEL_PORT = 8472

HEADER = """# The same faults, seen by an address filter

Made by `python -m bench.address_filter`: every fault of the lab in one run, seen by this suite and, on the same
packets, by tcpdump with the filters of `cilium connectivity test` (cilium-cli, connectivity/tests/encryption_v2.go).
The native filter, `src A and dst B`, is what it uses with native routing, which the lab imitates; the tunnel filter,
fixed offsets behind a VXLAN header, is what it uses with tunnels. Both got more than there: all pairs of nodes in both
directions, and the whole run. A number is frames that the filter showed. A filter that shows nothing makes that test
pass.

Where nothing leaked the filters have nothing to show; traffic that does not arrive at all any tool's request notices.
"""


class WatchedLab(LabCluster):
    """A lab with tcpdump on all its nodes, from before the first packet to the lab's end."""

    @classmethod
    def around(cls, cluster: LabCluster) -> WatchedLab:
        """Start tcpdump in a lab that stands."""
        cluster.__class__ = cls
        assert isinstance(cluster, cls)
        for node in cluster.lab.layout:
            for name, device, words in _captures(cluster.lab, node):
                _start(cluster.lab, node, name, device, words)
        return cluster

    def close(self) -> None:
        """Note what the captures showed, then end the lab."""
        if not self._closed:
            seen = {"native": 0, "tunnel": 0}
            for node in self.lab.layout:
                for name, _, _ in _captures(self.lab, node):
                    seen[name.partition("-")[0]] += _stop(self.lab, node, name)
            Path(RESULT).write_text(json.dumps(seen), encoding="utf-8")
        super().close()


def pytest_ciliumwg_cluster(settings: Settings, progress: Progress) -> WatchedLab:
    """Raise the lab as the lab's provider does, and watch it."""
    assert settings.cilium_version
    assert settings.nodes
    spec = LabSpec(
        cilium_version=settings.cilium_version,
        nodes=settings.nodes,
        families=families_of(settings),
    )
    return WatchedLab.around(create_faulty_lab(spec, settings.faults, progress))


def _captures(lab: Lab, node: LabNode) -> Iterator[tuple[str, str, str]]:
    """(name, device, filter) of each capture of a node: on the device of the route to each pair's other end."""
    native: dict[str, list[str]] = {}
    tunnel: dict[str, list[str]] = {}
    for peer in lab.peers_of(node):
        for family in lab.families:
            ends = node.test_pod.pod.address(family), peer.test_pod.pod.address(family)
            assert ends[0]
            assert ends[1]
            native.setdefault(_device(lab, node, ends[1]), []).append(f"(src {ends[0]} and dst {ends[1]})")
            tunnel.setdefault(_device(lab, node, peer.addresses[0]), []).append(_inner(ends[0], ends[1]))
    for kind, by_device in (("native", native), ("tunnel", tunnel)):
        for device, parts in by_device.items():
            words = " or ".join(parts)
            port = f"(udp and dst port {TUNNEL_PORT}) and "
            yield f"{kind}-{device}", device, words if kind == "native" else f"{port}({words})"


def _device(lab: Lab, node: LabNode, address: IPAddress) -> str:
    try:
        return str(json.loads(lab.run_in(node, f"ip -j route get {address}"))[0]["dev"])
    except (ValueError, KeyError, IndexError):
        return lab.spec.devices[0]


def _inner(source: IPAddress, destination: IPAddress) -> str:
    """The inner addresses, at the offsets of a VXLAN packet over IPv4."""
    at = 42 if isinstance(source, IPv4Address) else 38
    packed = source.packed + destination.packed
    words = [f"udp[{at + i}:4] == 0x{packed[i : i + 4].hex()}" for i in range(0, len(packed), 4)]
    return f"(ip and {' and '.join(words)})"


def _start(lab: Lab, node: LabNode, name: str, device: str, words: str) -> None:
    path = f"{node.directory}/{name}"
    lab.run_in(
        node,
        f"tcpdump -Z root -i {device} --immediate-mode -U -n -w {path}.pcap '{words}' >{path}.log 2>&1 </dev/null &\n"
        f"echo $! >{path}.pid\n"
        f"tries=0; until grep -q 'listening on' {path}.log; do tries=$((tries + 1)); "
        f"if [ $tries -gt 500 ]; then cat {path}.log >&2; exit 1; fi; sleep 0.02; done",
    )


def _stop(lab: Lab, node: LabNode, name: str) -> int:
    path = f"{node.directory}/{name}"
    output = lab.run_in(
        node,
        f"pid=$(cat {path}.pid); kill -INT $pid 2>/dev/null || :\n"
        f"tries=0; while kill -0 $pid 2>/dev/null && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.02; done\n"
        f"tcpdump -n -r {path}.pcap --count 2>/dev/null",
    )
    return int(output.split()[0])


@dataclass(frozen=True, slots=True)
class Row:
    """One fault in one lab, seen by all three."""

    ran: Ran
    native: int
    tunnel: int

    @property
    def leaked(self) -> bool:
        """Whether there was something in cleartext to see."""
        return self.ran.outcome.clear_flows > 0 or any("nothing-else" in name for name in self.ran.outcome.caught_by)


def compare(names: Sequence[str] = ()) -> list[Row]:
    """Run it all."""
    specs = [LabSpec(cilium_version=version) for version in ("1.13", DEFAULT_VERSION)]
    with tempfile.TemporaryDirectory(prefix="ciliumwg-compare-") as scratch:
        directory = Path(scratch)
        runner = Runner(directory, 3, frozenset(IPFamily), ["-p", "bench.address_filter"])
        rows = []
        for ran in runner.run_all(
            plan(specs, list(FAULTS.values()), names),
            lambda ran: print("\n    ".join([line(ran), *problems(ran)]), flush=True),
        ):
            path = directory / ran.run.version / ran.run.name / RESULT
            seen: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            rows.append(Row(ran, seen.get("native", -1), seen.get("tunnel", -1)))
    return sorted(rows, key=lambda row: (row.ran.run.version, not row.leaked, row.ran.run.name))


def page(rows: Sequence[Row]) -> str:
    """The table."""
    lines = [HEADER]
    for version in dict.fromkeys(row.ran.run.version for row in rows):
        faults = [row for row in rows if row.ran.run.version == version and row.ran.run.name != HEALTHY]
        leaks = [row for row in faults if row.leaked]
        lines += [
            f"## Cilium {version}\n",
            f"- faults: {len(faults)}, caught by this suite: {sum(row.ran.outcome.good for row in faults)}",
            f"- of them faults that leak: {len(leaks)}",
            f"- of these shown by the native filter: {sum(row.native > 0 for row in leaks)}",
            f"- of these shown by the tunnel filter: {sum(row.tunnel > 0 for row in leaks)}\n",
            "| fault | leaks | this suite | native filter | tunnel filter |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.ran.run.name} | {'yes' if row.leaked else 'no'} | {_ours(row.ran)} "
            f"| {_shown(row.native)} | {_shown(row.tunnel)} |"
            for row in faults
        ]
        lines.append("")
    return "\n".join(lines)


def _ours(ran: Ran) -> str:
    ids = dict.fromkeys(title.partition("[")[0] for title in ran.outcome.caught_by)
    return f"{ran.outcome.word}: {', '.join(ids)}" if ids else ran.outcome.word


def _shown(count: int) -> str:
    return {-1: "not measured", 0: "nothing"}.get(count, str(count))


if __name__ == "__main__":
    text = page(compare(sys.argv[1:]))
    print(text)
    if len(sys.argv) == 1:
        PAGE.write_text(text, encoding="utf-8")
    raise SystemExit(pytest.ExitCode.OK)
