"""What the captures of one native device hold, and why they may not hold all that passed it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.model.watch import Conversation, DeviceReport, MessageKind, WireGuardMessages

Span = tuple[float, float]
Message = tuple[IPAddress, IPAddress, MessageKind, bool, bool]
"""Source, destination, kind, whether it is a keepalive, whether it is a fragment."""
_PAUSE = 2.0
"""Seconds that may be between the last frame of one capture and the first of the next, when a new file is begun."""


@dataclass(slots=True)
class CapturedDevice:
    """One device of one node; of several captures all together."""

    frames: int = 0
    drops: int = 0
    forgotten: int = 0
    short: int = 0
    """Frames that were cut before their headers end."""
    spans: list[Span] = field(default_factory=list)
    """From the first frame to the last one, of each capture."""
    leaving: int = 0
    arriving: int = 0
    """Frames from and to the device's own Ethernet address."""
    others: int = 0
    """Frames such as a filter on WireGuard or on nodes leaves out, as it would leave out those of pods."""
    unfiltered: bool = True
    """Whether every one of the captures is known to have been taken whole."""
    filtered: bool = False
    """Whether one of them says that it was taken with a filter."""
    messages: dict[Message, list[int]] = field(default_factory=dict)
    """Count and bytes of WireGuard's."""
    pods: dict[tuple[IPAddress, IPAddress, int, str], Conversation] = field(default_factory=dict)

    def overlaps(self, span: Span) -> bool:
        """Whether another capture of this device was running for more than a moment of that time."""
        return any(min(end, span[1]) - max(start, span[0]) > _PAUSE for start, end in self.spans)

    def windows(self) -> list[Span]:
        """The times in which it was captured, in their order."""
        found: list[Span] = []
        for start, end in sorted(self.spans):
            if found and start <= found[-1][1] + _PAUSE:
                found[-1] = found[-1][0], max(found[-1][1], end)
            else:
                found.append((start, end))
        return found

    def doubts(self) -> Iterator[str]:
        """Why something may have passed that is not in its captures: what they say, each in a clause."""
        if self.filtered:
            yield "were taken with a filter: take them without one"
        elif not self.unfiltered and not self.others:
            yield "hold no packet but WireGuard's and between nodes, as a filter leaves them: take them without one"
        if not self.unfiltered and bool(self.leaving) != bool(self.arriving):
            way = "leave" if self.leaving else "arrive"
            yield f"hold only frames that {way}: take them in both directions, without `-Q`"

    def report(self, own: Collection[IPAddress]) -> DeviceReport:
        """It as a watch would have counted it, on the node with these addresses."""
        return DeviceReport(
            frames=self.frames,
            kernel_frames=self.frames + self.drops,
            drops=self.drops,
            truncated=self.short,
            wireguard=tuple(
                WireGuardMessages(
                    outgoing=source in own,
                    source=source,
                    destination=destination,
                    kind=kind,
                    keepalive=keepalive,
                    fragmented=fragmented,
                    count=count,
                    bytes=size,
                )
                for (source, destination, kind, keepalive, fragmented), (count, size) in self.messages.items()
            ),
            wireguard_drops=self.drops + self.forgotten,
        )


def common_window(devices: Iterable[CapturedDevice]) -> Span:
    """The longest time in which all of these devices were captured; its end is before its start where there is none."""
    common: list[Span] = [(float("-inf"), float("inf"))]
    spans: list[Span] = []
    for device in devices:
        windows = device.windows()
        spans += windows
        common = [
            (max(start, other), min(end, until))
            for start, end in common
            for other, until in windows
            if max(start, other) <= min(end, until)
        ]
    if common and spans:
        return max(common, key=lambda span: span[1] - span[0])
    return max((start for start, _ in spans), default=0.0), min((end for _, end in spans), default=0.0)
