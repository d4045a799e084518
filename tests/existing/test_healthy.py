"""Healthy clusters of kinds that are out there: the suite passes, and what is told of them is right."""

from __future__ import annotations

from collections.abc import Callable
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
        more: Object | None = None,
        **spec: Any,
    ) -> pytest.RunResult:
        spec.setdefault("families", V4)
        cluster = create_lab(LabSpec(cilium_version=version, nodes=2, **spec), lambda _: None)
        try:
            prepare(cluster.lab)
            besides = [(more["kind"].lower() + "s", more)] if more else []
            with ApiDouble(EditedBackend(cluster.lab, edit, besides)) as double:
                monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
                return run_suite(pytester, f"--ciliumwg-report={tmp_path / 'report'}")
        finally:
            cluster.close()

    return run


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


@pytest.mark.parametrize("base", MTUS)
def test_whose_mtu_counts(suite: Suite, base: str) -> None:
    version, edit, prepare, spec = MTUS[base]
    done = suite(version, edit or configured(), prepare, **spec)
    assert done.ret == 0, done.stdout.str()
    assert "conformant: " in done.stdout.str()


def test_a_wrong_mtu_is_described_by_what_it_does(suite: Suite) -> None:
    done = suite("1.18.3", configured(mtu="1400"))
    assert done.ret == 1
    text = done.stdout.str()
    assert (
        "expected MTU 1320, made from 1400, the MTU that Cilium is told (`mtu` of its configuration); seen: 1420"
        in text
    )
    assert "those of 1420 bytes get through (icmp v4, udp v4)." in text
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


def test_encryption_that_is_switched_on_node_by_node(suite: Suite) -> None:
    everywhere = node_config({"kubernetes.io/os": "linux"}, enable_wireguard="true")
    done = suite("1.18.3", configured(enable_wireguard="false"), more=everywhere)
    assert done.ret == 0, done.stdout.str()


def test_a_node_that_is_left_out_is_named(suite: Suite) -> None:
    one = node_config({"kubernetes.io/hostname": "lab-worker"}, enable_wireguard="true")
    done = suite("1.18.3", configured(enable_wireguard="false"), more=one)
    text = done.stdout.str()
    assert done.ret == 1
    assert "lab-control-plane: expected WireGuard encryption enabled; seen: disabled." in text
    assert "lab-worker: expected WireGuard encryption enabled" not in text
    assert "lab-control-plane have WireGuard peers all the same" in text
    assert "does not even try" not in text
