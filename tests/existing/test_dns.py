"""Where a cluster's DNS is, and why nothing can be said of the way to it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, Pod
from pytest_ciliumwg.providers.existing.dns import find_dns
from pytest_ciliumwg.providers.existing.spec import RunId
from pytest_ciliumwg.providers.existing.targets import find_targets
from pytest_ciliumwg.providers.kubernetes.errors import KubeError
from pytest_ciliumwg.providers.targets import Dns
from tests.apidouble.shapes import dns_service, dns_slice

PODS = [Pod(name=f"coredns-{at}", namespace="kube-system", node=f"node-{at}", addresses=(ip_address(f"10.0.{at}.7"),))
        for at in (1, 2)]  # fmt: skip
SLICES = [dns_slice("10.0.1.7", "node-1"), dns_slice("10.0.2.7", "node-2")]


class Shown:
    """A client of an API that shows these objects."""

    def __init__(self, refused: int = 0, **shown: Any) -> None:
        self._refused = refused
        self._shown = {"services": [dns_service(["10.96.0.10"])], "endpointslices": SLICES} | shown

    def list(self, resource: str, *, namespace: str | None = None, labels: dict[str, str]) -> list[Any]:
        if self._refused:
            raise KubeError("services are forbidden", status=self._refused)
        found = self._shown.get(resource, [])
        return [item for item in found if labels.items() <= item["metadata"].get("labels", {}).items()]


def find(**shown: Any) -> Dns | str:
    return find_dns(Shown(**shown), PODS)  # type: ignore[arg-type]


def test_its_address_and_the_nodes_of_its_pods() -> None:
    assert find() == Dns((ip_address("10.96.0.10"),), ("node-1", "node-2"), "cluster.local")


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ({"services": []}, "no Service is labelled as the cluster's DNS"),
        ({"services": [dns_service(["None"])]}, "the DNS service kube-system/kube-dns has no ClusterIP"),
        ({"endpointslices": []}, "has no pods"),
        (
            {"endpointslices": [dns_slice("172.18.0.2", "node-1")]},
            "at 172.18.0.2, which is no address of Cilium",
        ),
        ({"pods": [{"metadata": {"labels": {"k8s-app": "node-local-dns"}}}]}, "a DNS cache on every node answers pods"),
        ({"refused": 403}, "where the cluster's DNS is cannot be read: services are forbidden"),
    ],
)
def test_why_nothing_can_be_said(shown: dict[str, Any], why: str) -> None:
    found = find(**shown)
    assert isinstance(found, str)
    assert why in found


def test_another_refusal_is_an_error() -> None:
    with pytest.raises(KubeError):
        find(refused=500)


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        (["node-1"], "on node-2, which is not under test"),
        (["node-1", "node-2"], "has no pod on another node than the one that asks"),
    ],
)
def test_who_may_answer_has_to_be_watched(nodes: list[str], why: str) -> None:
    config = CiliumConfig(version="1.18.3", encryption=True, families=frozenset(IPFamily))
    found = find_targets(Shown(), RunId("00000000"), {}, PODS, config, nodes)  # type: ignore[arg-type]
    assert (found.dns is not None) is (len(nodes) == len(PODS))
    assert why in found.missing["pod-to-dns"]
    assert found.host_port is None
