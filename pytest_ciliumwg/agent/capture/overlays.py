"""Which overlay a UDP datagram belongs to: known by its port, or at any other port by its own header.

Cilium's tunnel has another port where it is told one (`tunnel-port`, Helm value tunnelPort), as it has to be on
networks that use 8472 themselves.
"""

from __future__ import annotations

import mmap

VXLAN, GENEVE = "vxlan", "geneve"
VXLAN_PORTS, GENEVE_PORT = (8472, 4789), 6081
VXLAN_HEADER = b"\x08\0\0\0"
"""How VXLAN's header begins: a network's number follows, and nothing else is set."""
BRIDGED = b"\x65\x58"
"""The protocol that Geneve's header names where Ethernet frames follow; 2 bytes from its beginning."""
_BY_PORT = {
    port.to_bytes(2, "big"): name for name, ports in ((VXLAN, VXLAN_PORTS), (GENEVE, (GENEVE_PORT,))) for port in ports
}


def overlay(frame: bytes | mmap.mmap, port_at: int, header_at: int) -> str:
    """`vxlan`, `geneve` or nothing.

    Args:
        frame: What holds the datagram.
        port_at: Where its destination port is.
        header_at: Where its payload begins.
    """
    known = _BY_PORT.get(frame[port_at : port_at + 2])
    if known is not None:
        return known
    header = frame[header_at : header_at + 8]
    if header[7:] != b"\0":
        return ""
    if header[:4] == VXLAN_HEADER:
        return VXLAN
    # Version 0, and no reserved bit is set.
    return GENEVE if header[2:4] == BRIDGED and header[0] < 0x40 and not header[1] & 0x3F else ""
