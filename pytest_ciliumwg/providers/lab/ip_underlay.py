"""A network between the nodes without Ethernet: tun devices, and a program that passes packets from one to another."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence

from pytest_ciliumwg.providers.lab.spec import LabNode, LabSpec

# Each port is a tun device with the networks behind it. A device may move to another network namespace: the program
# that made it goes on reading what leaves by it.
_SWITCH = """
import fcntl, ipaddress, os, select, struct, sys
ready, *ports = sys.argv[1:]
ends, networks, known = [], [], {}
for port in ports:
    name, _, behind = port.partition("=")
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
    ends.append(end)
    networks += [(ipaddress.ip_network(network), end) for network in behind.split(",")]
def end_of(packet):
    destination = packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]
    if destination not in known:
        address = ipaddress.ip_address(destination)
        known[destination] = next((end for network, end in networks if address in network), None)
    return known[destination]
def carry(source):
    packet = os.read(source, 65536)
    end = end_of(packet)
    if end not in (None, source):
        os.write(end, packet)
open(ready, "w").close()
while True:
    for source in select.select(ends, [], [])[0]:
        try:
            for _ in range(64):
                carry(source)
        except BlockingIOError:
            pass  # there is no more
        except (OSError, ValueError):
            pass  # a device is down, or this is no packet: lost, as on any wire
"""
_FOLDER = "/run/ciliumwg/underlay"
_START = """
mkdir -p {folder}
cat >{folder}/switch.py <<'END-OF-PROGRAM'
{source}END-OF-PROGRAM
{python} -I -S {folder}/switch.py {folder}/ready {ports} </dev/null >{folder}/log 2>&1 &
tries=0
until [ -e {folder}/ready ]; do
    tries=$((tries + 1))
    if [ $tries -gt 2000 ]; then echo "the nodes' network did not start: $(tail -n 1 {folder}/log)" >&2; exit 1; fi
    sleep 0.005
done
"""


def ip_underlay_script(spec: LabSpec, nodes: Sequence[LabNode]) -> str:
    """Shell text that gives every node its native device; it runs in the sandbox, once the nodes are there."""
    device = spec.devices[0]
    start = _START.format(
        folder=_FOLDER,
        source=_SWITCH,
        python=shlex.quote(sys.executable or "python3"),
        ports=shlex.join(f"{_port(node)}={','.join(map(str, _behind(node)))}" for node in nodes),
    )
    moves = (f"ip link set {_port(node)} mtu {spec.mtu} netns {node.name} name {device}" for node in nodes)
    return "\n".join([start, *moves])


def _port(node: LabNode) -> str:
    return f"underlay{node.index}"


def _behind(node: LabNode) -> Iterable[object]:
    return (*node.addresses, *node.pod_cidrs)
