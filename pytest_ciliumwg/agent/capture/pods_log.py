"""Packets between other pods over a long time: what was seen each second, and what its silence cannot prove."""

from __future__ import annotations

import time

from ..log import Log
from .pods import PodWatch, send_pod_controls

_BEATS_LATE = 3
"""So many control packets in a row may be unseen; then it is not proven that the watch hears."""


class PodsLog:
    """Logs an entry `pods` with the conversations of a second, and `pods-blind` for times that prove nothing."""

    def __init__(self, pods: PodWatch, log: Log) -> None:
        self._pods = pods
        self._log = log
        self._missed = 0
        self._sampled = self._proven = time.time()
        self._heard: set[tuple[str, int]] = set()
        self._unheard = 0

    def beat(self) -> None:
        """Send a control packet of each family on each device, and see to it that the last ones were seen."""
        families = [4 if len(address) == 4 else 6 for address in self._pods.control_addresses]
        wanted = {(ring.device, family) for ring in self._pods.rings for family in families}
        self._unheard = 0 if wanted <= self._heard else self._unheard + 1
        if not self._unheard:
            self._proven = time.time()
        elif self._unheard > _BEATS_LATE:
            self._blind("the control packets between pods were not seen", self._proven, time.time())
            self._unheard, self._proven = 1, time.time()
        self._heard.clear()
        send_pod_controls([ring.device for ring in self._pods.rings], self._pods.control_addresses)

    def sample(self, now: float) -> None:
        """Log what was read since the last sample."""
        rows, controls = self._pods.take()
        self._heard |= controls
        if rows:
            self._log.add({"kind": "pods", "conversations": rows})
        missed = self._pods.missed()
        if missed != self._missed:
            self._blind(f"{missed - self._missed} packets between pods were not counted", self._sampled, now)
            self._missed = missed
        self._sampled = now

    def _blind(self, what: str, first: float, last: float) -> None:
        self._log.add({"kind": "pods-blind", "what": what, "first": first, "last": last})
