"""What the profile extended needs of a cluster, as the API shows what a lab for that profile has."""

from __future__ import annotations

from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.services import TABLE, behind, dns_addresses, node_ports
from pytest_ciliumwg.providers.lab.steering import nft_family
from tests.apidouble import shapes
from tests.apidouble.store import Object


def node_port(lab: Lab, node: str, port: int, protocol: str) -> int:
    """The NodePort that the lab leads to a port of a node's test pod, if it is one for the profile extended."""
    known = node_ports(lab.layout)[lab.node(node).test_pod.pod.key]
    return known.get((port, Protocol(protocol.lower())), 32000 + lab.node(node).index)


def serve_host_ports(lab: Lab, pod: Object, netns: str) -> None:
    """Lead the hostPorts of a test pod to it."""
    node = lab.node(pod["spec"]["nodeName"])
    rules = [
        f"add rule inet {TABLE} prerouting {nft_family(family)} daddr {node.device_address('eth0', family)} "
        f"{port['protocol'].lower()} dport {port['hostPort']} dnat {nft_family(family)} "
        f"to {behind(node.test_pod, family, port['containerPort'])}"
        for port in pod["spec"]["containers"][0].get("ports") or ()
        for family in lab.families
        if netns == node.test_pod.netns and lab.spec.extended
    ]
    if rules:
        lab.run_in(node, f"nft '{'; '.join(rules)}'")


def dns_objects(lab: Lab) -> list[tuple[str, Object]]:
    """The cluster's DNS, in a lab that has one."""
    found: list[tuple[str, Object]] = []
    for node in lab.layout:
        if node.dns is not None:
            pod, ips = node.dns.pod, [str(ip) for ip in dns_addresses(lab.spec)]
            found.append(("ciliumendpoints", shapes.cilium_endpoint(pod, node.addresses[0])))
            found.append(("services", shapes.dns_service(ips)))
            found += [("endpointslices", shapes.dns_slice(str(ip), node.name)) for ip in pod.addresses]
    return found
