"""Network policies in an existing cluster: what is dropped on a node, and which of them may concern the test pods."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.model.drops import Drops
from pytest_ciliumwg.observe.drops import drops_from
from pytest_ciliumwg.providers.existing.agent_tool import ask_agent
from pytest_ciliumwg.providers.existing.agents_told import EXEC_SECONDS
from pytest_ciliumwg.providers.existing.cilium import Cilium
from pytest_ciliumwg.providers.existing.manifests import POLICY
from pytest_ciliumwg.providers.kubernetes.errors import NOT_FOUND, KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.kubernetes.resources import in_words

_OF_NAMESPACES = ("networkpolicies", "ciliumnetworkpolicies")
_OF_THE_CLUSTER = ("ciliumclusterwidenetworkpolicies",)


def drops(kube: Kube, cilium: Cilium, node: str) -> Drops | None:
    """What a node has dropped since it started; None where its agent does not tell."""
    try:
        place = cilium.agent(node)
        done = ask_agent(kube, place, "bpf", "metrics", "list", "--output", "json", timeout=EXEC_SECONDS)
        return drops_from(done.output) if done.status == 0 else None
    except (ProviderError, ObservationError):
        return None


def policies(kube: Kube, namespace: str) -> tuple[str, ...]:
    """The policies that may concern pods of our namespace, without our own; what cannot be read is named instead."""
    return tuple(_policies(kube, namespace))


def _policies(kube: Kube, namespace: str) -> Iterator[str]:
    for resource in (*_OF_NAMESPACES, *_OF_THE_CLUSTER):
        where = namespace if resource in _OF_NAMESPACES else None
        try:
            found = [item["metadata"]["name"] for item in kube.list(resource, namespace=where)]
        except KubeError as error:
            if error.status != NOT_FOUND:
                yield f"{resource}, which cannot be read ({error})"
            continue
        own = POLICY if resource == "networkpolicies" else ""
        yield from (in_words(resource, name, where) for name in found if name != own)
