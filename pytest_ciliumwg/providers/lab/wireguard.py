"""WireGuard in the lab: keys that never leave the sandbox, devices, peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily
from pytest_ciliumwg.model.node_state import Endpoint
from pytest_ciliumwg.providers.lab.spec import LabNode, LabSpec

ON = "/run/ciliumwg/on"
"""A script of the sandbox: `sh /run/ciliumwg/on NODE COMMAND…` runs a command in a node's namespaces."""

# Every device of the lab has the same name, so with wireguard-go every node needs its own /run/wireguard, where the
# device's control socket is.
_ON_KERNEL = 'node=$1; shift; exec nsenter --net=/run/netns/$node "$@"'
_ON_USERSPACE = (
    "node=$1; shift; exec nsenter --net=/run/netns/$node unshare --mount sh -c "
    "'mount --bind /run/ciliumwg/'$node'/wireguard /run/wireguard && exec \"$@\"' sh \"$@\""
)

_START_USERSPACE = """
for node in {nodes}; do
    LOG_LEVEL=error sh {on} $node wireguard-go -f {device} </dev/null >/run/ciliumwg/$node/wireguard.log 2>&1 &
done
for node in {nodes}; do
    tries=0
    until [ -S /run/ciliumwg/$node/wireguard/{device}.sock ]; do
        tries=$((tries + 1))
        if [ $tries -gt 2000 ]; then
            echo "wireguard-go did not start on $node: $(tail -n 1 /run/ciliumwg/$node/wireguard.log)" >&2; exit 1
        fi
        sleep 0.005
    done
    # wireguard-go's tun device would get a link-local address, which WireGuard's own never has.
    ip -n $node link set {device} addrgenmode none
done
"""


def devices_script(nodes: Sequence[LabNode], device: str, *, kernel: bool) -> str:
    """Make a key and a device on each node; prints `NODE PUBLIC-KEY` lines."""
    names = " ".join(node.name for node in nodes)
    start = (
        f"for node in {names}; do ip -n $node link add {device} type wireguard; done"
        if kernel
        else _START_USERSPACE.format(nodes=names, on=ON, device=device)
    )
    return f"""
cat >{ON} <<'END'
{_ON_KERNEL if kernel else _ON_USERSPACE}
END
for node in {names}; do
    mkdir -p /run/ciliumwg/$node/wireguard
    {new_key("$node")}
done
{start}
"""


def new_key(node: str) -> str:
    """Shell text that gives a node a new key pair and prints `NODE PUBLIC-KEY`; the private key stays in a file."""
    return (
        f'(umask 077; wg genkey >/run/ciliumwg/{node}/wg.key); echo "{node} $(wg pubkey </run/ciliumwg/{node}/wg.key)"'
    )


def read_keys(output: str) -> dict[str, str]:
    """The public keys that `new_key` printed, by node."""
    return {words[0]: words[1] for line in output.splitlines() if len(words := line.split()) == 2}


def configure_script(
    spec: LabSpec, nodes: Sequence[LabNode], keys: Mapping[str, str], expected: Expectations, *, only: str | None = None
) -> str:
    """Give the devices of all nodes, or of one, their key, port, mark, peers and MTU, and set them up.

    Args:
        spec: What the lab shall be.
        nodes: All nodes.
        keys: The public key of every node.
        expected: What the imitated version does.
        only: The one node to configure.
    """
    device, mtu = expected.device_name, expected.device_mtus(spec.mtu).high
    mark = max(expected.fwmarks or {0})
    lines = []
    for node in nodes:
        if only in (None, node.name):
            peers = [peer_arguments(peer, keys[peer.name], expected) for peer in nodes if peer is not node]
            lines.append(
                f"sh {ON} {node.name} wg set {device} private-key {node.directory}/wg.key "
                f"listen-port {expected.listen_port} fwmark {mark:#x} {' '.join(peers)}"
            )
            lines.append(f"ip -n {node.name} link set {device} mtu {mtu} up")
    return "\n".join(lines)


def peer_arguments(peer: LabNode, key: str, expected: Expectations) -> str:
    """The words of `wg set` that add a node as a peer."""
    ips = ",".join(str(ip_network(ip)) for ip in allowed_ips(peer, expected))
    return f"peer {key} endpoint {endpoint(peer, expected)} allowed-ips {ips}"


def endpoint(node: LabNode, expected: Expectations) -> Endpoint:
    """Where a node's WireGuard listens: its IPv4 address where it has one."""
    families = {IPFamily.of(ip): ip for ip in reversed(node.addresses)}
    address = families.get(IPFamily.V4) or families[IPFamily.V6]
    return Endpoint(address=address, port=expected.listen_port)


def allowed_ips(node: LabNode, expected: Expectations) -> tuple[IPAddress, ...]:
    """The addresses that a node's peers accept from it and send to it."""
    pods = tuple(ip for pod in node.pods for ip in pod.pod.addresses) + node.cilium_addresses
    own = node.addresses if expected.node_addresses() == "required" else ()
    return (pods if expected.pods_in_allowed_ips else ()) + own
