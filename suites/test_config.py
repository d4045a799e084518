"""The configuration that was declared is the configuration that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations, known_version, same_version
from pytest_ciliumwg.model.cluster import CiliumConfig, LeftOut, Node
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.providers.base import Cluster, nodes_under_test
from pytest_ciliumwg.providers.recorded import Recorded


@pytest.mark.ciliumwg_check(
    "config.encryption",
    source="documentation, Helm values encryption.enabled and encryption.type",
    offline="also",
)
def test_encryption_is_enabled(
    node_configs: Mapping[str, CiliumConfig], first_reading: Reading, verify: Verify
) -> None:
    """Cilium is configured to encrypt with WireGuard, as the agents themselves tell."""
    for place, nodes, enabled in _where(node_configs, lambda config: config.encryption):
        verify(
            enabled,
            where=place,
            expected="WireGuard encryption enabled",
            seen="enabled" if enabled else "disabled",
            meaning=_disabled([first_reading.states[node] for node in nodes if node in first_reading.states]),
        )


def _where(
    configs: Mapping[str, CiliumConfig], of: Callable[[CiliumConfig], Any]
) -> Iterator[tuple[Place, Sequence[str], Any]]:
    """A setting of all nodes at once where it is the same on all; else of each node."""
    values = {node: of(config) for node, config in configs.items()}
    first = next(iter(values.values()), None)
    if all(value == first for value in values.values()):
        yield Place.everywhere("Cilium's configuration"), tuple(values), first
    else:
        yield from ((Place.of_node(node), (node,), value) for node, value in values.items())


def _disabled(states: Sequence[NodeState]) -> str:
    """What it means that encryption is disabled: the nodes may encrypt all the same."""
    working = [state.node for state in states if state.wireguard and state.real_peers()]
    if working:
        return f"{', '.join(working)} have WireGuard peers all the same: their agents lose them when they start anew."
    return "Cilium does not even try to encrypt; set encryption.enabled=true and encryption.type=wireguard."


@pytest.mark.ciliumwg_check(
    "config.version",
    source="design: the expectation is declared, never adapted to what is found",
    offline="also",
)
def test_declared_version_runs(cluster: Cluster, verify: Verify) -> None:
    """The version of Cilium that was declared is the one that runs."""
    declared, actual = cluster.declared.version, cluster.actual_config().version
    try:
        known_version(actual)
    except ValueError as error:
        # For such a one another version has to be declared.
        verify.unsupported(Place.everywhere("Cilium's agents"), str(error))
        return
    verify(
        same_version(actual, declared),
        where=Place.everywhere("Cilium's agents"),
        expected=f"version {declared}",
        seen=actual,
        meaning="Every expectation of this run is for another version; correct the one or the other.",
    )


OPTIONS = {
    "routing_mode": "routing mode",
    "node_encryption": "node encryption",
    "strict_egress": "strict mode for what leaves",
    "strict_ingress": "strict mode for what comes in",
    "userspace_fallback": "userspace fallback",
    "kube_proxy_replacement": "kube-proxy replacement",
}


@pytest.mark.ciliumwg_check(
    "config.declared",
    source="design: the expectation is declared, never adapted to what is found",
    offline="also",
)
@pytest.mark.parametrize("option", list(OPTIONS))
def test_declared_option_is_the_actual_one(
    cluster: Cluster, node_configs: Mapping[str, CiliumConfig], verify: Verify, option: str
) -> None:
    """An option that changes what must hold has the value that was declared, on every node."""
    declared = getattr(cluster.declared, option)
    for place, _, actual in _where(node_configs, lambda config: getattr(config, option)):
        verify(
            declared == actual,
            where=place,
            expected=f"{OPTIONS[option]} {declared}",
            seen=actual,
            meaning="Every expectation of this run is for another configuration; correct the one or the other.",
        )


@pytest.mark.ciliumwg_check(
    "config.nodes", source="design: what is not covered is told, never passed over in silence", offline="also"
)
def test_every_node_runs_cilium(cluster: Cluster, verify: Verify) -> None:
    """Every Ready Linux node that may run pods has a CiliumNode, and every pod there an endpoint of Cilium's."""
    if isinstance(cluster, Recorded) and (why := cluster.missing("members")):
        verify.unmeasured(Place.everywhere("all nodes"), why)
    for member in cluster.members():
        verify(
            member.left_out is not LeftOut.NO_CILIUM,
            where=Place.of_node(member.name),
            expected="a CiliumNode",
            seen=member.left_out.value if member.left_out else "it has one",
            meaning="Cilium encrypts nothing that is sent from or to this node's pods.",
        )
        for pod in member.unmanaged or ():
            verify(
                False,
                where=Place.of_node(member.name, detail=pod.key).concerning(addresses=pod.addresses),
                expected="a CiliumEndpoint of this pod, which runs and has an address of its own",
                seen="none",
                meaning="Cilium encrypts nothing from or to this pod; if it was there before Cilium, make it anew.",
            )
        if member.unmanaged is None and member.left_out is None:
            why = "which of its pods Cilium does not know is not told: pods may not be listed, or none has an endpoint"
            verify.unsupported(Place.of_node(member.name), why)


@pytest.mark.ciliumwg_check(
    "config.node-encryption",
    source='documentation, "Node-to-node encryption": node-encryption-opt-out-labels',
    offline="also",
)
def test_declared_node_encryption_holds(
    cluster: Cluster, nodes: Sequence[Node], verify: Verify, expected: Expectations
) -> None:
    """Only nodes that were declared to opt out of node encryption do, and between two at least it holds."""
    if not expected.config.node_encryption:
        pytest.skip("node encryption is not declared; declare it with --ciliumwg-node-encryption=on")
    labels = {member.name: member.labels for member in cluster.members()}
    tested = [node for node in nodes if node.name in nodes_under_test(cluster)]
    opted_out = [node.name for node in tested if not node.encryption_key]
    allowed = " and ".join(expected.config.node_encryption_opt_out) or "none"
    for node in tested:
        verify(
            bool(node.encryption_key) or expected.may_opt_out(labels.get(node.name, {})),
            where=Place.of_node(node.name),
            expected=f"encryption key 255 on its CiliumNode; labels of nodes that may opt out: {allowed}",
            seen=f"{node.encryption_key or 0}: it opted out of node encryption",
            meaning="What is sent from and to this node's own network is in cleartext.",
        )
    verify(
        len(tested) - len(opted_out) >= 2,
        where=Place.everywhere("all nodes").concerning(opted_out),
        expected="two nodes at least between which node encryption holds",
        seen=f"{', '.join(opted_out)} of {len(tested)} nodes opted out",
        meaning="Node encryption was declared, and there is no traffic that it protects.",
    )
