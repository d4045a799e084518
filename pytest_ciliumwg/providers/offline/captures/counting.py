"""Count the frames of a capture by their headers: a million in about a second.

Frames that are alike in all that they are counted by are not taken apart again: a few bytes of a frame are the key to
the first of those that are like it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ciliumwg.agent.capture.overlays import VXLAN_HEADER, overlay
from pytest_ciliumwg.agent.capture.packet_headers import packets
from pytest_ciliumwg.providers.offline.captures.capture import ETHERNET, Frames
from pytest_ciliumwg.providers.offline.captures.hidden import hidden_packets

RAW_IP = frozenset({12, 101, 228, 229})
LINK_TYPES = frozenset({ETHERNET, *RAW_IP})
_PLAIN4 = b"\x08\x00\x45"
"""EtherType and first byte of IPv4 without options."""
_TCP, _UDP, _ICMP = 6, 17, 1
_KEY_END = {_TCP: 38, _ICMP: 35}
"""Up to where a frame is told apart, from its addresses on: up to the ports, or up to ICMP's type."""
_KEPT = 256
"""Bytes of the first of frames that are alike."""
MOST_SLOTS = 262_144


class Slot:
    """Frames that are alike."""

    __slots__ = ("count", "deep", "first", "frame", "last")

    def __init__(self, frame: bytes, at: float, *, deep: bool) -> None:
        self.frame = frame
        """The headers of the first of them."""
        self.deep = deep
        """Whether they are alike only in their outer headers, and are to be looked at more closely."""
        self.count = 0
        self.first = self.last = at


class FrameCounter:
    """Counts the frames of one interface of a capture."""

    def __init__(self, link_type: int) -> None:
        self.frames = 0
        self.first = self.last = 0.0
        self.forgotten = 0
        """Frames of too many kinds to be told apart."""
        self.ethernet = link_type not in RAW_IP
        """Whether its frames begin as Ethernet's do."""
        self.has_macs = link_type == ETHERNET
        """Whether what is there in place of Ethernet addresses are some."""
        self.leaving = self.arriving = 0
        """Frames that the capture itself says the direction of."""
        self._slots: dict[object, Slot] = {}

    def take(self, data: bytes, frames: Frames) -> None:
        """Count the frames of one chunk."""
        slots, ends, ethernet, count, at = self._slots, _KEY_END, self.ethernet, 0, 0.0
        for start, captured, at in frames:
            count += 1
            key: object = None
            if captured >= 46 and ethernet and data[start + 12 : start + 15] == _PLAIN4:
                protocol = data[start + 23]
                if protocol == _UDP:
                    key = data[start + 26 : start + 40] + data[start + 42 : start + 46]
                elif protocol in ends:
                    key = protocol, data[start + 26 : start + ends[protocol]]
                slot = slots.get(key)
                if slot is not None and not slot.deep:
                    slot.count += 1
                    slot.last = at
                    continue
            self._take(data[start : start + min(captured, _KEPT)], key, at)
        if count:
            self.last = max(self.last, at)
            self.frames += count

    def _take(self, frame: bytes, key: object, at: float) -> None:
        """Count a frame like which there was none, or that has to be looked at more closely."""
        self.first = min(self.first or at, at)
        known = self._slots.get(key) if key is not None else None
        if known is None or known.deep:
            key = self._closer(frame, key, at, known)
            known = self._slots.get(key)
        if known is None:
            if len(self._slots) >= MOST_SLOTS:
                self.forgotten += 1
                return
            known = self._slots[key] = Slot(frame, at, deep=False)
        known.count += 1
        known.last = at

    def _closer(self, frame: bytes, key: object, at: float, known: Slot | None) -> object:
        """The key of a frame by all of its headers; one that carries no other packet is known by its own key."""
        if known is not None and frame[42:46] == VXLAN_HEADER and frame[62:65] == _PLAIN4 and frame[73:74] == b"\x06":
            return frame[26:34], frame[36:38], frame[76:88]
        found = packets(frame, ethernet=self.ethernet)
        behind = next(hidden_packets(frame, found), None)
        # What is in a tunnel counts by itself, also where the first of such frames was cut or carried no IP.
        if key is not None and len(found) == 1 and behind is None and not overlay(frame, 36, 42):
            return key
        if key is not None and known is None and len(self._slots) < MOST_SLOTS:
            self._slots[key] = Slot(frame, at, deep=True)
        inner, ends = found[-1] if found else None, behind and behind[:2]
        if inner is None:
            return frame[12:14], ends
        head = frame[inner.payload - 4 : inner.payload + 4] if inner.protocol == _UDP and inner.first else b""
        return (*(packet[:5] for packet in found), head, ends)

    def seen(self) -> Iterator[Slot]:
        """All that was counted."""
        return (slot for slot in self._slots.values() if slot.count)
