"""ICMP errors quote the packet that they are about: its IP header, and at least 8 bytes behind it (RFC 792, RFC 4443).

A router or node that answers one of our packets so shows its addresses and ports to the wire, and nothing of what it
carried: that is no traffic of the flow in cleartext. An error that quotes payload as well is.
"""

from __future__ import annotations

import struct

_ICMP, _TCP, _ICMP6 = 1, 6, 58
_ERRORS = (3, 4, 5, 11, 12)  # destination unreachable, source quench, redirect, time exceeded, parameter problem
_ERRORS6 = (1, 2, 3, 4)  # destination unreachable, packet too big, time exceeded, parameter problem
_ICMP_HEADER, _IPV6_HEADER = 8, 40
_SHORTEST, _LONGEST = 20, 60
_TCP_OFFSET = 12


def quotes_headers_alone(frame: bytes, start: int, protocol: int, payload: int, first: bool) -> bool:
    """Whether an IP header is a quoted one, and nothing but headers is quoted.

    Args:
        frame: The frame.
        start: Where the IP header is.
        protocol: The transport's number.
        payload: Where the transport header starts, or a fragment's data.
        first: Whether the transport header is there.
    """
    return first and _is_quoted(frame, start) and _end(frame, start) <= payload + _header_size(frame, payload, protocol)


def _is_quoted(frame: bytes, start: int) -> bool:
    icmp = start - _ICMP_HEADER
    if icmp - _SHORTEST < 0:
        return False
    outer = icmp - _IPV6_HEADER
    if outer >= 0 and frame[outer] >> 4 == 6 and frame[outer + 6] == _ICMP6 and frame[icmp] in _ERRORS6:
        return True
    sizes = range(_SHORTEST, min(_LONGEST, icmp) + 1, 4)
    headers = (size for size in sizes if frame[icmp - size] == 0x40 | size // 4)
    return frame[icmp] in _ERRORS and any(frame[icmp - size + 9] == _ICMP for size in headers)


def _end(frame: bytes, start: int) -> int:
    """Where the quoted packet ends in the frame, which may be padded, or go on after it."""
    if frame[start] >> 4 == 6:
        length = _IPV6_HEADER + int(struct.unpack_from(">H", frame, start + 4)[0])
    else:
        length = int(struct.unpack_from(">H", frame, start + 2)[0])
    return min(len(frame), start + length)


def _header_size(frame: bytes, payload: int, protocol: int) -> int:
    if protocol != _TCP:
        return 8
    at = payload + _TCP_OFFSET
    return (frame[at] >> 4) * 4 if at < len(frame) else 20
