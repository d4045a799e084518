"""Healthy clusters of kinds that are out there: the suite passes, and what is told of them is right."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab import LabSpec, create_lab
from pytest_ciliumwg.providers.lab.lab import Lab
from tests.apidouble import ApiDouble
from tests.apidouble.edited import Edit, EditedBackend, configured
from tests.apidouble.store import Object
from tests.existing.test_lab import run_suite

pytestmark = pytest.mark.slow

V4 = frozenset({IPFamily.V4})
Suite = Callable[..., pytest.RunResult]


@pytest.fixture
def suite(tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Runs the suite over a lab of two nodes that was prepared, behind an API that was edited."""

    def run(
        version: str,
        edit: Edit = lambda resource, value: None,
        prepare: Callable[[Lab], None] = lambda lab: None,
        *arguments: str,
        more: Object | None = None,
        known_nodes: Sequence[Object] = (),
        **spec: Any,
    ) -> pytest.RunResult:
        spec.setdefault("families", V4)
        cluster = create_lab(LabSpec(cilium_version=version, nodes=2, **spec), lambda _: None)
        try:
            prepare(cluster.lab)
            besides = [(more["kind"].lower() + "s", more)] if more else []
            backend = EditedBackend(cluster.lab, edit, besides)
            backend.known_nodes = list(known_nodes)
            with ApiDouble(backend) as double:
                monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
                return run_suite(pytester, f"--ciliumwg-report={tmp_path / 'report'}", *arguments)
        finally:
            cluster.close()

    return run


@pytest.fixture
def said(tmp_path: Path) -> Callable[[], str]:
    """What the last run found, a line each: the terminal groups and cuts it."""

    def read() -> str:
        report = json.loads(tmp_path.joinpath("report", "report.json").read_text(encoding="utf-8"))
        rows = [finding for check in report["checks"] for finding in check["findings"]]
        found = [f"{row['where']}: expected {row['expected']}; seen: {row['seen']}. {row['meaning']}" for row in rows]
        return "\n".join([*found, *(note for check in report["checks"] for note in check["notes"])])

    return read


def set_mtus(device: int, routes: int) -> Callable[[Lab], None]:
    """The MTUs of cilium_wg0 and of the routes in pods, on every node."""

    def prepare(lab: Lab) -> None:
        for node in lab.layout:
            lab.run_in(node, f"ip link set cilium_wg0 mtu {device}")
            via = node.cilium_address(IPFamily.V4)
            lab.run_in_pod(node, f"ip route change default via {via} dev eth0 mtu {routes}")

    return prepare


def add_device(mtu: int) -> Callable[[Lab], None]:
    """One more device on every node, up and with an address, as a VPN makes it."""

    def prepare(lab: Lab) -> None:
        for node in lab.layout:
            address = f"100.64.0.{node.index + 1}/32"
            lab.run_in(
                node, f"ip tuntap add vpn0 mode tun; ip link set vpn0 up mtu {mtu}; ip addr add {address} dev vpn0"
            )

    return prepare


def both(*steps: Callable[[Lab], None]) -> Callable[[Lab], None]:
    """Several things to prepare."""

    def prepare(lab: Lab) -> None:
        for step in steps:
            step(lab)

    return prepare


# What was seen → (version, how the API shows it, what the nodes have, the lab).
MTUS: dict[str, tuple[str, Edit | None, Callable[[Lab], None], dict[str, Any]]] = {
    "told": ("1.18.3", configured(mtu="1400"), set_mtus(1320, 1320), {}),
    "routes told": ("1.18.3", configured(route_mtu="1300"), set_mtus(1420, 1300), {}),
    "lowest of the selected": (
        "1.17.2",
        None,
        both(add_device(1500), set_mtus(1420, 1420)),
        {"mtu": 9000},
    ),
    "the primary alone, before 1.17": ("1.16.5", None, add_device(1280), {}),
    "an unselected device": ("1.18.3", configured(devices="eth0"), add_device(1280), {}),
}


@pytest.mark.thorough
@pytest.mark.parametrize("base", MTUS)
def test_whose_mtu_counts(suite: Suite, base: str) -> None:
    version, edit, prepare, spec = MTUS[base]
    done = suite(version, edit or configured(), prepare, **spec)
    assert done.ret == 0, done.stdout.str()
    assert "conformant: " in done.stdout.str()


def test_a_wrong_mtu_is_described_by_what_it_does(suite: Suite, said: Callable[[], str]) -> None:
    done = suite("1.18.3", configured(mtu="1400"))
    assert done.ret == 1
    text = said()
    assert (
        "expected MTU 1320; seen: 1420 "
        "(1320 is made from 1400, the MTU that Cilium is told (`mtu` of its configuration))" in text
    )
    assert "those of 1420 bytes get through." in text
    assert "fragmented or lost" not in text


def node_config(labels: dict[str, str], **defaults: str) -> Object:
    """A CiliumNodeConfig."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNodeConfig",
        "metadata": {"name": "encrypt", "namespace": "kube-system"},
        "spec": {
            "nodeSelector": {"matchLabels": labels},
            "defaults": {key.replace("_", "-"): value for key, value in defaults.items()},
        },
    }


@pytest.mark.thorough
def test_encryption_that_is_switched_on_node_by_node(suite: Suite) -> None:
    everywhere = node_config({"kubernetes.io/os": "linux"}, enable_wireguard="true")
    done = suite("1.18.3", configured(enable_wireguard="false"), more=everywhere)
    assert done.ret == 0, done.stdout.str()


@pytest.mark.thorough
def test_a_node_that_is_left_out_is_named(suite: Suite, said: Callable[[], str]) -> None:
    one = node_config({"kubernetes.io/hostname": "lab-worker"}, enable_wireguard="true")
    done = suite("1.18.3", configured(enable_wireguard="false"), more=one)
    text = said()
    assert done.ret == 1
    assert "lab-control-plane: expected WireGuard encryption enabled; seen: disabled." in text
    assert "lab-worker: expected WireGuard encryption enabled" not in text
    assert "lab-control-plane have WireGuard peers all the same" in text
    assert "does not even try" not in text


V6_OF = {"lab-control-plane": "2001:db8:18::2", "lab-worker": "2001:db8:18::3"}


def six(resource: str, value: Object) -> None:
    """Nodes with an IPv6 address besides, which a Cilium without IPv6 has no use for."""
    address = V6_OF.get(value["metadata"]["name"])
    if resource == "ciliumnodes":
        value["spec"]["addresses"].insert(0, {"type": "InternalIP", "ip": address})
    if resource == "nodes":
        value["status"]["addresses"].insert(0, {"type": "InternalIP", "address": address})


def more_addresses(resource: str, value: Object) -> None:
    """Nodes with a second InternalIP of the same family, and an ExternalIP: Cilium takes the first InternalIP."""
    if resource == "ciliumnodes":
        last = V6_OF[value["metadata"]["name"]][-1]
        value["spec"]["addresses"] += [
            {"type": "InternalIP", "ip": f"172.31.0.{last}"},
            {"type": "ExternalIP", "ip": f"203.0.113.{last}"},
        ]


@pytest.mark.thorough
@pytest.mark.parametrize("edit", [six, more_addresses])
@pytest.mark.parametrize("routing", ["native", "vxlan"])
def test_addresses_of_nodes_that_cilium_does_not_take(suite: Suite, routing: str, edit: Edit) -> None:
    done = suite("1.18.3", edit, routing_mode=routing)
    assert done.ret == 0, done.stdout.str()


def own_routing(lab: Lab) -> None:
    """A host's own policy routing, in a table that happens to be 201."""
    for node in lab.layout:
        # Where the table is Cilium's too, its default route is, and without a mark nothing may come there.
        shared = lab.expected.rule is not None
        what = "fwmark 0x1/0x1" if shared else f"from {node.device_address('eth1', IPFamily.V4)}"
        route = "198.51.100.0/24" if shared else "default"
        lab.run_in(node, f"ip rule add priority 111 {what} lookup 201")
        lab.run_in(node, f"ip route add {route} via 172.19.255.254 dev eth1 onlink table 201")


@pytest.mark.thorough
@pytest.mark.parametrize("version", ["1.18.3", "1.13.18"])
def test_table_201_of_somebody_else(suite: Suite, version: str) -> None:
    done = suite(version, prepare=own_routing, devices=("eth0", "eth1"))
    assert done.ret == 0, done.stdout.str()


ELSEWHERE = "mMXBvEIm4I1cXCmCtXGmdqpkzTRY6kFvP0VL0p1hq0E="
END = "192.0.2.21:51871"


def remote_peer(
    end: str = END, allowed_ips: str = "192.0.2.21/32,10.12.0.7/32", only: str = ""
) -> Callable[[Lab], None]:
    """One more peer of every node, or of one."""

    def prepare(lab: Lab) -> None:
        for node in lab.layout:
            if only in ("", node.name):
                more = f"peer {ELSEWHERE} endpoint {end} allowed-ips {allowed_ips}"
                lab.run_in(node, f"wg set cilium_wg0 {more}")

    return prepare


MESHED = configured(cluster_name="east", cluster_id="1")
WEST: list[Object] = [
    {"name": "east/lab-worker", "primary-address": {"ipv4": {"ip": "172.18.0.3", "enabled": True}, "ipv6": {}}},
    {
        "name": "west/rack-7",
        "primary-address": {"ipv4": {"ip": "192.0.2.21", "enabled": True}, "ipv6": {}},
        "secondary-addresses": [{"ip": "10.12.0.55"}],
    },
]


@pytest.mark.thorough(but=("told1-west/rack-7 at 192.0.2.21:51871",))
@pytest.mark.parametrize(
    ("told", "called"), [([], f"a node of another cluster at {END}"), (WEST, f"west/rack-7 at {END}")]
)
def test_peers_of_another_cluster(suite: Suite, said: Callable[[], str], told: list[Object], called: str) -> None:
    done = suite("1.18.3", MESHED, remote_peer(), known_nodes=told)
    assert done.ret == 0, done.stdout.str()
    assert f"peers of other clusters, whose keys nothing here confirms: {called}" in said()


# Why it is a stranger → (configuration, peer, nodes that the agents know).
STRANGERS: dict[str, tuple[Edit, Callable[[Lab], None], list[Object]]] = {
    "no mesh": (configured(), remote_peer(), []),
    "one node alone has it": (MESHED, remote_peer(only="lab-worker"), []),
    "another port": (MESHED, remote_peer("192.0.2.21:443"), []),
    "addresses of this cluster's pods": (MESHED, remote_peer(allowed_ips="192.0.2.21/32,10.244.1.77/32"), []),
    "everything": (MESHED, remote_peer(allowed_ips="0.0.0.0/0"), []),
    "not its own address": (MESHED, remote_peer(allowed_ips="10.12.0.7/32"), []),
    "at a node of this cluster": (MESHED, remote_peer("172.18.0.3:51871", "172.18.0.99/32"), []),
    "nobody that the agents know": (MESHED, remote_peer("192.0.2.99:51871", "192.0.2.99/32"), WEST),
}


@pytest.mark.thorough
@pytest.mark.parametrize("why", STRANGERS)
def test_a_stranger_stays_a_stranger(suite: Suite, said: Callable[[], str], why: str) -> None:
    edit, prepare, known = STRANGERS[why]
    done = suite("1.18.3", edit, prepare, "-k", "peers", known_nodes=known)
    assert done.ret == 1
    assert f"expected peers with published keys only; seen: the peer {ELSEWHERE}" in said()
    assert "peers of other clusters" not in said()


@pytest.mark.thorough
def test_the_mark_of_the_device_is_looked_at(suite: Suite, said: Callable[[], str]) -> None:
    def other_mark(lab: Lab) -> None:
        lab.run_in(lab.layout[1], "wg set cilium_wg0 fwmark 0x1")

    done = suite("1.18.3", configured(), other_mark, "-k", "fwmark")
    assert done.ret == 1
    assert "lab-worker: expected 0xe00; seen: 0x1" in said()


@pytest.mark.thorough
def test_a_tun_of_a_process_that_is_not_ciliums(suite: Suite, said: Callable[[], str]) -> None:
    off = configured(enable_wireguard_userspace_fallback="false")
    done = suite("1.18.3", off, lambda _: None, "-k", "test_kind", wireguard="userspace")
    assert done.ret == 1
    assert "it outlives the agent" in said()
    assert "dies with the agent" not in said()


OUTSIDE = "198.51.100.9"


def behind_nat(lab: Lab) -> None:
    """What the first node, which opens the sessions, sends comes from another address, as behind a router."""
    inner = lab.layout[0]
    chain = "add chain ip router out { type nat hook postrouting priority srcnat; }"
    nat = f"add table ip router; {chain}; add rule ip router out udp sport 51871 snat to {OUTSIDE}"
    lab.run_in(inner, f"ip addr add {OUTSIDE}/32 dev eth0; nft '{nat}'")
    for node in lab.layout[1:]:
        lab.run_in(node, f"ip route add {OUTSIDE}/32 dev eth0")


def test_a_node_behind_nat(suite: Suite, said: Callable[[], str]) -> None:
    """Also while it is watched over time: what leaves it is counted at the address that the others see."""
    done = suite("1.18.3", configured(), behind_nat, "--ciliumwg-observe=1s")
    assert done.ret == 0, done.stdout.str()
    assert f"reached at {OUTSIDE}:51871, whence its packets come: behind NAT, or roaming" in said()


@pytest.mark.thorough
def test_an_endpoint_from_which_nothing_comes(suite: Suite, said: Callable[[], str]) -> None:
    def wrong(lab: Lab) -> None:
        keys = lab.keys
        lab.run_in(lab.layout[0], f"wg set cilium_wg0 peer {keys['lab-worker']} endpoint {OUTSIDE}:51871")

    done = suite("1.18.3", configured(), wrong, "-k", "endpoint_is")
    assert done.ret == 1
    assert f"seen: {OUTSIDE}:51871" in said()
    assert "behind NAT" not in said()
