"""How causes are said in a headline, and what to look at next, by check."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_ciliumwg.diagnosis.symptoms import Kind

IN_SHORT: Mapping[str, str] = {
    "config.encryption": "WireGuard encryption is not enabled",
    "config.node-encryption": "node encryption does not hold as declared",
    "config.nodes": "there is a node that may run pods, or a pod, without Cilium",
    "config.version": "another version of Cilium runs than was declared",
    "config.declared": "Cilium is not configured as declared",
    "device.present": "the device cilium_wg0 is missing",
    "device.kind": "cilium_wg0 is no WireGuard device",
    "device.up": "cilium_wg0 is down",
    "device.mtu": "cilium_wg0 has a wrong MTU",
    "device.fwmark": "WireGuard's own packets carry a wrong mark",
    "device.listen-port": "WireGuard listens on a wrong port",
    "device.noarp": "cilium_wg0 does ARP",
    "device.no-address": "cilium_wg0 has an address",
    "device.rp-filter": "the kernel's reverse path filter drops decrypted packets",
    "steering.rule": "the ip rule that leads packets to WireGuard is missing or wrong",
    "steering.table": "routing table 201 does not lead into cilium_wg0",
    "steering.redirect": "no program redirects packets into cilium_wg0",
    "steering.main-table": "a route leads packets past cilium_wg0",
    "steering.other-ways": "another route leads to pods of other nodes",
    "steering.no-loop": "encrypted packets are led into cilium_wg0 again",
    "peers.published": "a node publishes no WireGuard key",
    "peers.own-key": "a node publishes another key than its device has",
    "peers.unique-published": "two nodes publish the same key",
    "peers.weak-keys": "a private key is known or shared",
    "peers.count": "WireGuard's peers are not the other nodes",
    "peers.keys": "a peer has a key that no node publishes",
    "peers.no-dummy": "a peer with an all-zero key stays",
    "peers.not-self": "the node is its own peer",
    "peers.unique-endpoints": "two peers have one endpoint",
    "peers.endpoint": "a peer's endpoint is not that of its node",
    "allowed-ips.pods": "a peer's allowed IPs lack pods",
    "allowed-ips.nodes": "node addresses are missing among a peer's allowed IPs",
    "allowed-ips.disjoint": "two peers claim the same addresses",
    "allowed-ips.not-own": "the node's own addresses are bound to a peer",
    "allowed-ips.foreign": "a peer's allowed IPs hold what is not its node's",
    "allowed-ips.known": "a peer's allowed IPs hold addresses that nobody has",
    "capture.policies": "a network policy drops the test pods' traffic",
    "state.steady": "the state changed while the flows ran",
    "handshake.fresh": "a WireGuard session is too old",
    "paths.hosts": "traffic of the nodes' own networks is not encrypted as promised",
    "paths.service": "traffic to the ClusterIP of a Service is not encrypted",
    "size.route-mtu": "the routes in pods have a wrong MTU",
    "size.outer-unfragmented": "WireGuard's own packets are fragmented",
    "wire.nothing-else": "frames of ours are in cleartext that belong to no known flow",
    "wire.other-pods": "traffic of other pods is in cleartext",
    "wire.tunnelled": "WireGuard's packets are not on the native devices",
    "wire.outer-addresses": "WireGuard's packets run between addresses of no node",
    "wire.framing": "what uses WireGuard's port is not WireGuard",
    "wire.ciphertext": "WireGuard's messages do not look encrypted",
    "wire.counters": "a peer's counters did not grow by what was sent",
    "change.custody": "traffic went past the tunnel during the change",
    "change.other-pods": "traffic of other pods is in cleartext",
    "change.loss": "traffic was lost for longer than the change may take",
    "change.settled": "the cluster did not settle after the change",
    "change.restored": "the cluster is not as it was before the change",
}
"""Check → what is so when it fails, in few words."""

_LOOK_AT_TRAFFIC = "the frames (--ciliumwg-report=DIR writes them), then `ip route get` and `bpftool net show` there"
_AGENT = "kubectl exec -n kube-system {pod} --"
_LOOK: Mapping[str, str] = {
    "config": "cilium config view | grep -E 'wireguard|encrypt'",
    "config.nodes": "kubectl get nodes,ciliumnodes; kubectl get pods,ciliumendpoints -A; what shall not be covered "
    "--ciliumwg-node-selector leaves out",
    "device": f"{_AGENT} ip -d link show cilium_wg0",
    "steering.rule": f"{_AGENT} sh -c 'ip rule; ip -6 rule; ip route show table 201'",
    "steering.table": f"{_AGENT} ip route show table 201",
    "steering.redirect": f"{_AGENT} bpftool net show",
    "steering": f"{_AGENT} ip route show table all",
    "peers": f"{_AGENT} cilium-dbg encrypt status; kubectl get ciliumnodes -o yaml | grep wg-pub-key",
    "allowed-ips": f"{_AGENT} cilium-dbg debuginfo | grep -A9 -i wireguard; kubectl get ciliumendpoints -A -o wide",
    "state": "kubectl -n kube-system get events; kubectl -n kube-system logs {pod} --since=10m",
    "size.route-mtu": "ip route in a pod, and ip link on its node: which MTU has each hop?",
    "size": "ip route in a pod and ip link on its node: which MTU has each hop; does the network carry fragments?",
    "wire.other-pods": "`ip route get` to the pod and `bpftool net show` on the node that sends",
    "wire": _LOOK_AT_TRAFFIC,
    "change": "kubectl -n kube-system logs {pod} --since=10m; the timeline in report.html (--ciliumwg-report=DIR)",
    "capture.policies": "cilium-dbg monitor --type drop; kubectl get networkpolicies,ciliumnetworkpolicies -A",
    "capture": "docs/limits.md says what a watch needs; where the machine was busy, run again when it is not",
}
_LOOK_AT_LOSS = "cilium-dbg monitor --type drop on both nodes; does the network carry UDP 51871 between them?"


def in_short(check: str, said: str) -> str:
    """A check's failure in few words; what it says itself where there are none."""
    return IN_SHORT.get(check, said)


def look_at(check: str) -> str:
    """What to look at next where a check explains what is wrong; empty where nothing is known to help."""
    found = _LOOK.get(check) or _LOOK.get(check.partition(".")[0], "")
    return found.format(pod="CILIUM-POD")


def look_at_traffic(kind: Kind) -> str:
    """What to look at next where nothing explains what traffic does."""
    return _LOOK_AT_TRAFFIC if kind in ("cleartext", "bypass") else _LOOK_AT_LOSS
