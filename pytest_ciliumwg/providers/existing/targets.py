"""What an existing cluster offers for the profile extended."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pytest_ciliumwg.model.cluster import CiliumConfig, Pod
from pytest_ciliumwg.model.traffic import Path
from pytest_ciliumwg.providers.existing.dns import find_dns
from pytest_ciliumwg.providers.existing.services import MadeService
from pytest_ciliumwg.providers.existing.spec import RunId
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.targets import Dns, Targets

_OWN_DNS = "the cluster's DNS has no pod on another node than the one that asks"
_OUTSIDE = "this provider has no client outside of the cluster; the lab has one"


def find_targets(
    kube: Kube,
    run: RunId,
    services: Mapping[str, MadeService],
    pods: Iterable[Pod],
    config: CiliumConfig,
    nodes: Collection[str],
) -> Targets:
    """What there is, and why the rest is not.

    Args:
        kube: The cluster.
        run: The run, whose test pods have its hostPort.
        services: Test pod's key → its Service.
        pods: All pods that have addresses of their own.
        config: The configuration of its Cilium.
        nodes: The nodes under test.

    Raises:
        KubeError: the cluster does not answer.
    """
    dns = find_dns(kube, pods)
    if isinstance(dns, Dns) and (beyond := [node for node in dns.nodes if node not in nodes]):
        dns = f"a pod of the cluster's DNS is on {beyond[0]}, which is not under test: it may answer any question"
    missing: dict[Path, str] = {
        "pod-to-health": "no CiliumNode has the address of a health endpoint: endpoint health checking is off",
        "pod-to-outside": _OUTSIDE,
        "north-south": _OUTSIDE,
        "pod-to-nodeport": "the test pods have no Services with NodePorts",
        "pod-to-hostport": "without kube-proxy replacement Cilium serves no hostPorts; the plugin portmap may",
        "pod-to-dns": dns if isinstance(dns, str) else _OWN_DNS,
    }
    return Targets(
        node_ports={pod: service.node_ports for pod, service in services.items() if service.node_ports},
        host_port=run.host_port if config.kube_proxy_replacement else None,
        dns=dns if isinstance(dns, Dns) else None,
        missing=missing,
    )
