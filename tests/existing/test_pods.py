"""Pods that do not come, namespaces that do not go, and clusters that are broken before we come."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.existing import connect_existing, find_leftovers, remove_leftovers
from pytest_ciliumwg.providers.existing.spec import OWNER_ANNOTATION
from tests.apidouble import ApiDouble
from tests.apidouble.recorded import NODE
from tests.existing.conftest import HASTY, Connect, MakeDouble, spec_for
from tests.existing.test_faults import Outcome

NOT_FOUND = 'failed to resolve reference "python:nope": not found'
PSA = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)'
NO_PYTHON = 'exec: "python3": executable file not found in $PATH'
HOPELESS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong-image": ({"waiting": ("ErrImagePull", NOT_FOUND)}, r"ErrImagePull \(.*not found\); check --ciliumwg-image"),
    "no-pull-rights": ({"waiting": ("ImagePullBackOff", "pull access denied")}, r"ImagePullBackOff .*pull secret"),
    "pull-lasts": ({"waiting": ("ImagePullBackOff", "i/o timeout")}, r"ImagePullBackOff \(i/o timeout\); check"),
    "invalid-name": ({"waiting": ("InvalidImageName", "x")}, r"InvalidImageName"),
    "never-pull": ({"waiting": ("ErrImageNeverPull", "not present with pull policy of Never")}, "ErrImageNeverPull"),
    "crash": ({"waiting": ("CrashLoopBackOff", "back-off 10s"), "ended": "boom\nSyntaxError: x"}, r"status 1 \(Syntax"),
    "no-python": ({"waiting": ("RunContainerError", NO_PYTHON)}, r"RunContainerError .*the image must have python3"),
    "config": ({"waiting": ("CreateContainerConfigError", "configmap not found")}, r"CreateContainerConfigError"),
    "psa": ({"refused": PSA}, r"violates PodSecurity .*; exempt namespaces that start with ciliumwg-"),
    "webhook": ({"refused": 'admission webhook "gate" denied the request: no'}, r'the pods of .*webhook "gate" denied'),
    "quota": ({"refused": "exceeded quota: pods, requested: 1"}, r"exceeded quota"),
}
LASTING: dict[str, tuple[dict[str, Any], str]] = {
    "unschedulable": ({"unschedulable": "1 Insufficient cpu"}, r"Unschedulable \(1 Insufficient cpu\)"),
    "never-made": ({"absent": True}, r"its pod has not been made yet"),
    "webhook-away": (
        {"refused": 'failed calling webhook "mutate.kyverno.svc": context deadline exceeded'},
        r"has not been made yet: FailedCreate \(failed calling webhook .*: context deadline exceeded\)",
    ),
    "invalid": (
        {"refused": 'Pod "x" is invalid: resources.requests: Invalid value: "48Mi": must be less than memory limit'},
        r"has not been made yet: FailedCreate \(Pod .*must be less than memory limit\)",
    ),
    "creating": ({"waiting": ("ContainerCreating", "")}, r"ContainerCreating"),
    "mount": ({"event": ("FailedMount", "volume agent not found")}, r"FailedMount|volume agent not found"),
    "sandbox": ({"event": ("FailedCreatePodSandBox", "cilium-cni: timeout")}, r"cilium-cni: timeout"),
    "evicted-again-and-again": ({"evictions": 99, "node": NODE}, r"Evicted \(The node was low on resource: memory"),
}


@pytest.mark.thorough(but=("wrong-image", "crash", "psa", "quota"))
@pytest.mark.parametrize("name", list(HOPELESS))
def test_hopeless(recorded: MakeDouble, tmp_path: Path, name: str) -> None:
    how, says = HOPELESS[name]
    double = recorded()
    double.mishap(**how)
    text = Outcome(double, tmp_path, timeout=30.0).sentence()
    assert text.startswith("the agents cannot run: ")
    assert re.search(says, text), text
    assert double.ours() == []


@pytest.mark.parametrize("name", list(LASTING))
def test_not_in_time(recorded: MakeDouble, tmp_path: Path, name: str) -> None:
    how, says = LASTING[name]
    role = ("node-agent", "test-pod")[len(name) % 2]
    double = recorded()
    double.mishap(role=role, **how)
    text = Outcome(double, tmp_path, timeout=0.25).sentence()
    assert text.startswith(f"the agents were not ready within 0.25 s: {role} on ")
    assert re.search(says, text), text
    assert double.ours() == []


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ({"containers": {"name": "istio-proxy", "image": "registry.example/istio/proxyv2:1.28"}}, r"\(istio-proxy\)"),
        (
            {"initContainers": {"name": "redirect", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}},
            "redirect",
        ),
        ({"annotations": {"ambient.istio.io/redirection": "enabled"}}, "Istio's ambient mode"),
        ({"containers": {"name": "log-shipper", "image": "proxy.example/mesh/log-sidecar:1"}}, ""),
    ],
    ids=["sidecar", "redirect", "ambient", "harmless"],
)
def test_a_service_mesh_in_test_pods(
    recorded: MakeDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added: dict[str, Any], says: str
) -> None:
    double = recorded()
    start = double.backend.start

    def with_more(pod: Any, files: Any) -> Any:
        for place, more in added.items():
            if place == "annotations":
                pod["metadata"] = pod["metadata"] | {place: more}
            else:
                pod["spec"][place] = [*pod["spec"].get(place, ()), more]
        return start(pod, files)

    monkeypatch.setattr(double.backend, "start", with_more)
    outcome = Outcome(double, tmp_path)
    if says:
        assert re.search(rf"the test pod on .*{says}.* a service mesh changes what test pods send", outcome.sentence())
    else:
        assert outcome.is_success(), outcome.errors
        assert any("other containers into the test pods: log-shipper" in line for line in outcome.lines)
    assert double.ours() == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"securityContext": {"capabilities": {"drop": ["ALL"]}, "runAsUser": 0}}, "the capability NET_RAW;"),
        ({"securityContext": {"capabilities": {"add": ["NET_RAW"]}, "runAsUser": 1000}}, "the user 0;"),
        ({}, "the node's network;"),
    ],
    ids=["capability", "user", "network"],
)
def test_what_admission_control_takes_away(
    recorded: MakeDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str
) -> None:
    double = recorded()
    start = double.backend.start

    def with_less(pod: Any, files: Any) -> Any:
        addresses = start(pod, files)
        if pod["spec"].get("hostNetwork"):
            pod["spec"] |= {"containers": [pod["spec"]["containers"][0] | change], "hostNetwork": bool(change)}
        return addresses

    monkeypatch.setattr(double.backend, "start", with_less)
    text = Outcome(double, tmp_path).sentence()
    assert re.search(rf"admission control took away from the node-agent on .* what it needs: {says} exempt", text), text
    assert double.ours() == []


PASSING: dict[str, dict[str, Any]] = {
    "pull": {"waiting": ("ErrImagePull", "i/o timeout"), "passes_after": 3},
    "unschedulable": {"unschedulable": "1 Insufficient cpu", "passes_after": 3},
    "never-made": {"absent": True, "passes_after": 3},
    "evicted": {"evictions": 1},
}


@pytest.mark.parametrize("name", list(PASSING))
def test_in_the_end_they_come(recorded: MakeDouble, tmp_path: Path, name: str) -> None:
    double = recorded()
    double.mishap(**PASSING[name])
    outcome = Outcome(double, tmp_path, timeout=60.0, retry_policy=replace(HASTY, pull=60.0))
    assert outcome.is_success(), outcome.errors
    assert any("waiting: " in line for line in outcome.lines)
    assert double.ours() == []


def test_a_namespace_that_stays(recorded: MakeDouble, tmp_path: Path) -> None:
    double = recorded()
    double.mishap(namespace_stays="finalizer example.com/keep")
    text = Outcome(double, tmp_path, retry_policy=replace(HASTY, gone=0.3)).sentence()
    (left,) = double.ours()
    assert re.search(rf"namespace {left} is still there .*example.com/keep\); remove it with --ciliumwg-cleanup", text)


def test_an_error_and_a_namespace_that_stays(recorded: MakeDouble, tmp_path: Path) -> None:
    double = recorded()
    double.mishap(refused=PSA)
    double.mishap(namespace_stays="a finalizer")
    text = Outcome(double, tmp_path, retry_policy=replace(HASTY, gone=0.3)).sentence()
    assert "violates PodSecurity" in text
    assert f"the namespace {double.ours()[0]} is still there" in text


def change(double: ApiDouble, resource: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    """An object to be changed; `put` it back."""
    return double.store.get(resource, namespace, name)


def not_ready(double: ApiDouble) -> None:
    node = change(double, "nodes", NODE)
    node["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    double.store.put("nodes", node)


def no_cilium(double: ApiDouble) -> None:
    for pod in double.store.select("pods", labels={"k8s-app": "cilium"}):
        double.store.remove("pods", "kube-system", pod["metadata"]["name"])


def agent_missing(double: ApiDouble) -> None:
    for pod in double.store.select("pods", labels={"k8s-app": "cilium"}):
        if pod["spec"]["nodeName"] == NODE:
            double.store.remove("pods", "kube-system", pod["metadata"]["name"])


def stale_cilium_node(double: ApiDouble) -> None:
    double.store.remove("nodes", None, NODE)


def no_config(double: ApiDouble) -> None:
    double.store.remove("configmaps", "kube-system", "cilium-config")


def strange_config(double: ApiDouble) -> None:
    config = change(double, "configmaps", "cilium-config", "kube-system")
    config["data"] = {"something": "else"}
    double.store.put("configmaps", config)


def two_namespaces(double: ApiDouble) -> None:
    pod = double.store.select("pods", labels={"k8s-app": "cilium"})[0]
    pod["metadata"]["namespace"] = "cilium"
    double.store.put("pods", pod)


def no_cilium_nodes(double: ApiDouble) -> None:
    for name in double.store.names("ciliumnodes"):
        double.store.remove("ciliumnodes", None, name)


def strange_cilium_node(double: ApiDouble) -> None:
    node = change(double, "ciliumnodes", NODE)
    node["spec"]["addresses"] = [{"type": "InternalIP", "ip": "nonsense"}]
    double.store.put("ciliumnodes", node)


BROKEN = [
    (not_ready, r"node rig-worker is NotReady: repair it, or leave it out"),
    (no_cilium, r"the DaemonSet cilium in namespace kube-system shall run .* and has not one pod"),
    (agent_missing, r"node rig-worker has no Cilium agent pod in namespace kube-system"),
    (stale_cilium_node, r"the CiliumNode rig-worker belongs to no node of the cluster"),
    (no_config, r"there is no ConfigMap cilium-config in namespace kube-system"),
    (strange_config, r"has no enable-ipv4, which every installation has"),
    (two_namespaces, r"Cilium agents run in several namespaces \(cilium, kube-system\)"),
    (no_cilium_nodes, r"the list of CiliumNodes has no object"),
    (strange_cilium_node, r"the CiliumNode rig-worker .*'nonsense', which is no IP address"),
]


@pytest.mark.parametrize(("break_it", "says"), BROKEN, ids=[breaker.__name__ for breaker, _ in BROKEN])
def test_broken_cluster(recorded: MakeDouble, tmp_path: Path, break_it: Any, says: str) -> None:
    double = recorded()
    break_it(double)
    text = Outcome(double, tmp_path).sentence()
    assert re.search(says, text), text
    assert not any(line.startswith("POST") for line in double.journal), "nothing is made in a broken cluster"


def test_a_node_that_breaks_later(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    agent_missing(double)
    assert set(cluster.state(NODE).unread.values()) == {
        "node rig-worker has no Cilium agent pod in namespace kube-system"
    }
    pod = next(pod for pod in cluster.test_pods() if pod.node == NODE)
    double.store.remove("pods", pod.namespace, pod.name)
    with pytest.raises(ProviderError, match="the test pod on node rig-worker is gone, and there is no new one yet"):
        cluster.test_pods()


def test_pods_of_another_cni(recorded: MakeDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    double = recorded()
    monkeypatch.setattr(double.backend, "endpoint", lambda pod, addresses: None)
    text = Outcome(double, tmp_path, timeout=0.5).sentence()
    assert re.search(r"no CiliumEndpoint has the address of test pod .* another CNI gives addresses there", text)
    assert double.ours() == []


def test_no_ciliumendpoints_at_all_is_no_other_cni(
    recorded: MakeDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = recorded()
    monkeypatch.setattr(double.backend, "endpoint", lambda pod, addresses: None)
    for endpoint in double.store.select("ciliumendpoints"):
        double.store.remove("ciliumendpoints", endpoint["metadata"]["namespace"], endpoint["metadata"]["name"])
    text = Outcome(double, tmp_path, timeout=0.5).sentence()
    assert text.startswith("there are no CiliumEndpoint objects at all")
    assert "CNI" not in text
    assert double.ours() == []


def test_leftovers(recorded: MakeDouble, connect: Connect, tmp_path: Path) -> None:
    double = recorded()
    lines: list[str] = []
    killed = connect(double)
    killed.keep()
    spec = spec_for(double, tmp_path)
    assert find_leftovers(spec) == (), "its run goes on"
    namespace = change(double, "namespaces", double.ours()[0])
    namespace["metadata"]["annotations"][OWNER_ANNOTATION] = "elsewhere/1"
    double.store.put("namespaces", namespace)
    second = connect(double, lines.append)
    assert any("an earlier run left ciliumwg-" in line and "--ciliumwg-cleanup" in line for line in lines)
    left = find_leftovers(spec)
    assert [leftover.namespace for leftover in left] == [namespace["metadata"]["name"]]
    remove_leftovers(spec, left, lines.append)
    assert len(double.ours()) == 1, "the run that goes on keeps its own"
    second.close()
    assert double.ours() == []


def test_everything_is_labelled_and_has_no_rights(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double, image="registry.example/python:3", image_pull_policy="Always")
    (name,) = double.ours()
    run = name.removeprefix("ciliumwg-")
    for resource in ("serviceaccounts", "configmaps", "daemonsets", "pods"):
        found = double.store.select(resource, name)
        assert found
        assert all(item["metadata"]["labels"]["ciliumwg/run"] == run for item in found)
        assert all(item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "pytest-ciliumwg" for item in found)
    assert double.store.select("serviceaccounts", name)[0]["automountServiceAccountToken"] is False
    for pod in double.store.select("pods", name):
        (container,) = pod["spec"]["containers"]
        assert container["image"] == "registry.example/python:3"
        assert container["imagePullPolicy"] == "Always"
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_RAW"]}
        assert container["securityContext"]["privileged"] is False
    written = {line.split("?")[0] for line in double.journal if not line.startswith("GET")}
    assert all(name in line or line == "POST /api/v1/namespaces" for line in written), "nothing outside our namespace"
    cluster.close()
    assert double.ours() == []


def test_a_pull_secret_is_copied(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    secret = {
        "metadata": {"name": "regcred", "namespace": "infra"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {"x": "eQ=="},
    }
    double.store.put("secrets", secret)
    connect(double, image_pull_secret="infra/regcred")  # noqa: S106 - a name
    (copy,) = double.store.select("secrets", double.ours()[0])
    assert (copy["type"], copy["data"]) == (secret["type"], secret["data"])
    with pytest.raises(ProviderError, match="there is no secret nope in namespace default"):
        connect(double, image_pull_secret="nope")  # noqa: S106 - a name


def test_selection(recorded: MakeDouble, connect: Connect, tmp_path: Path) -> None:
    double = recorded(page=2)
    cluster = connect(double, node_selector={"kubernetes.io/os": "linux"}, max_nodes=2)
    assert cluster.selected == ("rig-control-plane", "rig-worker")
    assert len(cluster.nodes()) == 3
    with pytest.raises(ProviderError, match=r"there are 0 nodes with Cilium with the labels .*: traffic .* needs 2"):
        connect_existing(spec_for(double, tmp_path, node_selector={"no": "node"}), lambda _: None)
