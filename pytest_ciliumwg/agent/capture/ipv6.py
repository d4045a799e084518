"""The extension headers of IPv6, behind which the transport header is."""

from __future__ import annotations

import struct
from typing import NamedTuple

_EXTENSIONS = (0, 43, 60, 135, 139, 140)
_FRAGMENT, _AUTHENTICATION = 44, 51


class Transport(NamedTuple):
    """What an IPv6 packet carries."""

    protocol: int
    at: int
    """Where it begins; of a later fragment, where its bytes begin."""
    first: bool
    """Whether it begins in this packet."""
    identification: bytes
    """Of a fragmented packet, empty of any other."""


def behind_extensions(frame: bytes, protocol: int, at: int, most: int) -> Transport:
    """Follow the headers from the one at a place, `most` of them; ends at one that is cut off."""
    first, identification = True, b""
    for _ in range(most):
        if len(frame) < at + 8:
            break
        if protocol == _FRAGMENT:
            first = not struct.unpack_from(">H", frame, at + 2)[0] & 0xFFF8
            identification = frame[at + 4 : at + 8]
            protocol, at = frame[at], at + 8
            if not first:
                break
        elif protocol in _EXTENSIONS:
            protocol, at = frame[at], at + 8 + frame[at + 1] * 8
        elif protocol == _AUTHENTICATION:
            protocol, at = frame[at], at + 8 + frame[at + 1] * 4
        else:
            break
    return Transport(protocol, at, first, identification)
