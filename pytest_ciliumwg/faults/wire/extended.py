"""Faults of the paths of the profile extended: lost, in cleartext, or carried another way. Other traffic is healthy.

Each is of flows from the node to the next one. The DNS server of a lab of three nodes is at the node after the first
worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from pytest_ciliumwg.faults.catalogue import BOTH, Consequence, Doubt, Inject, fault
from pytest_ciliumwg.faults.tools.consequences import ONE_PATH
from pytest_ciliumwg.faults.wire.another_way import SECOND_NETWORK, over_the_side, side_link
from pytest_ciliumwg.faults.wire.bypass import bypass, pod_ends
from pytest_ciliumwg.model.cluster import IPAddress, Pod
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.services import HOST_PORT, TABLE, node_ports
from pytest_ciliumwg.providers.lab.spec import LabNode, LabPod
from pytest_ciliumwg.providers.targets import BY_OUTSIDE, BY_OWN, BY_THIRD, DNS_PORT

Ends = Sequence[tuple[IPAddress, IPAddress]]
Promised = Literal["always", "by redirects", "with node encryption"]
"""Always, by the versions that redirect, or by those with node encryption."""
_BLOCKED = "blocked"
_NODE_PORTS = "th dport 30000-32767"


def _lost(lab: Lab, netns: str, hook: str, condition: str) -> None:
    """Drop packets in a namespace that is no node's: there it would be taken for a network policy."""
    chain = f"add chain inet {_BLOCKED} {hook} {{ type filter hook {hook} priority 0; }}"
    rules = f"add table inet {_BLOCKED}; {chain}; add rule inet {_BLOCKED} {hook} {condition} drop"
    lab.sandbox.run(f"nft '{rules}'", netns=netns)


def _untranslated(lab: Lab, netns: str, chain: str, condition: str) -> None:
    """Let packets pass as they are that are translated on a healthy cluster."""
    lab.sandbox.run(f"nft insert rule inet {TABLE} {chain} '{condition} accept'", netns=netns)


def _known(pod: LabPod | None) -> Pod:
    if pod is None:
        raise AssertionError("asked for what only a lab for the profile extended has")
    return pod.pod


def _to_dns(lab: Lab, node: LabNode) -> Ends:
    dns = next(member for member in lab.layout if member.dns is not None).dns
    return pod_ends(lab, node.test_pod.pod, _known(dns))


def _to_health(lab: Lab, node: LabNode) -> Ends:
    return pod_ends(lab, node.test_pod.pod, _known(lab.next_to(node).health))


def _to_node(lab: Lab, pod: Pod, node: LabNode) -> Ends:
    return pod_ends(lab, pod, Pod(name=node.name, namespace="", node=node.name, addresses=node.addresses))


def _of_outside(lab: Lab, server: LabNode) -> str:
    """What matches packets from outside to a node's test pod."""
    ports = node_ports(lab.layout)[server.test_pod.pod.key]
    return f"th dport {{ {', '.join({str(number) for (port, _), number in ports.items() if port == BY_OUTSIDE})} }}"


def _dns_lost(lab: Lab, node: LabNode) -> None:
    _lost(lab, node.test_pod.netns, "output", f"tcp dport {DNS_PORT}")


def _nodeport_lost(lab: Lab, node: LabNode) -> None:
    _lost(lab, lab.next_to(node).test_pod.netns, "input", f"udp dport {BY_OWN}-{BY_THIRD}")


def _hostport_lost(lab: Lab, node: LabNode) -> None:
    peer = lab.next_to(node)
    _untranslated(lab, peer.name, "prerouting", f"meta l4proto {{ tcp, udp }} th dport {HOST_PORT}")


def _health_lost(lab: Lab, node: LabNode) -> None:
    lab.sandbox.run("ip link set eth0 down", netns=_known(lab.next_to(node).health).name)


def _north_south_lost(lab: Lab, node: LabNode) -> None:
    condition = f"meta l4proto {{ tcp, udp }} {_of_outside(lab, lab.next_to(node))}"
    _untranslated(lab, node.name, "prerouting", condition)


def _leak_dns(lab: Lab, node: LabNode) -> None:
    bypass(lab, node, ends=_to_dns(lab, node))


def _leak_nodeport(lab: Lab, node: LabNode) -> None:
    _untranslated(lab, node.test_pod.netns, "output", f"meta l4proto {{ tcp, udp }} {_NODE_PORTS}")


def _leak_health(lab: Lab, node: LabNode) -> None:
    bypass(lab, lab.next_to(node), ends=[(to, source) for source, to in _to_health(lab, node)])


def _leak_hostport(lab: Lab, node: LabNode) -> None:
    ends = _to_node(lab, node.test_pod.pod, lab.next_to(node))
    bypass(lab, node, f"meta l4proto {{ tcp, udp }} th dport {HOST_PORT}", ends=ends)


def _leak_north_south(lab: Lab, node: LabNode) -> None:
    peer = lab.next_to(node)
    ends = _to_node(lab, peer.test_pod.pod, node)
    bypass(lab, peer, f"meta l4proto {{ tcp, udp }} th sport {BY_OUTSIDE}", ends=ends)


def _other_way(lab: Lab, node: LabNode, condition: str, ends: Ends = (), *, back: bool = False) -> None:
    """Lead packets from a node to the next one, or back, over a link that nobody watches."""
    peer = lab.next_to(node)
    side_link(lab, node, peer)
    if back:
        over_the_side(lab, peer, node, 1, condition, ends)
    else:
        over_the_side(lab, node, peer, 2, condition, ends)


def _dns_aside(lab: Lab, node: LabNode) -> None:
    _other_way(lab, node, "", _to_dns(lab, node))


def _nodeport_aside(lab: Lab, node: LabNode) -> None:
    _other_way(lab, node, f"meta l4proto {{ tcp, udp }} th dport {BY_OWN}-{BY_THIRD}")


def _health_aside(lab: Lab, node: LabNode) -> None:
    _other_way(lab, node, "", _to_health(lab, node))


def _hostport_aside(lab: Lab, node: LabNode) -> None:
    ends = _to_node(lab, node.test_pod.pod, lab.next_to(node))
    _other_way(lab, node, f"meta l4proto {{ tcp, udp }} th dport {HOST_PORT}", ends)


def _north_south_aside(lab: Lab, node: LabNode) -> None:
    ends = _to_node(lab, lab.next_to(node).test_pod.pod, node)
    _other_way(lab, node, f"meta l4proto {{ tcp, udp }} th sport {BY_OUTSIDE}", ends, back=True)


def _declare(
    name: str,
    catcher: str,
    inject: Inject,
    description: str,
    shows: str,
    source: str,
    *,
    promised: Promised = "always",
) -> None:
    """Put a fault of one path into the catalogue.

    Args:
        name: The fault's name.
        catcher: The check that has to catch it.
        inject: What injects it.
        description: What is wrong.
        shows: What a cluster would show.
        source: Where it has happened, or can.
        promised: Where the path is promised.
    """
    area, _, what = catcher.partition(".")
    also: tuple[Consequence, ...] = (*ONE_PATH, f"{area}.*", Doubt("wire.custody"))
    if what == "custody":
        also = (*also, "wire.custody", "steering.other-ways")
    fault(
        name,
        description=description,
        shows=shows,
        source=source,
        catcher=catcher,
        also=also,
        leaks=BOTH if what == "no-cleartext" else (),
        names="pair",
        steering=None if promised == "always" else "redirect",
        node_encryption=promised == "with node encryption",
        extended=True,
    )(inject)


_Row = tuple[str, str, Inject, str, str, str]
_LOST: Sequence[_Row] = (
    ("dns-lost", "dns.delivered[tcp]", _dns_lost,
     "the node's test pod cannot reach DNS over TCP", "answers that are too long for UDP never come",
     "firewalls and policies that allow port 53 for UDP alone"),
    ("nodeport-lost", "nodeport.delivered[udp]", _nodeport_lost,
     "the next node's test pod gets nothing over UDP by NodePorts", "the ClusterIP answers, the NodePort does not",
     "cilium/cilium issue 32899: NodePorts of other nodes unreachable from pods"),
    ("hostport-lost", "hostport.delivered", _hostport_lost,
     "the next node does not lead its hostPort to the pod", "connections to the hostPort are refused",
     "hostPort without kube-proxy replacement, and without the plugin portmap"),
    ("health-lost", "health.delivered", _health_lost,
     "the next node's health endpoint does not answer", "cilium-health shows the node's endpoint as unreachable",
     "a health endpoint that did not come back after a restart of its agent"),
    ("north-south-lost", "north-south.delivered", _north_south_lost,
     "the node does not forward what comes from outside for the next node's test pod",
     "a load balancer marks the node as bad", "externalTrafficPolicy=Local, where it is not meant"),
)  # fmt: skip
_CLEAR: Sequence[tuple[_Row, Promised]] = (
    (("leak-questions", "dns.no-cleartext", _leak_dns,
      "what the node's test pod asks the cluster's DNS leaves in cleartext", "names that pods ask for can be read",
      "CVE-2024-28250 (GHSA-v6q2-4qr3-5cw6): what the DNS proxy sends in its name"), "always"),
    (("leak-nodeport", "nodeport.no-cleartext", _leak_nodeport,
      "what the node's test pod sends to NodePorts is not translated in the pod, but by the node that it reaches",
      "pod to pod is encrypted, the same by a NodePort is not",
      "bpf-lb-sock-hostns-only, which service meshes ask for: sockets of pods are not translated"), "by redirects"),
    (("leak-health", "health.no-cleartext", _leak_health,
      "answers of the next node's health endpoint to the node's test pod leave in cleartext",
      "requests are encrypted, answers are not", "CVE-2024-25630 (GHSA-7496-fgv9-xw82)"), "by redirects"),
    (("leak-hostport", "hostport.no-cleartext", _leak_hostport,
      "what the node's test pod sends to the next node's hostPort leaves in cleartext, despite node encryption",
      "other traffic of nodes is encrypted", "cilium/cilium issue 38226: pods to nodes"), "with node encryption"),
    (("leak-north-south", "north-south.no-cleartext", _leak_north_south,
      "answers to what the node forwards from outside come back in cleartext, despite node encryption",
      "requests are encrypted, answers are not",
      "cilium/cilium issues 33690 and 46864: answers of pods to other nodes"), "with node encryption"),
)  # fmt: skip
_ASIDE: Sequence[tuple[str, Callable[[Lab, LabNode], None], str, Promised]] = (
    ("dns", _dns_aside, "questions to the cluster's DNS", "always"),
    ("nodeport", _nodeport_aside, "packets to NodePorts", "by redirects"),
    ("health", _health_aside, "requests to the next node's health endpoint", "by redirects"),
    ("hostport", _hostport_aside, "packets to the next node's hostPort", "with node encryption"),
    ("north-south", _north_south_aside, "answers to what the node forwards from outside", "with node encryption"),
)

for _row in _LOST:
    _declare(*_row)
for _row, _promised in _CLEAR:
    _declare(*_row, promised=_promised)
for _name, _inject, _what, _promised in _ASIDE:
    _declare(
        f"{_name}-aside",
        f"{_name}.custody",
        _inject,
        f"{_what} take a way that no watch knows, in cleartext",
        "all delivered, nothing in cleartext on the native devices, everything else in the tunnel",
        SECOND_NETWORK,
        promised=_promised,
    )
