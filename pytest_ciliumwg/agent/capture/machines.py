"""Tell frames of this cluster's nodes from those of other machines on the same network, by their Ethernet addresses.

Another cluster may have the same pod addresses, so an address alone does not make a frame ours. A leak of ours leaves
one node and arrives at another, whatever routers are between them: the one's watch sees it leave, the other's sees it
addressed to itself. Only a frame that passes a third node by the way can be others', and only where neither of its ends
is a node of this cluster.
"""

from __future__ import annotations

from typing import AbstractSet

from .ring import Frame

_IP = (b"\x08\x00", b"\x86\xdd")
_VLAN = (b"\x81\x00", b"\x88\xa8")
_HEADER = 14


class Machines:
    """The nodes of a cluster by their Ethernet addresses; without any, no frame is taken for another machine's."""

    def __init__(self, addresses: AbstractSet[bytes] = frozenset()) -> None:
        self._ours = frozenset(addresses)

    def are_others(self, frame: Frame, data: bytes) -> bool:
        """Whether a frame was overheard between two machines that are no nodes; `data` holds its first bytes."""
        return (
            frame.overheard
            and bool(self._ours)
            and _has_ethernet_header(data)
            and data[:6] not in self._ours
            and data[6:12] not in self._ours
        )


def _has_ethernet_header(data: bytes) -> bool:
    """A packet that somebody sent without one has something else where the addresses are."""
    kind = data[12:14]
    return len(data) > _HEADER and (kind in _VLAN or (kind in _IP and data[_HEADER] >> 4 in (4, 6)))


def packed_address(text: str) -> bytes:
    """An Ethernet address as it is in frames.

    Raises:
        ValueError: it is none.
    """
    packed = bytes.fromhex(text.replace(":", ""))
    if len(packed) != 6 or not any(packed):
        raise ValueError(f"{text!r} is no Ethernet address")
    return packed
