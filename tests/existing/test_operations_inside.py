"""What is changed within a node is really changed there, undone exactly, and undone without us when we are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.existing import ExistingCluster
from tests.apidouble import ApiDouble, LabBackend
from tests.existing.conftest import Connect, MakeDouble
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

NODE = "lab-worker"
PATIENT: dict[str, Any] = {"timeout": 30.0}
VERSIONS = {"rule": "1.13.18", "redirect": "1.18.3"}


def look(double: ApiDouble, script: str, node: str = NODE) -> str:
    assert isinstance(double.backend, LabBackend)
    lab = double.backend.lab
    return lab.run_in(lab.node(node), script)


def condition(double: ApiDouble) -> str:
    """All that an operation may leave behind on a node."""
    return look(
        double,
        """
        ip -o link show | grep -o 'cilium_wg0: <[^>]*>'
        for family in -4 -6; do ip $family rule; ip $family route show table all | sort; done
        for family in ip ip6; do nft list table $family iptables_double 2>/dev/null | grep -c drop || true; done
        mkdir -p /run/apidouble/agents; find /run/apidouble/agents -name '*.pid*'
        pgrep -fc 'ciliumwg-(port|device|ipcache)' || true
        tc filter show dev eth0 egress 2>/dev/null | grep -o 'pref [0-9]*\\|match .*\\|to device .*' | sort
        """,
    )


def pings(cluster: ExistingCluster, double: ApiDouble) -> bool:
    """Whether a pod of the node reaches one of another node."""
    assert isinstance(double.backend, LabBackend)
    lab = double.backend.lab
    here, other = lab.node(NODE), lab.layout[0]
    target = other.test_pod.pod.address(IPFamily.V4)
    return "ok" in lab.run_in_pod(here, f"ping -c 1 -W 1 {target} >/dev/null 2>&1 && echo ok || echo lost")


def take_away(double: ApiDouble, tool: str) -> None:
    """Remove a program from the agent's container, and hide one of that name that this machine has."""
    assert isinstance(double.backend, LabBackend)
    double.backend.lab.sandbox.run(
        f"""
        rm /run/apidouble/bin/{tool}
        for folder in $(echo {double.backend.path} | tr : ' '); do
            [ ! -e $folder/{tool} ] || mount --bind /dev/null $folder/{tool}
        done
        """
    )


@pytest.fixture
def stopped(lab_double: MakeDouble, connect: Connect) -> Any:
    def make(kind: str) -> tuple[ApiDouble, ExistingCluster]:
        double = lab_double(VERSIONS[kind], nodes=2)
        return double, connect(double, **PATIENT)

    return make


@pytest.mark.thorough(but=("device-redirect",))
@pytest.mark.parametrize("kind", VERSIONS)
@pytest.mark.parametrize("what", ["device", "port"])
def test_the_tunnel_is_stopped_and_works_again(stopped: Any, kind: str, what: str) -> None:
    double, cluster = stopped(kind)
    assert pings(cluster, double)
    before = condition(double)
    stop, go = {
        "device": (cluster.operations.device_down, cluster.operations.device_up),
        "port": (cluster.operations.block_port, cluster.operations.unblock_port),
    }[what]
    stop(NODE)
    stop(NODE)  # which may happen after a broken connection
    assert not pings(cluster, double)
    assert condition(double) != before
    go(NODE)
    assert condition(double) == before
    assert pings(cluster, double)
    go(NODE)
    assert condition(double) == before


def test_ipcache_entries_are_deleted_and_come_back(lab_double: MakeDouble, connect: Connect) -> None:
    double = lab_double(VERSIONS["redirect"], nodes=2, strict_egress=True)
    cluster = connect(double, **PATIENT)
    before = condition(double)
    cluster.operations.delete_ipcache(NODE)
    cluster.operations.delete_ipcache(NODE)  # which may happen after a broken connection
    assert not pings(cluster, double)
    dropped = cluster.drops(NODE)
    assert dropped is not None
    assert dropped.unencrypted > 0
    cluster.operations.restore_ipcache(NODE)
    assert condition(double) == before
    assert pings(cluster, double)
    cluster.operations.restore_ipcache(NODE)
    assert condition(double) == before


@pytest.mark.thorough(but=("device_down",))
@pytest.mark.parametrize("what", ["device_down", "block_port"])
def test_nobody_undoes_it_but_the_switch(stopped: Any, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    double, cluster = stopped("rule")
    before = condition(double)
    monkeypatch.setattr(cluster.operations, "dead_man", 1.0)
    getattr(cluster.operations, what)(NODE)
    assert condition(double) != before
    deadline = time.monotonic() + 120  # far more than a busy machine needs
    while condition(double) != before:
        assert time.monotonic() < deadline, condition(double)
        time.sleep(0.1)
    assert pings(cluster, double)


@pytest.mark.thorough
def test_restore_undoes_all_of_it(stopped: Any) -> None:
    double, cluster = stopped("rule")
    before = condition(double)
    cluster.operations.device_down(NODE)
    cluster.operations.block_port(NODE)
    cluster.operations.restore()
    assert condition(double) == before
    cluster.operations.restore()
    assert condition(double) == before


@pytest.mark.thorough
def test_a_rule_of_somebody_else_stays(stopped: Any) -> None:
    double, cluster = stopped("redirect")
    look(double, "/run/apidouble/bin/iptables -w -I INPUT -p udp --dport 51871 -m comment --comment theirs -j DROP")
    cluster.operations.block_port(NODE)
    cluster.operations.unblock_port(NODE)
    assert look(double, "nft list table ip iptables_double | grep drop").count("theirs") == 1


@pytest.mark.thorough(but=("iptables",))
@pytest.mark.parametrize("tool", ["iptables", "ip6tables"])
def test_a_container_without_the_tools_is_told(stopped: Any, tool: str) -> None:
    double, cluster = stopped("redirect")
    take_away(double, tool)
    with pytest.raises(ProviderError, match=rf"port on node {NODE} in its Cilium agent's container: it has no {tool}"):
        cluster.operations.block_port(NODE)


@pytest.mark.thorough
def test_without_bpftool_redirects_are_read_from_tc(stopped: Any) -> None:
    double, cluster = stopped("redirect")
    before = cluster.state(NODE)
    assert before.redirects
    take_away(double, "bpftool")
    after = cluster.state(NODE)
    assert {redirect.device for redirect in after.redirects} == {redirect.device for redirect in before.redirects}
    assert "redirects" not in after.unread


SCRIPT = """
import sys, time
from pathlib import Path
from pytest_ciliumwg.providers.existing import ExistingSpec, RetryPolicy, connect_existing
spec = ExistingSpec(kubeconfig=Path(sys.argv[1]), timeout=30, retry_policy=RetryPolicy(poll=0.05))
cluster = connect_existing(spec, lambda _: None)
cluster.operations.dead_man = 1.5
cluster.operations.device_down("lab-worker")
cluster.operations.block_port("lab-worker")
print("stopped", flush=True)
time.sleep(60)
"""


@pytest.mark.thorough(but=("15",))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whatever_ends_the_run_the_node_works_again(
    lab_double: MakeDouble, tmp_path: Path, number: signal.Signals
) -> None:
    double = lab_double(VERSIONS["rule"], nodes=2)
    before = condition(double)
    config = double.kubeconfig(tmp_path / "kubeconfig")
    run = subprocess.Popen([sys.executable, "-c", SCRIPT, str(config)], stdout=subprocess.PIPE, env=dict(os.environ))
    assert run.stdout is not None
    assert run.stdout.readline() == b"stopped\n"
    run.send_signal(number)
    run.wait(PATIENCE)
    run.stdout.close()
    if number is not signal.SIGKILL:
        assert condition(double) == before
        assert double.ours() == []
    deadline = time.monotonic() + 120  # far more than a busy machine needs
    while condition(double) != before:
        assert time.monotonic() < deadline, condition(double)
        time.sleep(0.1)
