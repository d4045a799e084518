"""The ways to another version: with Helm, by a command, by somebody else; and why each of them is refused or fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.existing import ExistingCluster
from tests.apidouble import ApiDouble, RecordedBackend, refuse, shapes
from tests.apidouble.recorded import NODE
from tests.apidouble.trouble import ALWAYS
from tests.existing.conftest import Connect, MakeDouble, scenario
from tests.patience import PATIENCE, await_

FROM, TO = "1.15.0", "1.16.4"
PATIENT: dict[str, Any] = {"timeout": 20.0, "command_timeout": 20.0}


def journal(folder: Path) -> list[dict[str, Any]]:
    path = folder / "journal"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def refused(cluster: ExistingCluster, *versions: str) -> str:
    with pytest.raises(ProviderError) as caught:
        cluster.operations.check_upgrade(versions)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def images(double: ApiDouble) -> set[str]:
    pods = double.store.select("pods", "kube-system", {"k8s-app": "cilium"})
    return {pod["spec"]["containers"][0]["image"] for pod in pods}


def rolls_out(double: ApiDouble, version: str) -> None:
    """What somebody else does."""
    containers = [{"name": shapes.AGENT, "image": shapes.agent_image(version)}]
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    before = double.store.get("daemonsets", "kube-system", "cilium")
    after = double.store.merge("daemonsets", "kube-system", "cilium", change)
    double.kubelet.changed("daemonsets", before, after)


def test_helm_upgrades_with_the_user_s_values_in_the_words_of_the_version(
    recorded: MakeDouble, connect: Connect, helm: Path
) -> None:
    double = recorded()
    said: list[str] = []
    scenario(helm, double, values={"routingMode": "native", "debug": {"enabled": True}})
    cluster = connect(double, said.append, **PATIENT)
    cluster.operations.check_upgrade([FROM, TO, FROM])
    assert images(double) != {shapes.agent_image(TO)}, "a check changes nothing"
    cluster.operations.upgrade(TO)
    assert images(double) == {shapes.agent_image(TO)}
    assert cluster.declared.version == TO
    assert cluster.actual_config().version == TO
    assert cluster.snapshot().revision == "Helm revision 2"
    (upgrade,) = [call for call in journal(helm) if call["argv"][0] == "upgrade"]
    assert upgrade["argv"][:7] == ["upgrade", "cilium", "cilium", "--repo", "https://helm.cilium.io", "--version", TO]
    assert {"--reset-values", "--namespace", "kube-system"} <= set(upgrade["argv"])
    assert upgrade["--values"] == [{"routingMode": "native", "debug": {"enabled": True}}]
    assert not Path(upgrade["argv"][upgrade["argv"].index("--values") + 1]).exists(), "values may hold secrets"
    assert f"existing: helm brings cilium to Cilium {TO}" in said


def test_a_declared_version_follows(recorded: MakeDouble, connect: Connect, helm: Path) -> None:
    from pytest_ciliumwg.providers.existing import Declared

    double = recorded()
    scenario(helm, double, values={})
    cluster = connect(double, declared=Declared(version=FROM), **PATIENT)
    cluster.operations.upgrade(TO)
    assert cluster.declared.version == TO


def test_values_go_up_and_back(recorded: MakeDouble, connect: Connect, helm: Path) -> None:
    double = recorded()
    scenario(helm, double, values={"tunnel": "vxlan", "l7Proxy": False})
    cluster = connect(double, **PATIENT)
    cluster.operations.check_upgrade([FROM, "1.14.5", "1.13.18"])
    cluster.operations.upgrade("1.14.5")
    (upgrade,) = [call for call in journal(helm) if call["argv"][0] == "upgrade"]
    assert upgrade["--values"] == [{"routingMode": "tunnel", "tunnelProtocol": "vxlan", "l7Proxy": False}]


CANNOT: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "nothing-to-do": ({}, (FROM,), "an upgrade needs a version to go to"),
    "same": ({}, (FROM, FROM), f"the upgrade from Cilium {FROM} to {FROM} would change nothing"),
    "unknown": ({}, (FROM, "1.99"), "Cilium 1.99 is out of the known range"),
    "no-version": ({}, (FROM, "latest"), "'latest' is not a Cilium version"),
    "another-runs": ({}, ("1.14.0", "1.15.0"), "runs, not 1.14.0, with which the upgrade shall begin"),
    "words": ({"values": {"tunnel": "ipip"}}, (FROM, TO), "tunnel=ipip has no translation for Cilium 1.16.4"),
    "later": (
        {"values": {"encryption": {"wireguard": {"userspaceFallback": True}}}},
        (FROM, TO, "1.17"),
        "the userspace fallback exists in Cilium 1.11 to 1.16 only",
    ),
    "old-helm": ({"helm": "3.1.0"}, (FROM, TO), "is version v3.1.0, but Cilium's chart needs 3.8.0 or newer"),
    "odd-values": ({"values": "text"}, (FROM, TO), "Helm does not tell the values of the release cilium"),
}


@pytest.mark.thorough(but=("unknown", "another-runs", "odd-values"))
@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_is_refused_before_anything_is_changed(
    recorded: MakeDouble, connect: Connect, helm: Path, name: str
) -> None:
    how, versions, sentence = CANNOT[name]
    double = recorded()
    scenario(helm, double, **how)
    assert sentence in refused(connect(double), *versions)
    assert [call for call in journal(helm) if call["argv"][0] == "upgrade"] == []
    assert not [line for line in double.journal if line.startswith("PATCH")]


def test_no_helm_is_one_sentence(recorded: MakeDouble, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = connect(recorded())
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert refused(cluster, FROM, TO) == (
        "an upgrade of Cilium needs helm, which is not on PATH: install it, see helm.sh, or give "
        "--ciliumwg-upgrade-command, or --ciliumwg-observe"
    )


def test_an_installation_without_helm_is_told(recorded: MakeDouble, connect: Connect, helm: Path) -> None:
    double = recorded()
    double.store.merge("daemonsets", "kube-system", "cilium", {"metadata": {"annotations": None}})
    scenario(helm, double)
    assert "belongs to no Helm release, so Helm cannot upgrade it: give" in refused(connect(double), FROM, TO)


def test_pods_that_nobody_replaces_are_told(recorded: MakeDouble, connect: Connect, helm: Path) -> None:
    double = recorded()
    double.store.merge("daemonsets", "kube-system", "cilium", {"spec": {"updateStrategy": {"type": "OnDelete"}}})
    scenario(helm, double)
    assert "OnDelete, so the pods stay until" in refused(connect(double), FROM, TO)


def test_more_than_one_minor_at_once_is_a_warning(recorded: MakeDouble, connect: Connect, helm: Path) -> None:
    double = recorded()
    said: list[str] = []
    scenario(helm, double)
    connect(double, said.append).operations.check_upgrade([FROM, "1.18"])
    assert any(line.startswith("WARNING: Cilium is only tested from one minor version to the next") for line in said)


def test_helm_that_fails_is_told(recorded: MakeDouble, connect: Connect, helm: Path) -> None:
    double = recorded()
    scenario(helm, double, install="fails", values={})
    cluster = connect(double, **PATIENT)
    with pytest.raises(ProviderError, match=r"Helm cannot bring the release cilium to Cilium 1.16.4: chart \"cilium\""):
        cluster.operations.upgrade(TO)
    assert cluster.declared.version != TO


def test_an_agent_that_crashes_in_the_new_version_is_named(recorded: MakeDouble, connect: Connect, helm: Path) -> None:
    double = recorded()
    scenario(helm, double, values={})
    double.mishap(role="cilium", node=NODE, waiting=("CrashLoopBackOff", "boom"))
    with pytest.raises(ProviderError) as caught:
        connect(double, timeout=1.0).operations.upgrade(TO)
    assert "the change to Cilium 1.16.4 has not got on for 1 s: 2 of 3 agents run it, on node" in str(caught.value)
    assert "CrashLoopBackOff" in str(caught.value)


COMMAND = 'echo "from {from} to {to}, $CILIUMWG_UPGRADE_FROM $CILIUMWG_UPGRADE_TO"; '


def test_a_command_of_the_user_s_own(recorded: MakeDouble, connect: Connect, helm: Path, tmp_path: Path) -> None:
    double = recorded()
    scenario(helm, double)
    note = tmp_path / "note"
    command = f"({COMMAND}) >{note}; helm upgrade cilium cilium --version {{to}}"
    cluster = connect(double, upgrade_command=command, **PATIENT)
    cluster.operations.check_upgrade([FROM, TO])
    cluster.operations.upgrade(TO)
    before = cluster._spec.declared.version or "1.15.0-pre.3"
    assert note.read_text() == f"from {before} to {TO}, {before} {TO}\n"
    assert images(double) == {shapes.agent_image(TO)}


def test_a_command_that_fails_says_why(recorded: MakeDouble, connect: Connect) -> None:
    cluster = connect(recorded(), upgrade_command="echo one; echo two; echo no such cluster >&2; exit 3")
    with pytest.raises(ProviderError) as caught:
        cluster.operations.upgrade(TO)
    assert str(caught.value) == (
        "the command of --ciliumwg-upgrade-command ended with status 3 on the way from Cilium 1.15.0-pre.3 to 1.16.4: "
        "one / two / no such cluster"
    )


def test_a_command_that_does_not_end_is_ended(recorded: MakeDouble, connect: Connect) -> None:
    cluster = connect(recorded(), upgrade_command="sleep 60 & sleep 60", command_timeout=0.5)
    with pytest.raises(ProviderError, match=r"ended after 0.5 s, which is too long"):
        cluster.operations.upgrade(TO)


def test_a_command_that_changes_nothing_is_told(recorded: MakeDouble, connect: Connect) -> None:
    cluster = connect(recorded(), upgrade_command="true", timeout=0.6)
    with pytest.raises(
        ProviderError, match=r"has not got on for 0.6 s: 0 of 3 agents run it, node .* still has .*v1.15"
    ):
        cluster.operations.upgrade(TO)


def test_somebody_else_upgrades(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    said: list[str] = []
    cluster = connect(double, said.append, observe_seconds=20.0)
    cluster.operations.check_upgrade([FROM, TO])
    threading.Timer(0.3, rolls_out, (double, TO)).start()
    cluster.operations.upgrade(TO)
    assert images(double) == {shapes.agent_image(TO)}
    assert "existing: watching for at most 20 s: bring Cilium to 1.16.4 now" in said
    assert not [line for line in double.journal if line.startswith("PATCH")]


def test_a_version_that_is_never_reached(recorded: MakeDouble, connect: Connect) -> None:
    with pytest.raises(ProviderError, match=r"to Cilium 1.16.4 was not done within 0.5 s: 0 of 3 agents run it, node"):
        connect(recorded(), observe_seconds=0.5).operations.upgrade(TO)


def test_an_api_server_that_restarts_meanwhile_is_waited_for(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double, observe_seconds=20.0)
    double.trouble(r"GET .*", refuse(503), times=30)
    threading.Timer(0.3, rolls_out, (double, TO)).start()
    cluster.operations.upgrade(TO)
    assert cluster.declared.version == TO


@pytest.mark.parametrize(
    "image",
    [
        "registry.example:5000/agent:stable",
        "registry.example/cilium@sha256:" + 64 * "1",
        "registry.example/cilium:v1.29.3-0",  # of a distribution that counts in its own way
    ],
)
def test_images_whose_tags_tell_nothing_are_asked(recorded: MakeDouble, connect: Connect, image: str) -> None:
    double = recorded()
    for pod in double.store.select("pods", "kube-system", {"k8s-app": "cilium"}):
        pod["spec"]["containers"][0]["image"] = image
        double.store.put("pods", pod)
    backend = double.backend
    assert isinstance(backend, RecordedBackend)
    cluster = connect(double, observe_seconds=5.0)
    for node in backend.nodes:
        backend.upgrade_node(node.name, TO)
    for pod in double.store.select("pods", "kube-system", {"k8s-app": "cilium"}):
        for container in pod["status"]["containerStatuses"]:
            container["state"] = {"running": {"startedAt": "2026-11-22T18:00:00Z"}}
        double.store.put("pods", pod)
    cluster.operations.upgrade(TO)
    assert cluster.declared.version == TO


SCRIPT = """
import sys
from pathlib import Path
from pytest_ciliumwg.providers.existing import ExistingSpec, RetryPolicy, connect_existing
spec = ExistingSpec(kubeconfig=Path(sys.argv[1]), retry_policy=RetryPolicy(poll=0.05, settle=0.1))
cluster = connect_existing(spec, lambda _: None)
cluster.operations.upgrade("1.16.4")
"""


def test_helm_ends_with_us(recorded: MakeDouble, helm: Path, tmp_path: Path) -> None:
    double = recorded()
    scenario(helm, double, values={}, install="hangs")
    config = double.kubeconfig(tmp_path / "kubeconfig")
    run = subprocess.Popen([sys.executable, "-c", SCRIPT, str(config)], stderr=subprocess.DEVNULL, env=dict(os.environ))
    await_(helm.joinpath("hanging").exists)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    run.send_signal(signal.SIGTERM)
    run.wait(PATIENCE)
    assert [child for child in children if Path("/proc", child).exists()] == []
    assert double.ours() == []


def test_403_on_what_an_upgrade_reads(recorded: MakeDouble, connect: Connect, helm: Path) -> None:
    double = recorded()
    scenario(helm, double)
    cluster = connect(double)
    double.trouble(r"GET .*/daemonsets", refuse(403, "Forbidden", "no"), times=ALWAYS)
    assert "cannot read DaemonSet cilium in namespace kube-system" in refused(cluster, FROM, TO)
