"""Cilium's tunnel between nodes, as the lab has it: the kernel's VXLAN, and Geneve of a small program on each node.

Few kernels have Geneve, and it needs to be told where each packet goes, as BPF does. On the wire it is the same.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.spec import LabNode, LabSpec

_DEVICES = {"vxlan": "cilium_vxlan", "geneve": "cilium_geneve"}
_PORTS = {"vxlan": 8472, "geneve": 6081}
_ID = 2

# A tap device whose frames travel in UDP with a Geneve header, to the node that has their Ethernet address, and back.
_GENEVE = """
import fcntl, os, select, socket, struct, sys
ready, name, local, port, number, *peers = sys.argv[1:]
peers = {bytes.fromhex(mac.replace(":", "")): address for mac, address in (peer.split("=") for peer in peers)}
tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF, IFF_TAP | IFF_NO_PI
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER = IP_PMTUDISC_DONT
wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
wire.setblocking(False)
wire.bind((local, int(port)))
ETHERNET = 0x6558
header = struct.pack("!BBHI", 0, 0, ETHERNET, int(number) << 8)
def wrap():
    frame = os.read(tap, 65536)
    address = peers.get(frame[:6])
    if address is not None:
        wire.sendto(header + frame, (address, int(port)))
def unwrap():
    packet = wire.recv(65536)
    if len(packet) > 8 and struct.unpack_from("!H", packet, 2)[0] == ETHERNET:
        os.write(tap, packet[8 + (packet[0] & 0x3F) * 4:])
open(ready, "w").close()
while True:
    for readable in select.select([tap, wire], [], [])[0]:
        try:
            for _ in range(64):
                wrap() if readable is tap else unwrap()
        except BlockingIOError:
            pass  # there is no more
        except OSError:
            pass  # a device is down, or a node not reachable now: lost, as in any tunnel
"""
_START = """
mkdir -p {folder}
cat >{script} <<'END-OF-PROGRAM'
{source}END-OF-PROGRAM
nsenter --net=/run/netns/{node} {python} -I -S {script} {script}.ready {arguments} </dev/null >{script}.log 2>&1 &
tries=0
until [ -e {script}.ready ]; do
    tries=$((tries + 1))
    if [ $tries -gt 2000 ]; then echo "Geneve did not start on {node}: $(tail -n 1 {script}.log)" >&2; exit 1; fi
    sleep 0.005
done
"""


def overlay_device(spec: LabSpec) -> str:
    """The tunnel's device, as Cilium calls it."""
    return _DEVICES[spec.routing_mode]


def overlay_port(spec: LabSpec) -> int:
    """The UDP port of the tunnel's packets."""
    return _PORTS[spec.routing_mode]


def overlay_mac(node: LabNode) -> str:
    """The Ethernet address of a node's end."""
    return f"02:00:00:{node.index:02x}:03:01"


def overlay_commands(spec: LabSpec, node: LabNode) -> list[str]:
    """The device, in commands of `ip`."""
    device, mac = overlay_device(spec), overlay_mac(node)
    if spec.routing_mode == "geneve":
        made = [f"tuntap add dev {device} mode tap", f"link set {device} address {mac}"]
    else:
        options = f"id {_ID} local {_address(spec, node)} dstport {overlay_port(spec)} nolearning"
        made = [f"link add {device} address {mac} type vxlan {options}"]
    return [*made, f"link set {device} up"]


def overlay_script(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode) -> str:
    """Shell text that tells the device where each peer is; it runs in the sandbox, once the device is there."""
    peers = [peer for peer in nodes if peer.name != node.name]
    if spec.routing_mode == "geneve":
        ends = [f"{overlay_mac(peer)}={_address(spec, peer)}" for peer in peers]
        given = [overlay_device(spec), _address(spec, node), str(overlay_port(spec)), str(_ID), *ends]
        return _START.format(
            folder=node.directory,
            script=f"{node.directory}/geneve.py",
            source=_GENEVE,
            node=node.name,
            python=shlex.quote(sys.executable or "python3"),
            arguments=shlex.join(given),
        )
    entries = [f"fdb add {overlay_mac(peer)} dev {overlay_device(spec)} dst {_address(spec, peer)}" for peer in peers]
    return "\n".join([f"bridge -n {node.name} -batch - <<'END'", *entries, "END"])


def _address(spec: LabSpec, node: LabNode) -> str:
    return str(node.device_address(spec.devices[0], IPFamily.V4))
