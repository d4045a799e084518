"""Networks between nodes that carry less than a bridge does: clouds route IP alone, and firewalls not all of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_ciliumwg.faults import FAULTS
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.spec import UNDERLAY
from tests.apidouble import ApiDouble, LabBackend
from tests.existing.conftest import MakeDouble
from tests.existing.test_lab import run_suite

pytestmark = pytest.mark.slow

NODES = ("lab-control-plane", "lab-worker", "lab-worker2")
WIREGUARD, PING = "udp dport 51871", "ip protocol icmp"
HEALTH = ("tcp dport 4240", "tcp sport 4240")


def firewall(double: ApiDouble, accepted: Sequence[str]) -> None:
    """Let the network between the nodes carry ARP and this, and nothing else."""
    assert isinstance(double.backend, LabBackend)
    rules = "".join(f"add rule bridge cloud wire {rule} accept; " for rule in ("ether type arp", *accepted))
    double.backend.lab.sandbox.run(
        "nft 'add table bridge cloud; "
        f"add chain bridge cloud wire {{ type filter hook forward priority 0; policy drop; }}; {rules}'",
        netns=UNDERLAY,
    )


# What the firewall lets through → by what control canaries come, with node encryption and without.
WAYS = {
    "all": ((WIREGUARD, PING, *HEALTH), "ICMP echo"),
    "no-ping": ((WIREGUARD, *HEALTH), "TCP to port 4240"),
}


@pytest.mark.thorough(but=("all-pods-alone",))
@pytest.mark.parametrize("encrypted", [True, False], ids=["node-encryption", "pods-alone"])
@pytest.mark.parametrize("let_through", WAYS)
def test_control_canaries_find_a_way(
    lab_double: MakeDouble,
    tmp_path: Path,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    let_through: str,
    encrypted: bool,
) -> None:
    accepted, way = WAYS[let_through]
    double = lab_double("1.18.3", nodes=3, families=frozenset({IPFamily.V4}), node_encryption=encrypted)
    firewall(double, accepted)
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    wanted = f"--ciliumwg-node-encryption={'on' if encrypted else 'off'}"
    done = run_suite(pytester, wanted, f"--ciliumwg-report={tmp_path / 'report'}")
    assert done.ret == 0, done.stdout.str()
    report = json.loads(tmp_path.joinpath("report", "report.json").read_text(encoding="utf-8"))
    (received,) = [check for check in report["checks"] if check["id"] == "capture.control-received"]
    assert received["notes"] == [f"{node}: control canaries came by {way}" for node in NODES]
    promised = [flow["verdict"] for flow in report["flows"] if flow["promised"] and not flow["dropped_by_design"]]
    assert set(promised) == {"encrypted"}


@pytest.mark.thorough
def test_outer_fragments_are_told_as_known_of_node_encryption(
    lab_double: MakeDouble, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"nodes": 2, "families": frozenset({IPFamily.V4}), "node_encryption_opt_out": ()}
    double = lab_double("1.18.3", faults=["outer-fragmented"], node_encryption=True, **how)
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    wanted = ("--ciliumwg-node-encryption=on", "--ciliumwg-node-encryption-opt-out=none")
    done = run_suite(pytester, *wanted, f"--ciliumwg-report={tmp_path / 'report'}")
    assert done.ret == 0, done.stdout.str()
    assert "packets in fragments: a known property of node encryption" in done.stdout.str()


@pytest.mark.thorough
def test_without_any_way_nothing_is_proven(
    lab_double: MakeDouble, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = lab_double("1.18.3", nodes=3, families=frozenset({IPFamily.V4}), node_encryption=True)
    firewall(double, [WIREGUARD])
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    done = run_suite(pytester, "--ciliumwg-node-encryption=on", f"--ciliumwg-report={tmp_path / 'report'}")
    assert done.ret != 0
    text = tmp_path.joinpath("report", "report.json").read_text(encoding="utf-8")
    report = json.loads(text)
    assert report["outcome"] == "inconclusive"
    assert "not seen, though it was sent by broadcast, UDP to port 9, ICMP echo, TCP to port 4240" in text
    assert "encrypted" not in {flow["verdict"] for flow in report["flows"]}


@pytest.mark.thorough(but=("leak-pair-v4",))
@pytest.mark.parametrize("fault", ["", "leak-pair-v4", "leak-other-pods-v4"])
def test_a_network_without_ethernet_headers(
    lab_double: MakeDouble, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """As where nodes reach each other by Tailscale or another WireGuard: a frame is an IP packet."""
    faults = [fault] if fault else []
    double = lab_double("1.18.3", faults, nodes=2, families=frozenset(IPFamily), ip_underlay=True)
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    done = run_suite(pytester, f"--ciliumwg-report={tmp_path / 'report'}")
    report = json.loads(tmp_path.joinpath("report", "report.json").read_text(encoding="utf-8"))
    failed = {check["title"] for check in report["checks"] if check["outcome"] in ("fail", "inconclusive")}
    if not fault:
        assert (done.ret, failed) == (0, set()), done.stdout.str()
        assert report["outcome"] == "conformant"
    else:
        assert {FAULTS[fault].catcher} <= failed
        assert not {title for title in failed if title.startswith("capture.")}, done.stdout.str()
