"""What the profile extended needs of a lab: NodePorts, hostPorts and DNS.

Where the imitated Cilium replaces kube-proxy, pods' own packets are translated in the pod, as Cilium translates
sockets; what comes from elsewhere is translated by the node that it reaches, which sends it on in its own name, as
kube-proxy does with all of it. The DNS server is a small program that knows no name.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, sorted_families
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.providers.lab.spec import LabNode, LabPod, LabSpec
from pytest_ciliumwg.providers.lab.steering import nft_family
from pytest_ciliumwg.providers.targets import BEHIND_HOST_PORT, BEHIND_NODE_PORTS, DNS_PORT, MOST_SERVERS

TABLE = "cilium_lab_services"
"""The nftables table, of nodes and of pods, that translates."""
HOST_PORT = 20080
DOMAIN = "cluster.local"
DNS_ADDRESSES: dict[IPFamily, IPv4Address | IPv6Address] = {
    IPFamily.V4: IPv4Address("10.96.0.10"),
    IPFamily.V6: IPv6Address("fd00:10:96::a"),
}
_FIRST_NODE_PORT = 30000
_MASQUERADED = 0x4000
"""The mark of what is sent on in the node's own name: kube-proxy's."""
_TRANSPORTS = {Protocol.TCP: "tcp", Protocol.UDP: "udp"}

# Answers every question with the question itself and "no such name", as its question is at most one of ours.
DNS_SERVER = """
import selectors, socket, sys
ready, *addresses = sys.argv[1:]
selector = selectors.DefaultSelector()
def answer(query):
    return query[:2] + bytes([0x84, 0x03]) + query[4:6] + bytes(6) + query[12:]
def datagram(sock):
    query, sender = sock.recvfrom(4096)
    sock.sendto(answer(query), sender)
def accept(listener):
    sock, _ = listener.accept()
    sock.settimeout(5)
    received = bytearray()
    selector.register(sock, selectors.EVENT_READ, lambda sock: stream(sock, received))
def stream(sock, received):
    data = sock.recv(65536)
    received += data
    if not data:
        selector.unregister(sock)
        sock.close()
    while len(received) > 2 and len(received) >= 2 + int.from_bytes(received[:2], "big"):
        size = int.from_bytes(received[:2], "big")
        sock.sendall(received[:2] + answer(bytes(received[2:2 + size])))
        del received[:2 + size]
for address in addresses:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind, handle in ((socket.SOCK_DGRAM, datagram), (socket.SOCK_STREAM, accept)):
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, 53))
        if kind == socket.SOCK_STREAM:
            sock.listen(64)
        selector.register(sock, selectors.EVENT_READ, handle)
open(ready, "w").close()
while True:
    for key, _ in selector.select():
        try:
            key.data(key.fileobj)
        except OSError:
            pass  # a client that is gone
"""
_START = """
mkdir -p {folder}
cat >{script} <<'END-OF-PROGRAM'
{source}END-OF-PROGRAM
nsenter --net=/run/netns/{pod} {python} -I -S {script} {script}.ready {addresses} </dev/null >{script}.log 2>&1 &
tries=0
until [ -e {script}.ready ]; do
    tries=$((tries + 1))
    if [ $tries -gt 2000 ]; then echo "DNS did not start: $(tail -n 1 {script}.log)" >&2; exit 1; fi
    sleep 0.005
done
"""


def node_ports(nodes: Sequence[LabNode]) -> Mapping[str, Mapping[tuple[int, Protocol], int]]:
    """The NodePorts that lead to each test pod, by its key, and its ports."""
    each = len(BEHIND_NODE_PORTS)
    return {
        node.test_pod.pod.key: {
            (port, protocol): _FIRST_NODE_PORT + node.index * each + at
            for at, port in enumerate(BEHIND_NODE_PORTS)
            for protocol in _TRANSPORTS
        }
        for node in nodes
        if node.index < MOST_SERVERS
    }


def services_script(spec: LabSpec, nodes: Sequence[LabNode]) -> str:
    """Translate on all nodes and in all test pods, and start DNS; runs in the sandbox."""
    parts = [_nft(node.name, _of_node(spec, nodes, node)) for node in nodes]
    parts += [_nft(node.test_pod.netns, _of_pod(spec, nodes)) for node in nodes]
    parts += [_dns_script(pod) for pod in _dns_pods(nodes)]
    return "\n".join(parts)


def dns_addresses(spec: LabSpec) -> tuple[IPAddress, ...]:
    """The ClusterIPs of DNS."""
    return tuple(DNS_ADDRESSES[family] for family in sorted_families(spec.families))


def _nft(netns: str, rules: Iterable[str]) -> str:
    lines = ["nft -f - <<'END'", f"table inet {TABLE} {{", *rules, "}", "END"]
    body = "\n".join(lines)
    return f"nsenter --net=/run/netns/{netns} sh -es <<'END-OF-PLACE'\n{body}\nEND-OF-PLACE"


def _of_node(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode) -> Iterator[str]:
    yield "chain prerouting {"
    yield "type nat hook prerouting priority dstnat;"
    for family in sorted_families(spec.families):
        own, name = node.device_address(spec.devices[0], family), nft_family(family)
        for transport in _TRANSPORTS.values():
            to = behind(node.test_pod, family, BEHIND_HOST_PORT)
            yield f"{name} daddr {own} {transport} dport {HOST_PORT} dnat {name} to {to}"
        for match, to in _node_ports(nodes, family):
            yield f"{name} daddr {own} {match} meta mark set meta mark | {_MASQUERADED:#x} dnat {name} to {to}"
    yield "}"
    yield "chain postrouting {"
    yield "type nat hook postrouting priority srcnat;"
    for family in sorted_families(spec.families):
        # Cilium sends it on by its tunnel, and so in the name of the node's address there, that answers come back so.
        by_tunnel, name = spec.tunnel and spec.kube_proxy_replacement, nft_family(family)
        own = node.cilium_address(family) if by_tunnel else node.device_address(spec.devices[0], family)
        # A tunnel's packet has the mark of what is in it, and is not what was translated.
        translated = f"ct status dnat meta mark & {_MASQUERADED:#x} != 0"
        yield f"meta nfproto ipv{family.value[1]} {translated} snat {name} to {own}"
    yield "}"


def _of_pod(spec: LabSpec, nodes: Sequence[LabNode]) -> Iterator[str]:
    yield "chain output {"
    yield "type nat hook output priority -100;"
    for family in sorted_families(spec.families):
        name = nft_family(family)
        for pod in _dns_pods(nodes):
            to, service = behind(pod, family, DNS_PORT), DNS_ADDRESSES[family]
            for transport in _TRANSPORTS.values():
                yield f"{name} daddr {service} {transport} dport {DNS_PORT} dnat {name} to {to}"
        if spec.kube_proxy_replacement:
            all_nodes = ", ".join(str(node.device_address(spec.devices[0], family)) for node in nodes)
            for match, to in _node_ports(nodes, family):
                yield f"{name} daddr {{ {all_nodes} }} {match} dnat {name} to {to}"
    yield "}"


def _node_ports(nodes: Sequence[LabNode], family: IPFamily) -> Iterator[tuple[str, str]]:
    """What matches a packet to a NodePort, and where it goes."""
    ports = node_ports(nodes)
    for node in nodes:
        for (port, protocol), node_port in ports.get(node.test_pod.pod.key, {}).items():
            yield f"{_TRANSPORTS[protocol]} dport {node_port}", behind(node.test_pod, family, port)


def behind(pod: LabPod, family: IPFamily, port: int) -> str:
    """A port of a pod, as nftables writes it."""
    address = pod.pod.address(family)
    return f"[{address}]:{port}" if family is IPFamily.V6 else f"{address}:{port}"


def _dns_pods(nodes: Sequence[LabNode]) -> list[LabPod]:
    return [node.dns for node in nodes if node.dns is not None]


def _dns_script(pod: LabPod) -> str:
    folder = f"/run/ciliumwg/{pod.netns}"
    return _START.format(
        folder=folder,
        script=f"{folder}/dns.py",
        source=DNS_SERVER,
        pod=pod.netns,
        python=shlex.quote(sys.executable or "python3"),
        addresses=" ".join(map(str, pod.pod.addresses)),
    )
