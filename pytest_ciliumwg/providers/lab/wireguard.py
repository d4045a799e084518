"""WireGuard in the lab: keys that never leave the sandbox, devices, peers."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily
from pytest_ciliumwg.model.node_state import Endpoint
from pytest_ciliumwg.providers.lab.spec import LabNode, LabSpec

ON = "/run/ciliumwg/on"
"""A script of the sandbox: `sh /run/ciliumwg/on NODE COMMAND…` runs a command in a node's namespaces."""

# Every device of the lab has the same name, so with wireguard-go every node needs its own /run/wireguard, where the
# device's control socket is: a process holds the mounts of each node, with all that the sandbox mounts later.
_ON_KERNEL = 'node=$1; shift; exec nsenter --net=/run/netns/$node "$@"'
_ON_USERSPACE = (
    "node=$1; shift; read -r pid </run/ciliumwg/$node/mounts.pid; "
    'exec nsenter --net=/run/netns/$node --target=$pid --mount --root "$@"'
)
# The holder tells its process id as this /proc numbers it, which may be the outer one.
_HOLD_MOUNTS = """
mount --make-rshared /
for node in {nodes}; do
    pid=$(unshare --mount --propagation slave sh -ec '
        mount --bind /run/ciliumwg/$0/wireguard /run/wireguard
        read -r pid rest </proc/self/stat
        echo $pid
        exec sleep infinity </dev/null >/dev/null 2>&1
    ' $node &)
    echo ${{pid:?no mounts for $node}} >/run/ciliumwg/$node/mounts.pid
done
"""

# With several threads it takes three times the processor time, to wake one of them for every packet.
_START_USERSPACE = """
export LOG_LEVEL=error GOMAXPROCS=1
sh {on} {node} wireguard-go -f {device} </dev/null >/run/ciliumwg/{node}/wireguard.log 2>&1 &
echo $! >/run/ciliumwg/{node}/wireguard.pid
"""
_AWAIT_USERSPACE = """
tries=0
until [ -S /run/ciliumwg/{node}/wireguard/{device}.sock ]; do
    tries=$((tries + 1))
    if [ $tries -gt 2000 ]; then
        echo "wireguard-go did not start on {node}: $(tail -n 1 /run/ciliumwg/{node}/wireguard.log)" >&2; exit 1
    fi
    sleep 0.01
done
# wireguard-go's tun device would get a link-local address, which WireGuard's own never has.
ip -n {node} link set {device} addrgenmode none
"""

# Kill it at once: the device ends with its process, and it has no state worth saving.
_STOP_USERSPACE = """
if [ -e /run/ciliumwg/{node}/wireguard.pid ]; then
    kill -KILL $(cat /run/ciliumwg/{node}/wireguard.pid) 2>/dev/null || :
    rm -f /run/ciliumwg/{node}/wireguard.pid /run/ciliumwg/{node}/wireguard/{device}.sock
fi
while ip -n {node} link show dev {device} >/dev/null 2>&1; do sleep 0.002; done
"""


def install_script(nodes: Sequence[LabNode], *, kernel: bool) -> str:
    """Make what all other scripts need: the way into a node, and a directory for each."""
    return f"""
cat >{ON} <<'END'
{_ON_KERNEL if kernel else _ON_USERSPACE}
END
mkdir -p {" ".join(f"{node.directory}/wireguard" for node in nodes)}
{"" if kernel else _HOLD_MOUNTS.format(nodes=" ".join(node.name for node in nodes))}
"""


def start_script(nodes: Sequence[LabNode], device: str, *, kernel: bool) -> str:
    """Make the devices of nodes, in place of those that may be there; runs in the sandbox, not on the nodes."""
    stops = [stop_script(node, device, kernel=kernel) for node in nodes]
    if kernel:
        return "\n".join([*stops, *(f"ip -n {node.name} link add {device} type wireguard" for node in nodes)])
    starts = [_START_USERSPACE.format(node=node.name, on=ON, device=device) for node in nodes]
    return "\n".join([*stops, *starts, *(_AWAIT_USERSPACE.format(node=node.name, device=device) for node in nodes)])


def stop_script(node: LabNode, device: str, *, kernel: bool) -> str:
    """Take a node's device away; runs in the sandbox, not on the node."""
    if kernel:
        return f"ip -n {node.name} link del {device} 2>/dev/null || :"
    return _STOP_USERSPACE.format(node=node.name, device=device)


def new_key(node: str) -> str:
    """Shell text that gives a node a new key pair and prints `NODE PUBLIC-KEY`; the private key stays in a file."""
    return (
        f'(umask 077; wg genkey >/run/ciliumwg/{node}/wg.key); echo "{node} $(wg pubkey </run/ciliumwg/{node}/wg.key)"'
    )


def read_keys(output: str) -> dict[str, str]:
    """The public keys that `new_key` printed, by node."""
    return {words[0]: words[1] for line in output.splitlines() if len(words := line.split()) == 2}


def configure_script(spec: LabSpec, node: LabNode, expected: Expectations) -> str:
    """Give a node's device its key, port, mark and MTU, and set it up; runs on the node."""
    key = f"private-key {node.directory}/wg.key listen-port {expected.listen_port}"
    return tune_script(spec, expected, key)


def tune_script(spec: LabSpec, expected: Expectations, more: str = "") -> str:
    """Give a device the mark and MTU that a version sets, and set it up; runs on the node.

    Args:
        spec: The lab.
        expected: What the imitated version does.
        more: What else is set: words of `wg set`.
    """
    device, mark = expected.device_name, max(expected.fwmarks or {0})
    return f"wg set {device} fwmark {mark:#x} {more}\nip link set {device} mtu {expected.device_mtus(spec.mtu).high} up"


def peers_script(
    peers: Sequence[LabNode],
    keys: Mapping[str, str],
    expected: Expectations,
    changed: Container[str],
) -> str:
    """Bring a device's peers up to date; runs on the node.

    Args:
        peers: The nodes that shall be peers; all others are removed.
        keys: The public key of every node; one without is no peer.
        expected: What the imitated version does.
        changed: The names of the peers of which there is something new; the others' allowed IPs are not touched.
    """
    device, known = expected.device_name, [peer for peer in peers if peer.name in keys]
    told = [peer_arguments(peer, keys[peer.name], expected) for peer in known if peer.name in changed]
    return "\n".join(
        [
            *([f"wg set {device} {' '.join(told)}"] if told else []),
            f"for key in $(wg show {device} peers); do case ' {' '.join(keys[peer.name] for peer in known)} ' in",
            f'*" $key "*) ;; *) wg set {device} peer "$key" remove;; esac; done',
        ]
    )


def peer_arguments(peer: LabNode, key: str, expected: Expectations) -> str:
    """The words of `wg set` that add a node as a peer."""
    single = [f"{ip}/{ip.max_prefixlen}" for ip in allowed_ips(peer, expected)]
    ips = ",".join([*single, *(map(str, peer.pod_cidrs) if expected.pod_cidrs_in_allowed_ips else ())])
    return f"peer {key} endpoint {endpoint(peer, expected)} allowed-ips {ips}"


def endpoint(node: LabNode, expected: Expectations) -> Endpoint:
    """Where a node's WireGuard listens: its IPv4 address where it has one."""
    families = {IPFamily.of(ip): ip for ip in reversed(node.addresses)}
    address = families.get(IPFamily.V4) or families[IPFamily.V6]
    return Endpoint(address=address, port=expected.listen_port)


def allowed_ips(node: LabNode, expected: Expectations) -> tuple[IPAddress, ...]:
    """The addresses that a node's peers accept from it and send to it."""
    pods = tuple(ip for pod in node.endpoints for ip in pod.pod.addresses) + node.cilium_addresses
    own = node.addresses if expected.node_addresses() == "required" else ()
    return (pods if expected.pods_in_allowed_ips else ()) + own
