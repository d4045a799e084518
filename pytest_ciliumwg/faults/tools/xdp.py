"""Packets between two test pods carried by XDP at both ends: below the point where captures are attached.

The programs are assembled here, since nothing that compiles BPF can be expected; only real root may load them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.model.cluster import IPAddress, sorted_families
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import DEVICES, LabNode

# Attaches a program to a device: what goes to one of some addresses is given another MAC address and redirected.
# Arguments: device, IP protocol (0: any), then ADDRESS,DEVICE,MAC for each address. Numbers are those of <linux/bpf.h>.
_ATTACH = """
import ctypes, ipaddress, os, socket, struct, sys
ready, device, protocol, rules = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
code, jumps, marks = [], [], {}

def insn(op, dst=0, src=0, off=0, imm=0):
    code.append([op, dst | src << 4, off, imm])

def unless(op, imm, label):
    jumps.append((len(code), label))
    insn(op, 5, 0, 0, imm)

def short_of(size, label):
    insn(0xBF, 4, 2)
    insn(0x07, 4, 0, 0, size)
    jumps.append((len(code), label))
    insn(0x2D, 4, 3)

def signed(data):
    return struct.unpack("<i", data)[0]

insn(0x61, 2, 1, 0)
insn(0x61, 3, 1, 4)
for number, rule in enumerate(rules):
    to, target, mac = rule.split(",")
    address, mac = ipaddress.ip_address(to).packed, bytes.fromhex(mac.replace(":", ""))
    following, v4 = f"rule {number + 1}", len(address) == 4
    marks[f"rule {number}"] = len(code)
    short_of(34 if v4 else 54, following)
    insn(0x69, 5, 2, 12)
    unless(0x55, 0x0008 if v4 else 0xDD86, following)
    number_of = {1: 58}.get(protocol, protocol) if not v4 else protocol
    if protocol:
        insn(0x71, 5, 2, 23 if v4 else 20)
        unless(0x55, number_of, following)
    for at in range(0, len(address), 4):
        insn(0x61, 5, 2, (30 if v4 else 38) + at)
        unless(0x56, signed(address[at : at + 4]), following)
    insn(0x62, 2, 0, 0, signed(mac[:4]))
    insn(0x6A, 2, 0, 4, struct.unpack("<H", mac[4:])[0])
    insn(0xB7, 1, 0, 0, socket.if_nametoindex(target))
    insn(0xB7, 2)
    insn(0x85, 0, 0, 0, 23)
    insn(0x95)
marks[f"rule {len(rules)}"] = len(code)
insn(0xB7, 0, 0, 0, 2)
insn(0x95)
for at, label in jumps:
    code[at][2] = marks[label] - at - 1
text = b"".join(struct.pack("<BBhi", *one) for one in code)
buffer, licence, log = (ctypes.create_string_buffer(data) for data in (text, b"GPL", bytes(1 << 16)))
pointers = [ctypes.addressof(one) for one in (buffer, licence, log)]
attributes = struct.pack("<IIQQIIQ", 6, len(code), pointers[0], pointers[1], 1, 1 << 16, pointers[2]) + bytes(64)
argument = ctypes.create_string_buffer(attributes)
libc = ctypes.CDLL(None, use_errno=True)
program = libc.syscall({"x86_64": 321, "aarch64": 280}[os.uname().machine], 5, argument, len(attributes))
if program < 0:
    sys.exit(f"the kernel does not take the program: {os.strerror(ctypes.get_errno())} {log.value.decode()[-200:]}")
xdp = struct.pack("<HHi", 8, 1, program) + struct.pack("<HHI", 8, 3, 2)
body = struct.pack("<BxHiII", 0, 0, socket.if_nametoindex(device), 0, 0)
body += struct.pack("<HH", 4 + len(xdp), 43 | 0x8000) + xdp
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
    netlink.send(struct.pack("<IHHII", 16 + len(body), 19, 5, 1, 0) + body)
    code = struct.unpack_from("<i", netlink.recv(4096), 16)[0]
if code:
    sys.exit(f"XDP on {device}: {os.strerror(-code)}")
open(ready, "w").close()
"""
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}


def carry_by_xdp(lab: Lab, node: LabNode, peer: LabNode, protocol: str = "") -> None:
    """Let XDP carry packets between two nodes' test pods, of one protocol (`icmp`, `tcp`, `udp`) or of all.

    Raises:
        ProviderError: the kernel does not let this process load programs.
    """
    number = PROTOCOLS.get(protocol, 0)
    for end, other in ((node, peer), (peer, node)):
        out = [f"{ip},{DEVICES[0]},{_mac(lab, other)}" for ip in _addresses(lab, other)]
        home = [f"{ip},{end.test_pod.host_device},{end.test_pod.mac}" for ip in _addresses(lab, end)]
        start(lab, end, "xdp-out", _ATTACH, end.test_pod.host_device, number, *out)
        start(lab, end, "xdp-in", _ATTACH, DEVICES[0], number, *home)


def _addresses(lab: Lab, node: LabNode) -> Iterator[IPAddress]:
    for family in sorted_families(lab.families):
        if (address := node.test_pod.pod.address(family)) is not None:
            yield address


def _mac(lab: Lab, node: LabNode) -> str:
    return str(json.loads(lab.run_in(node, f"ip -j link show dev {DEVICES[0]}"))[0]["address"])
