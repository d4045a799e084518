"""A VXLAN tunnel between two nodes: the kernel's, or a small program where the kernel has none."""

from __future__ import annotations

import sys

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

DEVICE = "leak_vxlan"
PORT = 8472
VNI = 7

# A tap device whose frames travel in UDP with a VXLAN header, and back.
_PROGRAM = """
import fcntl, os, select, socket, struct, sys
name, local, peer, port, vni = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF, IFF_TAP | IFF_NO_PI
wire = socket.socket(socket.AF_INET6 if ":" in local else socket.AF_INET, socket.SOCK_DGRAM)
wire.bind((local, port))
header = struct.pack("!II", 0x08000000, vni << 8)
while True:
    for ready in select.select([tap, wire], [], [])[0]:
        try:
            if ready is wire:
                os.write(tap, wire.recv(65536)[8:])
            else:
                wire.sendto(header + os.read(tap, 65536), (peer, port))
        except OSError:
            pass  # the device is not up yet, or the peer's program is not there yet
"""


def mac(node: LabNode) -> str:
    """The address of a node's end of the tunnel."""
    return f"02:00:00:{node.index:02x}:84:72"


def join(lab: Lab, node: LabNode, peer: LabNode, *, kernel: bool | None = None) -> None:
    """Make a VXLAN device on each of two nodes.

    Args:
        lab: The lab.
        node: A node.
        peer: The other node.
        kernel: Whether to use the kernel's VXLAN; None to use it where there is one.
    """
    in_kernel = _kernel_has_vxlan(lab, node) if kernel is None else kernel
    for local, remote in ((node, peer), (peer, node)):
        ends = (str(local.addresses[0]), str(remote.addresses[0]))
        if in_kernel:
            make = f"ip link add {DEVICE} type vxlan id {VNI} dstport {PORT} local {ends[0]} remote {ends[1]}"
        else:
            make = _run_program(local, *ends)
        lab.run_in(local, f"{make}\nip link set {DEVICE} address {mac(local)} mtu {lab.spec.mtu - 70} up")


def _kernel_has_vxlan(lab: Lab, node: LabNode) -> bool:
    try:
        lab.run_in(node, f"ip link add {DEVICE} type vxlan id {VNI} dstport {PORT}; ip link del {DEVICE}")
    except ProviderError:
        return False
    return True


def _run_program(node: LabNode, local: str, peer: str) -> str:
    script = f"{node.directory}/vxlan.py"
    return f"""
cat >{script} <<'END'
{_PROGRAM}END
"{sys.executable or "python3"}" -I -S {script} {DEVICE} {local} {peer} {PORT} {VNI} </dev/null >{script}.log 2>&1 &
tries=0
until [ -e /proc/sys/net/ipv4/conf/{DEVICE} ]; do
    tries=$((tries + 1))
    if [ $tries -gt 1000 ]; then echo "the VXLAN program did not start: $(tail -n 1 {script}.log)" >&2; exit 1; fi
    sleep 0.005
done
"""
