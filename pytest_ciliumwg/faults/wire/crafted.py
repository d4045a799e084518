"""Faults whose cleartext is wrapped in ways that not every kernel can make: a program copies and wraps real packets.

The packets themselves go through the tunnel as they should; what leaks is a copy of them, as from a mirror port, a
second overlay or a debugging tool.
"""

from __future__ import annotations

from functools import partial

from pytest_ciliumwg.faults.catalogue import BOTH, fault
from pytest_ciliumwg.faults.tools.consequences import CLEAR
from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.faults.wire.bypass import MARK, pass_marked, pod_pair
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import DEVICES, LabNode

# The kernel gives frames as the pod sent them; checksums that it would have computed later do not matter here.
_PROGRAM = """
import socket, struct, sys
ready, mode, inside, outside, own_mac, peer_mac, own_ip, peer_ip, port, mark = sys.argv[1:11]
pairs = {tuple(socket.inet_pton(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) for ip in pair.split(","))
         for pair in sys.argv[11:]}
macs = bytes.fromhex(peer_mac.replace(":", "")) + bytes.fromhex(own_mac.replace(":", ""))

def checksum(data):
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def ipv4(protocol, payload):
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    header += socket.inet_aton(own_ip) + socket.inet_aton(peer_ip)
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload

def udp(port, payload):
    return ipv4(17, struct.pack(">HHHH", port, port, 8 + len(payload), 0) + payload)

def vlan(kind, packet):
    return macs + struct.pack(">HH", 0x8100, 7) + kind + packet

def qinq(kind, packet):
    return macs + struct.pack(">HHHH", 0x88A8, 8, 0x8100, 7) + kind + packet

def geneve(kind, packet):
    option = struct.pack(">HBB", 0x0102, 0x80, 1) + bytes(4)
    header = struct.pack(">BBHI", len(option) // 4, 0, 0x6558, 9 << 8)
    return macs + b"\\x08\\0" + udp(6081, header + option + bytes(12) + kind + packet)

def ipip(kind, packet):
    return macs + b"\\x08\\0" + ipv4(41 if packet[0] >> 4 == 6 else 4, packet)

def extension(kind, packet):
    if packet[0] >> 4 != 6:
        return None
    options = bytes([packet[6], 0, 1, 4, 0, 0, 0, 0])
    length = struct.pack(">H", len(packet) - 40 + len(options))
    return macs + kind + packet[:4] + length + b"\\x3c" + packet[7:40] + options + packet[40:]

def tail(kind, packet):
    # As the second fragment of a larger packet: no ports, no first fragment to tell whose it is.
    if packet[0] >> 4 != 4 or len(packet) < 100:
        return None
    body = packet[20:]
    header = packet[:2] + struct.pack(">HHH", 20 + len(body), 7, 185) + packet[8:10] + b"\\0\\0" + packet[12:20]
    return macs + kind + header[:10] + struct.pack(">H", checksum(header)) + header[12:] + body

def unframed(kind, packet):
    return macs + b"\\x08\\0" + udp(int(port), packet)

def noise(kind, packet):
    return macs + b"\\x08\\0" + udp(int(port), b"\\xab" * 64)

wrap = {name: globals()[name] for name in
        ("vlan", "qinq", "geneve", "ipip", "extension", "tail", "unframed", "noise")}[mode]
source = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
source.bind((inside, 0))
sink = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sink.bind((outside, 0))
sink.setsockopt(socket.SOL_SOCKET, 36, int(mark))  # SO_MARK: the redirect lets it pass
open(ready, "w").close()
while True:
    frame, address = source.recvfrom(65536)
    if address[2] == 4 or frame[12:14] not in (b"\\x08\\0", b"\\x86\\xdd"):
        continue
    packet = frame[14:]
    ends = (packet[12:16], packet[16:20]) if packet[0] >> 4 == 4 else (packet[8:24], packet[24:40])
    if ends in pairs:
        copy = wrap(frame[12:14], packet)
        try:
            if copy is not None:
                sink.send(copy)
        except OSError:
            pass  # larger than the wire takes: that one does not leak
"""


def copy_wrapped(lab: Lab, node: LabNode, *, mode: str) -> None:
    """Copy what goes from the node's test pod to the next node's to the wire, wrapped."""
    peer = lab.next_to(node)
    device = DEVICES[0]
    if lab.expected.steering == "redirect":
        lab.run_in(node, pass_marked(lab))
    pairs = [",".join(map(str, pod_pair(lab, node, family))) for family in lab.families]
    start(
        lab,
        node,
        f"wrap-{mode}",
        _PROGRAM,
        mode,
        node.test_pod.host_device,
        device,
        _mac(lab, node, device),
        _mac(lab, peer, device),
        node.addresses[0],
        peer.addresses[0],
        lab.expected.listen_port,
        MARK,
        *pairs,
    )


def _mac(lab: Lab, node: LabNode, device: str) -> str:
    return lab.run_in(node, f"ip -o link show dev {device}").split("link/ether ")[1].split()[0]


V4 = [IPFamily.V4]

for _mode, _name, _description, _source, _families, _catcher, _more in (
    ("vlan", "leak-vlan", "in frames with a VLAN tag",
     "a trunk port, or a VLAN device below Cilium's devices; cilium-cli's filters do not look behind tags",
     (), "wire.no-cleartext", ()),
    ("qinq", "leak-qinq", "in frames with two VLAN tags",
     "a provider network with 802.1ad; cilium-cli's filters do not look behind tags", (), "wire.no-cleartext", ()),
    ("geneve", "leak-geneve", "in Geneve with an option",
     "CVE-2024-28250 in tunnel mode; with an option, as DSR adds one, cilium-cli's fixed offsets miss it",
     V4, "wire.no-cleartext", ()),
    ("ipip", "leak-ipip", "in IP in IP",
     "an IPIP overlay or DSR by IPIP next to Cilium: bpf/lib/nodeport.h", V4, "wire.no-cleartext", ()),
    ("extension", "leak-ipv6-extension", "in IPv6 packets with a destination options header",
     "IPv6 extension headers: protocol and ports are not where filters look for them",
     [IPFamily.V6], "wire.no-cleartext[v6-udp]", ()),
    ("tail", "leak-fragment-only", "as second fragments whose first one never comes",
     "fragments that take another way than their first one", V4, "wire.no-cleartext[v4-udp]", ()),
    ("unframed", "leak-wireguard-port", "on UDP port 51871, without WireGuard's framing",
     "Cilium's own leak script takes everything on that port for encrypted",
     V4, "wire.no-cleartext", ("wire.framing",)),
):  # fmt: skip
    fault(
        _name,
        description=f"copies of what the node's test pod sends to the next node's leave in cleartext {_description}",
        shows="all delivered and encrypted, and cleartext on the wire that address filters do not show",
        source=_source,
        catcher=_catcher,
        also=(*CLEAR, *_more),
        leaks=BOTH,
        names="pair",
        families=_families,
    )(partial(copy_wrapped, mode=_mode))

fault(
    "port-misused",
    description="another program of the node sends to the next node's port 51871",
    shows="datagrams on UDP 51871 that are no WireGuard messages; the tunnel itself is sound",
    source="a port scanner or a second tunnel: who counts packets by port takes them for encrypted ones",
    catcher="wire.framing",
    families=V4,
    names="pair",
)(partial(copy_wrapped, mode="noise"))
