"""The cluster's own DNS service: where it is, and on which nodes its pods are."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.providers.existing.services import cluster_ips
from pytest_ciliumwg.providers.kubernetes.errors import FORBIDDEN, NOT_FOUND, KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.targets import Dns

LABELS = ({"k8s-app": "kube-dns"}, {"dns.operator.openshift.io/owning-dns": "default"})
"""What DNS services are labelled with: of nearly all distributions, and of OpenShift."""
CACHE = {"k8s-app": "node-local-dns"}
DOMAIN = "cluster.local"
"""The domain of questions. Whether there are such names is of no matter: a server answers either way."""


def find_dns(kube: Kube, pods: Iterable[Pod]) -> Dns | str:
    """The DNS service, or why nothing can be said of the way to it.

    Args:
        kube: The cluster.
        pods: All pods that have addresses of their own.

    Raises:
        KubeError: the cluster does not answer.
    """
    try:
        return _find_dns(kube, {address: pod.node for pod in pods for address in pod.addresses})
    except KubeError as error:
        if error.status not in (FORBIDDEN, NOT_FOUND):
            raise
        return f"where the cluster's DNS is cannot be read: {error}"


def _find_dns(kube: Kube, homes: dict[object, str]) -> Dns | str:
    if kube.list("pods", labels=CACHE):
        return "a DNS cache on every node answers pods (the pods labelled k8s-app=node-local-dns)"
    found = [service for labels in LABELS for service in kube.list("services", labels=labels)]
    if not found:
        return "no Service is labelled as the cluster's DNS (k8s-app=kube-dns)"
    name, namespace = found[0]["metadata"]["name"], found[0]["metadata"]["namespace"]
    addresses = cluster_ips(found[0])
    if not addresses:
        return f"the DNS service {namespace}/{name} has no ClusterIP"
    slices = kube.list("endpointslices", namespace=namespace, labels={"kubernetes.io/service-name": name})
    ends = [ip_address(ip) for made in slices for end in made.get("endpoints") or () for ip in end["addresses"]]
    if not ends:
        return f"the DNS service {namespace}/{name} has no pods"
    if foreign := [str(ip) for ip in ends if ip not in homes]:
        return f"the DNS service {namespace}/{name} is served at {foreign[0]}, which is no address of Cilium's pods"
    return Dns(addresses, tuple(sorted({homes[ip] for ip in ends})), DOMAIN)
