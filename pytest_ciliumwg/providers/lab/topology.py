"""The script that raises the lab's network: namespaces, the wire between the nodes, pods, addresses and routes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily
from pytest_ciliumwg.providers.lab.spec import UNDERLAY, LabNode, LabPod, LabSpec

# Written before any device exists, so that devices are born with them: no second of duplicate address detection, no
# router solicitations among the captured frames, forwarding on, and no reverse path filter of the host's inherited.
_SYSCTLS = """
set_to() { if [ -w "$2" ]; then echo "$1" >"$2"; fi; }
for conf in all default; do
    set_to 0 /proc/sys/net/ipv4/conf/$conf/rp_filter
    set_to 0 /proc/sys/net/ipv4/conf/$conf/send_redirects
    set_to "$1" /proc/sys/net/ipv4/conf/$conf/forwarding
    set_to 0 /proc/sys/net/ipv6/conf/$conf/accept_dad
    set_to 0 /proc/sys/net/ipv6/conf/$conf/dad_transmits
    set_to 0 /proc/sys/net/ipv6/conf/$conf/accept_ra
    set_to 0 /proc/sys/net/ipv6/conf/$conf/router_solicitations
    set_to "$1" /proc/sys/net/ipv6/conf/$conf/forwarding
    set_to "$2" /proc/sys/net/ipv6/conf/$conf/disable_ipv6
done
"""


OVERLAY, OVERLAY_PORT = "cilium_vxlan", 8472


def topology_script(spec: LabSpec, nodes: Sequence[LabNode], pod_mtu: int) -> str:
    """Everything of the lab but WireGuard.

    Args:
        spec: What the lab shall be.
        nodes: The plan of its nodes.
        pod_mtu: The MTU of the default route in pods.
    """
    pods = [pod for node in nodes for pod in node.pods]
    quiet = int(IPFamily.V6 not in spec.families)
    names = [node.name for node in nodes]
    return "\n".join(
        [
            ip_batch([f"netns add {name}" for name in [UNDERLAY, *names, *(pod.netns for pod in pods)]]),
            f"cat >/run/ciliumwg/sysctls <<'END'\n{_SYSCTLS}END",
            _sysctls([UNDERLAY], forwarding=0, disable_ipv6=1),
            _sysctls(names, forwarding=1, disable_ipv6=quiet),
            _sysctls([pod.netns for pod in pods], forwarding=0, disable_ipv6=quiet),
            ip_batch(_links(spec, nodes)),
            ip_batch(_underlay(spec, nodes), netns=UNDERLAY),
            *(ip_batch(_node(spec, nodes, node), netns=node.name) for node in nodes),
            *(_forwarding(spec, nodes, node) for node in nodes if spec.tunnel),
            *(ip_batch(_pod(spec, node, pod, pod_mtu), netns=pod.netns) for node in nodes for pod in node.pods),
            *_settle(spec, nodes),
        ]
    )


# The kernel notices within a second that a device has got its carrier, and until then a bridge forwards nothing and
# IPv6 addresses stay tentative. Since Linux 6.8 to ask for one device makes it look at once.
_WAIT = """
settled() {{
    if ip -n {underlay} -o link show type bridge_slave | grep -qv 'state UP'; then return 1; fi
    for ns in {names}; do if [ -n "$(ip -n $ns -6 -o addr show tentative)" ]; then return 1; fi; done
}}
tries=0
until settled; do
    tries=$((tries + 1))
    if [ $tries -gt 250 ]; then echo "the links between the nodes did not come up" >&2; exit 1; fi
    sleep 0.02
done
"""


def _settle(spec: LabSpec, nodes: Sequence[LabNode]) -> list[str]:
    looked_at = {UNDERLAY: [port_of(node, device) for node in nodes for device in spec.devices]}
    for node in nodes:
        looked_at[node.name] = [*spec.devices, "cilium_host", "cilium_net", *(pod.host_device for pod in node.pods)]
        looked_at.update({pod.netns: ["eth0"] for pod in node.pods})
    looks = [
        f">/dev/null {ip_batch([f'link show dev {device}' for device in devices], netns=netns)}"
        for netns, devices in looked_at.items()
    ]
    return [*looks, _WAIT.format(underlay=UNDERLAY, names=" ".join(looked_at))]


def ip_batch(commands: Iterable[str], *, netns: str | None = None, options: str = "") -> str:
    """Shell text that runs many `ip` commands in one process."""
    where = f"-n {netns} " if netns else ""
    return "\n".join([f"ip {where}{options}{' ' if options else ''}-batch - <<'END'", *commands, "END"])


def _sysctls(netns: Sequence[str], *, forwarding: int, disable_ipv6: int) -> str:
    names = " ".join(netns)
    return (
        f"for ns in {names}; do nsenter --net=/run/netns/$ns sh /run/ciliumwg/sysctls {forwarding} {disable_ipv6}; done"
    )


def _links(spec: LabSpec, nodes: Sequence[LabNode]) -> list[str]:
    commands = []
    for node in nodes:
        # One segment for one frame, as on a real wire: what is captured shall have the size of what is sent.
        commands += [
            f"link add {device} netns {node.name} mtu {spec.mtu} gso_max_segs 1 "
            f"type veth peer name {port_of(node, device)} netns {UNDERLAY} mtu {spec.mtu}"
            for device in spec.devices
        ]
        commands.append(f"link add cilium_host netns {node.name} type veth peer name cilium_net netns {node.name}")
        commands += [
            f"link add eth0 netns {pod.netns} address {pod.mac} mtu {spec.mtu} "
            f"type veth peer name {pod.host_device} netns {node.name} address {pod.host_mac} mtu {spec.mtu}"
            for pod in node.pods
        ]
    return commands


def port_of(node: LabNode, device: str) -> str:
    """The underlay's end of a node's native device."""
    return f"n{node.index}-{device}"


def _bridge(device: str) -> str:
    return f"br-{device}"


def _underlay(spec: LabSpec, nodes: Sequence[LabNode]) -> list[str]:
    commands = []
    for device in spec.devices:
        commands.append(f"link add name {_bridge(device)} mtu {spec.mtu} type bridge mcast_snooping 0")
        commands.append(f"link set {_bridge(device)} up")
        commands += [f"link set {port_of(node, device)} master {_bridge(device)} up" for node in nodes]
    return commands


def _node(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode) -> list[str]:
    commands = ["link set lo up", "link set cilium_net up", "link set cilium_host up"]
    for device, addresses in node.underlay:
        commands += [f"addr add {ip}/{16 if ip.version == 4 else 64} dev {device}{_nodad(ip)}" for ip in addresses]
        commands.append(f"link set {device} up")
    commands += [f"addr add {ip} dev cilium_host{_nodad(ip)}" for ip in node.cilium_addresses]
    for pod in node.pods:
        commands.append(f"link set {pod.host_device} up")
        for ip in pod.pod.addresses:
            commands.append(f"neigh add {ip} lladdr {pod.mac} dev {pod.host_device} nud permanent")
            commands.append(f"route add {ip} dev {pod.host_device}")
    return commands + (_overlay(spec, nodes, node) if spec.tunnel else _direct_routes(spec, nodes, node))


def _direct_routes(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode) -> list[str]:
    return [
        f"route add {peer.pod_cidr(family)} via {peer.device_address(spec.devices[0], family)}"
        for peer in nodes
        for family in sorted(spec.families, key=lambda family: family.value)
        if peer is not node
    ]


def _overlay(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode) -> list[str]:
    """Cilium's VXLAN device, which knows all its peers by heart: packets for their pods go into the tunnel."""
    local = node.device_address(spec.devices[0], IPFamily.V4)
    mac = _overlay_mac(node)
    commands = [
        f"link add {OVERLAY} address {mac} type vxlan id 2 local {local} dstport {OVERLAY_PORT} nolearning",
        f"link set {OVERLAY} up",
    ]
    for peer in nodes:
        if peer is not node:
            for family in sorted(spec.families, key=lambda family: family.value):
                gateway = peer.cilium_address(family)
                commands.append(f"neigh add {gateway} lladdr {_overlay_mac(peer)} dev {OVERLAY} nud permanent")
                commands.append(f"route add {gateway} dev {OVERLAY}")
                commands.append(f"route add {peer.pod_cidr(family)} via {gateway} dev {OVERLAY} onlink")
    return commands


def _forwarding(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode) -> str:
    """Shell text that tells the VXLAN device where each peer is."""
    entries = [
        f"fdb add {_overlay_mac(peer)} dev {OVERLAY} dst {peer.device_address(spec.devices[0], IPFamily.V4)}"
        for peer in nodes
        if peer is not node
    ]
    return "\n".join([f"bridge -n {node.name} -batch - <<'END'", *entries, "END"])


def _overlay_mac(node: LabNode) -> str:
    return f"02:00:00:{node.index:02x}:03:01"


def _pod(spec: LabSpec, node: LabNode, pod: LabPod, mtu: int) -> list[str]:
    commands = ["link set lo up"]
    commands += [f"addr add {ip} dev eth0{_nodad(ip)}" for ip in pod.pod.addresses]
    commands.append("link set eth0 up")
    for family in spec.families:
        gateway = node.cilium_address(family)
        # Cilium answers for the gateway in BPF; here a fixed neighbour does, so that pods never resolve anything.
        commands.append(f"neigh add {gateway} lladdr {pod.host_mac} dev eth0 nud permanent")
        commands.append(f"route add {gateway} dev eth0")
        commands.append(f"route add default via {gateway} dev eth0 mtu {mtu}")
    return commands


def _nodad(address: IPAddress) -> str:
    return " nodad" if address.version == 6 else ""
