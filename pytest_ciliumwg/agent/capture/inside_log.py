"""The inside of the tunnel over a long time: gaps in flows, and times in which it is not proven that it was watched."""

from __future__ import annotations

import time

from ..log import Log
from .controls import send_inside
from .inside import Inside

_BEATS_LATE = 3
"""So many control canaries later one has to be seen; then the watch has read the ring since."""


class InsideLog:
    """Reads the inside of the tunnel, and logs what its silence cannot prove.

    Entries are `{kind: "inside-gap", flow, outgoing, first, last}`, for a time in which nothing of a flow passed, and
    `{kind: "inside-blind", what, first, last}`, for a time in which packets may have passed without being counted.
    """

    def __init__(self, inside: Inside, log: Log) -> None:
        self._inside = inside
        self._log = log
        self._looked = self._proven = time.time()
        self._sent: dict[int, float] = {}
        self._missed = 0
        inside.on_gap(self._gap)

    def step(self) -> None:
        """Read what has come; take up the device if it was made anew."""
        now = time.time()
        if self._inside.follow():
            self._blind(f"{self._inside.device} was taken up as a new device", self._looked, now)
        self._inside.take_error()
        self._inside.read()
        missed = self._inside.missed()
        if missed != self._missed:
            self._blind(f"{missed - self._missed} packets inside the tunnel were not read", self._looked, now)
            self._missed = missed
        self._looked = now

    def beat(self, number: int, token: bytes) -> None:
        """Put a control canary inside, and see to it that the earlier ones were seen there."""
        if not self._inside.present:
            self._sent.clear()
            return
        heard = [sent for sent in self._sent if self._inside.heard(sent)]
        for sent in heard:
            self._proven = max(self._proven, self._sent.pop(sent))
        if len(self._sent) > _BEATS_LATE:
            self._blind("the control canaries inside the tunnel were not seen", self._proven, time.time())
            self._sent.clear()
        if send_inside(self._inside.device, token):
            self._sent[number] = time.time()
        else:
            self._sent.clear()  # the device is down: nothing passes there

    def _gap(self, flow: int, outgoing: bool, first: float, last: float) -> None:
        self._log.add({"kind": "inside-gap", "flow": flow, "outgoing": outgoing, "first": first, "last": last})

    def _blind(self, what: str, first: float, last: float) -> None:
        self._log.add({"kind": "inside-blind", "what": what, "first": first, "last": last})
