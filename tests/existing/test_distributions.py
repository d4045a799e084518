"""Cilium as distributions install it: with other names, labels and namespaces, and other ways to tell its pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.existing import Hints, connect_existing
from tests.apidouble import ApiDouble
from tests.apidouble.trouble import ALWAYS, refuse
from tests.existing.conftest import Connect, MakeDouble, spec_for


@dataclass(frozen=True)
class Distribution:
    namespace: str = "kube-system"
    labels: Mapping[str, str] = field(default_factory=lambda: {"k8s-app": "cilium"})
    workload: str = "cilium"
    container: str = "cilium-agent"
    config: str = "cilium-config"
    mounted: bool = True
    """Whether the agent's container is given the ConfigMap as a folder."""


DISTRIBUTIONS = {
    "upstream": Distribution(),
    "openshift": Distribution(namespace="cilium"),
    "deckhouse": Distribution("d8-cni-cilium", {"app": "agent", "module": "cni"}, "agent", config="agent-config"),
    "gke": Distribution(workload="anetd"),
    "other-container": Distribution("network", {"app": "net"}, "net", "main", "net-config"),
    "config-not-mounted": Distribution(config="cilium-settings", mounted=False),
}


def as_distribution(double: ApiDouble, how: Distribution) -> None:
    """Rename what the double has."""
    store = double.store
    for pod in store.select("pods", "kube-system", {"k8s-app": "cilium"}):
        store.remove("pods", "kube-system", pod["metadata"]["name"])
        pod["metadata"] |= {"namespace": how.namespace, "labels": dict(how.labels)}
        pod["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": how.workload}]
        adapt(pod["spec"], how)
        for status in pod["status"]["containerStatuses"]:
            if status["name"] == "cilium-agent":
                status["name"] = how.container
        store.put("pods", pod)
    workload = store.get("daemonsets", "kube-system", "cilium")
    store.remove("daemonsets", "kube-system", "cilium")
    workload["metadata"] |= {"namespace": how.namespace, "name": how.workload}
    workload["spec"]["selector"] = {"matchLabels": dict(how.labels)}
    adapt(workload["spec"]["template"]["spec"], how)
    store.put("daemonsets", workload)
    config = store.get("configmaps", "kube-system", "cilium-config")
    store.remove("configmaps", "kube-system", "cilium-config")
    config["metadata"] |= {"namespace": how.namespace, "name": how.config}
    store.put("configmaps", config)


def adapt(spec: dict[str, Any], how: Distribution) -> None:
    for container in spec["containers"]:
        if container["name"] == "cilium-agent":
            container |= {"name": how.container, "command": ["/usr/bin/cilium-agent"], "volumeMounts": []}
            if how.mounted:
                container["volumeMounts"] = [{"name": "config", "mountPath": "/tmp/cilium/config-map/"}]
    spec["hostNetwork"] = True
    spec["volumes"] = [{"name": "config", "configMap": {"name": how.config}}] if how.mounted else []


@pytest.mark.thorough(but=("openshift", "other-container", "gke"))
@pytest.mark.parametrize("name", list(DISTRIBUTIONS))
def test_found_by_what_it_is(
    recorded: MakeDouble, connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    how = DISTRIBUTIONS[name]
    double = recorded()
    command = double.backend.command  # type: ignore[attr-defined]

    def renamed(pod: Any, container: str, words: list[str]) -> Any:
        return command(pod, "cilium-agent" if container == how.container else container, words)

    monkeypatch.setattr(double.backend, "command", renamed)
    as_distribution(double, how)
    cluster = connect(double)
    assert cluster.actual_config().encryption
    assert cluster.state("rig-worker").unread.keys() <= {"fwmark"}
    shown = cluster.snapshot()
    assert shown.agents.keys() == {"rig-control-plane", "rig-worker", "rig-worker2"}
    assert shown.agents["rig-worker"].image
    assert shown.revision


def test_without_the_right_to_see_daemonsets_names_are_asked_for(recorded: MakeDouble, tmp_path: Path) -> None:
    double = recorded()
    as_distribution(double, DISTRIBUTIONS["deckhouse"])
    double.trouble(r"GET /apis/apps/v1/daemonsets", refuse(403, "Forbidden", "no"), times=ALWAYS)
    with pytest.raises(ProviderError, match=r"may not see .* with --ciliumwg-cilium-namespace and --ciliumwg-cilium-l"):
        connect_existing(spec_for(double, tmp_path), lambda _: None)


def test_what_is_named_is_taken(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    as_distribution(double, DISTRIBUTIONS["deckhouse"])
    double.trouble(r"GET /apis/apps/v1/daemonsets", refuse(403, "Forbidden", "no"), times=ALWAYS)
    double.trouble(r"GET /api/v1/pods", refuse(403, "Forbidden", "no"), times=ALWAYS)
    cluster = connect(double, cilium=Hints(namespace="d8-cni-cilium", labels={"app": "agent"}))
    assert cluster.actual_config().encryption


@pytest.mark.parametrize(
    ("hints", "says"),
    [
        (Hints(namespace="elsewhere"), "no pod on its node's network in namespace elsewhere has a container that runs"),
        (Hints(labels={"app": "x"}), "no pod with the labels app=x on its node's network in any namespace has"),
        (Hints(container="nope"), "in any namespace has a container nope: see --ciliumwg-cilium-namespace"),
        (Hints(config="nope"), "there is no ConfigMap nope in namespace kube-system"),
    ],
)
def test_what_is_named_and_not_there(recorded: MakeDouble, tmp_path: Path, hints: Hints, says: str) -> None:
    with pytest.raises(ProviderError, match=says):
        connect_existing(spec_for(recorded(), tmp_path, cilium=hints), lambda _: None)


def test_of_two_installations_one_is_named(recorded: MakeDouble, connect: Connect, tmp_path: Path) -> None:
    double = recorded()
    pod = double.store.select("pods", "kube-system", {"k8s-app": "cilium"})[0]
    pod["metadata"] |= {"namespace": "second"}
    double.store.put("pods", pod)
    with pytest.raises(ProviderError, match=r"\(kube-system, second\): .* name it with --ciliumwg-cilium-namespace"):
        connect_existing(spec_for(double, tmp_path), lambda _: None)
    assert connect(double, cilium=Hints(namespace="kube-system")).actual_config().encryption


def test_no_cilium_at_all(recorded: MakeDouble, tmp_path: Path) -> None:
    double = recorded()
    for pod in double.store.select("pods", "kube-system", {"k8s-app": "cilium"}):
        double.store.remove("pods", "kube-system", pod["metadata"]["name"])
    double.store.remove("daemonsets", "kube-system", "cilium")
    with pytest.raises(ProviderError, match=r"no DaemonSet of the cluster at .* runs cilium-agent, .* does not run"):
        connect_existing(spec_for(double, tmp_path), lambda _: None)


def published(cluster: Any) -> dict[str, tuple[str, tuple[object, ...]]]:
    """Pods of others: key → node and addresses."""
    return {pod.key: (pod.node, pod.addresses) for pod in cluster.pods() if not pod.namespace.startswith("ciliumwg-")}


def configure(double: ApiDouble, **entries: str) -> None:
    named = {name.replace("_", "-"): value for name, value in entries.items()}
    double.store.merge("configmaps", "kube-system", "cilium-config", {"data": named})


def test_endpoint_slices_alone(recorded: MakeDouble, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    double = recorded()
    wanted = published(connect(double))
    assert wanted
    configure(double, enable_cilium_endpoint_slice="true")
    put = double.store.put

    def sliced(resource: str, value: Any) -> None:
        """Each CiliumEndpoint in a slice of its own, as the operator makes them."""
        if resource != "ciliumendpoints":
            put(resource, value)
            return
        metadata, networking = value["metadata"], value["status"]["networking"]
        name = f"ces-{metadata['namespace']}-{metadata['name']}"
        endpoint = {"name": metadata["name"], "id": 1, "networking": networking, "encryption": {}}
        made = {"metadata": {"name": name}, "namespace": metadata["namespace"], "endpoints": [endpoint]}
        put("ciliumendpointslices", made)

    for endpoint in double.store.select("ciliumendpoints"):
        double.store.remove("ciliumendpoints", endpoint["metadata"]["namespace"], endpoint["metadata"]["name"])
        sliced("ciliumendpoints", endpoint)
    monkeypatch.setattr(double.store, "put", sliced)
    cluster = connect(double)
    assert published(cluster) == wanted
    assert cluster.snapshot().pods.keys() >= wanted.keys()


@pytest.mark.parametrize("crd", ["there", "gone"])
def test_no_endpoints_at_all(recorded: MakeDouble, connect: Connect, monkeypatch: pytest.MonkeyPatch, crd: str) -> None:
    double = recorded()
    monkeypatch.setattr(double.backend, "endpoint", lambda pod, addresses: None)
    for endpoint in double.store.select("ciliumendpoints"):
        metadata = endpoint["metadata"]
        double.store.remove("ciliumendpoints", metadata["namespace"], metadata["name"])
    for name, phase, host in (("web", "Running", False), ("done", "Succeeded", False), ("host", "Running", True)):
        double.store.put(
            "pods",
            {
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"nodeName": "rig-worker", "hostNetwork": host},
                "status": {"phase": phase, "podIPs": [{"ip": "10.0.1.99"}]},
            },
        )
    configure(double, disable_endpoint_crd="true")
    if crd == "gone":
        double.trouble(r"GET .*/ciliumendpoints", refuse(404, "NotFound", "no such"), times=ALWAYS)
    cluster = connect(double)
    # pod-a and pod-b are recorded pods.
    assert {key: node for key, (node, _) in published(cluster).items() if "default/" in key} == {
        "default/pod-a": "rig-worker",
        "default/pod-b": "rig-worker2",
        "default/web": "rig-worker",
    }
    assert cluster.test_pods()[0].key in cluster.snapshot().pods
