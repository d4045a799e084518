"""All nodes of a cluster, those without Cilium too, and why some of them are not under test."""

from __future__ import annotations

from collections.abc import Collection

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.model.cluster import LeftOut, Member, Pod, pods_on
from pytest_ciliumwg.observe.kubernetes import ENDED, NodeFacts, pod_facts
from pytest_ciliumwg.providers.existing.cilium import node_facts_of
from pytest_ciliumwg.providers.existing.spec import ExistingSpec
from pytest_ciliumwg.providers.kubernetes.kube import Kube


def members_of(
    kube: Kube,
    published: Collection[str],
    selected: Collection[str],
    spec: ExistingSpec,
    unmanaged: Collection[Pod] | None,
) -> tuple[Member, ...]:
    """The nodes, by name.

    Args:
        kube: The cluster.
        published: The names of the nodes that have a CiliumNode.
        selected: The names of those under test.
        spec: Which nodes the user chose.
        unmanaged: The pods that Cilium does not know; None where nothing tells them.

    Raises:
        ProviderError: the nodes, or the pods of one without Cilium, cannot be listed or understood.
    """
    found = node_facts_of(kube)
    return tuple(
        Member(
            name=name,
            labels=facts.labels,
            left_out=None if name in selected else _left_out(kube, facts, name in published, spec),
            unmanaged=pods_on(name, unmanaged),
        )
        for name, facts in sorted(found.items())
    )


def _left_out(kube: Kube, facts: NodeFacts, has_cilium: bool, spec: ExistingSpec) -> LeftOut:
    wanted = spec.node_selector.items() <= facts.labels.items()
    if not has_cilium:
        why = facts.without_cilium(lambda: _runs_pods(kube, facts.name))
        return why if wanted or why is not LeftOut.NO_CILIUM else LeftOut.SELECTOR
    if not wanted:
        return LeftOut.SELECTOR
    return LeftOut.LATER if spec.max_nodes is None else LeftOut.MOST_NODES


def _runs_pods(kube: Kube, node: str) -> bool:
    """Whether a node has pods with addresses of their own."""
    try:
        pods = [pod_facts(pod) for pod in kube.list("pods", node=node)]
    except ObservationError as error:
        raise ProviderError(f"the pods of node {node} cannot be understood: {error}") from None
    return any(not pod.host_network and pod.phase not in ENDED for pod in pods)
