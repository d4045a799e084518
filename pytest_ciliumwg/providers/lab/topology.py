"""The script that raises the lab's network: namespaces, the wire between the nodes, pods, addresses and routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, sorted_families
from pytest_ciliumwg.providers.lab.ip_underlay import ip_underlay_script
from pytest_ciliumwg.providers.lab.overlay import overlay_commands, overlay_device, overlay_mac, overlay_script
from pytest_ciliumwg.providers.lab.spec import UNDERLAY, LabNode, LabPod, LabSpec, outside_addresses
from pytest_ciliumwg.providers.targets import OUTSIDE

OUTSIDE_PORT = "n-outside"
"""The underlay's end of the link of the machine outside of the cluster."""

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


def topology_script(spec: LabSpec, nodes: Sequence[LabNode], pod_mtu: int) -> str:
    """Everything of the lab but WireGuard.

    Args:
        spec: What the lab shall be.
        nodes: The plan of its nodes.
        pod_mtu: The MTU of the default route in pods.
    """
    pods = [pod for node in nodes for pod in node.endpoints]
    quiet = int(IPFamily.V6 not in spec.families)
    names = [node.name for node in nodes]
    outside = [OUTSIDE] if spec.extended else []
    return "\n".join(
        [
            ip_batch([f"netns add {name}" for name in [UNDERLAY, *outside, *names, *(pod.netns for pod in pods)]]),
            f"cat >/run/ciliumwg/sysctls <<'END'\n{_SYSCTLS}END",
            _sysctls([UNDERLAY], forwarding=0, disable_ipv6=1),
            _sysctls(names, forwarding=1, disable_ipv6=quiet),
            _sysctls([*outside, *(pod.netns for pod in pods)], forwarding=0, disable_ipv6=quiet),
            ip_batch(_links(spec, nodes)),
            ip_underlay_script(spec, nodes) if spec.ip_underlay else ip_batch(_underlay(spec, nodes), netns=UNDERLAY),
            *(ip_batch(_outside(spec), netns=name) for name in outside),
            *(ip_batch(_node(spec, nodes, node), netns=node.name) for node in nodes),
            *(overlay_script(spec, nodes, node) for node in nodes if spec.tunnel),
            *(ip_batch(_pod(spec, node, pod, pod_mtu), netns=pod.netns) for node in nodes for pod in node.endpoints),
            *_settle(spec, nodes),
        ]
    )


# The kernel notices within a second that a device has got its carrier, and until then a bridge forwards nothing and
# IPv6 addresses stay tentative. Since Linux 6.8 to ask for one device makes it look at once.
_WAIT = """
settled() {{
    {looks}
    if ip -n {underlay} -o link show type bridge_slave | grep ' {ports}-' | grep -qv 'state UP'; then return 1; fi
}}
tries=0
until settled; do
    tries=$((tries + 1))
    if [ $tries -gt 250 ]; then echo "the links between the nodes did not come up" >&2; exit 1; fi
    sleep 0.02
done
"""
_LOOK = """
    shown=$({batch}
    ) || exit 1
    case $shown in *tentative*) return 1;; esac"""


def _settle(spec: LabSpec, nodes: Sequence[LabNode]) -> list[str]:
    looked_at = {UNDERLAY: [port for node in nodes for port in _ports(spec, node)]}
    if spec.extended:
        looked_at[UNDERLAY].append(OUTSIDE_PORT)
        looked_at[OUTSIDE] = ["eth0"]
    for node in nodes:
        looked_at[node.name] = [
            *spec.devices,
            "cilium_host",
            "cilium_net",
            *(pod.host_device for pod in node.endpoints),
        ]
        looked_at.update({pod.netns: ["eth0"] for pod in node.endpoints})
    return [_wait(looked_at, "n[0-9]*")]


def _wait(devices: Mapping[str, Iterable[str]], ports: str) -> str:
    """Shell text that looks at devices, by network namespace, until nothing there is tentative and the ports are up."""
    looks = [
        _LOOK.format(batch=ip_batch([*_shows(names), "addr show tentative"], netns=netns))
        for netns, names in devices.items()
    ]
    return _WAIT.format(looks="".join(looks), underlay=UNDERLAY, ports=ports)


def _shows(devices: Iterable[str]) -> list[str]:
    return [f"link show dev {device}" for device in devices]


def _looks(devices: Mapping[str, Iterable[str]]) -> list[str]:
    """Shell text that looks at devices, by network namespace."""
    return [f">/dev/null {ip_batch(_shows(names), netns=netns)}" for netns, names in devices.items()]


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
        natives = () if spec.ip_underlay else spec.devices
        commands += [
            f"link add {device} netns {node.name} address {_mac(spec, node, device)} mtu {spec.mtu} gso_max_segs 1 "
            f"type veth peer name {port_of(node, device)} netns {UNDERLAY} mtu {spec.mtu}"
            for device in natives
        ]
        commands.append(f"link add cilium_host netns {node.name} type veth peer name cilium_net netns {node.name}")
        commands += [_pod_link(spec, node, pod) for pod in node.endpoints]
    if spec.extended:
        commands.append(
            f"link add eth0 netns {OUTSIDE} mtu {spec.mtu} gso_max_segs 1 "
            f"type veth peer name {OUTSIDE_PORT} netns {UNDERLAY} mtu {spec.mtu}"
        )
    return commands


def _outside(spec: LabSpec) -> list[str]:
    """The machine outside of the cluster."""
    return [
        "link set lo up",
        *(f"addr add {ip}/{16 if ip.version == 4 else 64} dev eth0{_nodad(ip)}" for ip in outside_addresses(spec)),
        "link set eth0 up",
    ]


def _pod_link(spec: LabSpec, node: LabNode, pod: LabPod) -> str:
    return (
        f"link add eth0 netns {pod.netns} address {pod.mac} mtu {spec.mtu} "
        f"type veth peer name {pod.host_device} netns {node.name} address {pod.host_mac} mtu {spec.mtu}"
    )


def port_of(node: LabNode, device: str) -> str:
    """The underlay's end of a node's native device."""
    return f"n{node.index}-{device}"


def _ports(spec: LabSpec, node: LabNode) -> list[str]:
    return [] if spec.ip_underlay else [port_of(node, device) for device in spec.devices]


def _mac(spec: LabSpec, node: LabNode, device: str) -> str:
    return f"02:00:00:{node.index:02x}:ff:{spec.devices.index(device):02x}"


def _bridge(device: str) -> str:
    return f"br-{device}"


def _underlay(spec: LabSpec, nodes: Sequence[LabNode]) -> list[str]:
    commands = []
    for device in spec.devices:
        commands.append(f"link add name {_bridge(device)} mtu {spec.mtu} type bridge mcast_snooping 0")
        commands.append(f"link set {_bridge(device)} up")
        commands += [f"link set {port_of(node, device)} master {_bridge(device)} up" for node in nodes]
    if spec.extended:
        commands.append(f"link set {OUTSIDE_PORT} master {_bridge(spec.devices[0])} up")
    return commands


def _node(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode) -> list[str]:
    commands = ["link set lo up", "link set cilium_net up", "link set cilium_host up"]
    commands += _natives(node)
    commands += [f"addr add {ip} dev cilium_host{_nodad(ip)}" for ip in node.cilium_addresses]
    # Cilium drops what is for a pod that is gone; an ICMP error of the node would carry the pod's payload in cleartext.
    commands += [f"route replace blackhole {cidr}" for cidr in node.pod_cidrs]
    for pod in node.endpoints:
        commands += _to_pod(pod)
    if spec.tunnel:
        commands += overlay_commands(spec, node)
    return commands + _to_peers(spec, nodes, node)


def _natives(node: LabNode) -> list[str]:
    commands = []
    for device, addresses in node.underlay:
        commands += [f"addr replace {ip}/{16 if ip.version == 4 else 64} dev {device}{_nodad(ip)}" for ip in addresses]
        commands.append(f"link set {device} up")
    return commands


def _to_pod(pod: LabPod) -> list[str]:
    commands = [f"link set {pod.host_device} up"]
    for ip in pod.pod.addresses:
        commands.append(f"neigh replace {ip} lladdr {pod.mac} dev {pod.host_device} nud permanent")
        commands.append(f"route replace {ip} dev {pod.host_device}")
    return commands


def _to_peers(spec: LabSpec, peers: Iterable[LabNode], node: LabNode) -> list[str]:
    """The other nodes' Ethernet addresses, the routes to their pods, and in a tunnel the addresses behind it.

    Neighbours are permanent: what is resolved counts in one table of the host, which 33 nodes would overflow.
    """
    commands, first = [], spec.devices[0]
    for peer in peers:
        for family in sorted_families(spec.families):
            if peer.name == node.name:
                continue
            gateway = peer.device_address(first, family)
            if not spec.ip_underlay:
                commands.append(f"neigh replace {gateway} lladdr {_mac(spec, peer, first)} dev {first} nud permanent")
            if not spec.tunnel:
                commands.append(f"route replace {peer.pod_cidr(family)} via {gateway}")
                continue
            inside, overlay = peer.cilium_address(family), overlay_device(spec)
            commands.append(f"neigh replace {inside} lladdr {overlay_mac(peer)} dev {overlay} nud permanent")
            commands.append(f"route replace {inside} dev {overlay}")
            commands.append(f"route replace {peer.pod_cidr(family)} via {inside} dev {overlay} onlink")
    return commands


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


def pod_script(spec: LabSpec, node: LabNode, pod: LabPod, mtu: int) -> str:
    """One more pod on a node, with all that belongs to it there; runs in the sandbox."""
    quiet = int(IPFamily.V6 not in spec.families)
    return "\n".join(
        [
            f"ip netns add {pod.netns}",
            _sysctls([pod.netns], forwarding=0, disable_ipv6=quiet),
            f"ip {_pod_link(spec, node, pod)}",
            ip_batch(_to_pod(pod), netns=node.name),
            ip_batch(_pod(spec, node, pod, mtu), netns=pod.netns),
            *_looks({node.name: [pod.host_device], pod.netns: ["eth0"]}),
        ]
    )


def no_pod_script(node: LabNode, pod: LabPod) -> str:
    """Remove a pod from its node, as far as it is there; runs in the sandbox."""
    return "\n".join(
        [
            f"ip -n {node.name} link del {pod.host_device} 2>/dev/null || :",
            f"if [ -e /run/netns/{pod.netns} ]; then ip netns del {pod.netns}; fi",
            f"rm -rf /run/ciliumwg/{pod.netns}",
        ]
    )


def pod_mtu_script(spec: LabSpec, node: LabNode, mtu: int) -> str:
    """The default routes of a pod with another MTU; runs in the pod."""
    return "\n".join(
        f"ip route change default via {node.cilium_address(family)} dev eth0 mtu {mtu}" for family in spec.families
    )


def up_script(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode) -> str:
    """Set a node's native devices up, with the addresses and routes that went with them; runs in the sandbox."""
    return "\n".join(
        [
            ip_batch([*_natives(node), *_to_peers(spec, nodes, node)], netns=node.name),
            _wait(
                {UNDERLAY: _ports(spec, node), node.name: spec.devices},
                f"n{node.index}",
            ),
        ]
    )


def down_script(spec: LabSpec) -> str:
    """Set the native devices down; runs on the node."""
    return "\n".join(f"ip link set {device} down" for device in spec.devices)


def route_script(spec: LabSpec, peers: Iterable[LabNode], node: LabNode) -> str:
    """A node's routes to the pods of these others; runs on the node."""
    return ip_batch(_to_peers(spec, peers, node))


def no_route_script(spec: LabSpec, peer: LabNode) -> str:
    """Remove the routes to another node's pods; runs on any node."""
    return "\n".join(f"ip route del {peer.pod_cidr(family)} 2>/dev/null || :" for family in spec.families)
