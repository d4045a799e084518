"""How long answers take where nothing is lost: it tells a slow machine from a network that loses packets."""

from __future__ import annotations

from bisect import insort

_WAITS = 3.0
"""An answer is waited for so many times as long as half of them take."""


class _Sent:
    """A message of which some copies were sent."""

    __slots__ = ("answered_after", "answers", "copies", "first")

    def __init__(self, now: float) -> None:
        self.first = now
        self.copies = self.answers = 0
        self.answered_after = 0.0


class Pace:
    """The round trips of a sender's messages, in seconds.

    Only a message counts of which every copy was answered: none of them was lost, so the first answer belongs to the
    first copy, and the time between them is what the way and the machines took.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], _Sent] = {}
        self._times: list[float] = []
        self.heard = 0.0
        """When the latest answer came."""

    def sent(self, flow: int, number: int, now: float) -> None:
        """A copy of a message went out."""
        self._open.setdefault((flow, number), _Sent(now)).copies += 1

    def answered(self, flow: int, number: int, now: float) -> None:
        """An answer to a message came."""
        self.heard = now
        message = self._open.get((flow, number))
        if message is None:
            return
        message.answered_after = message.answered_after or now - message.first
        message.answers += 1
        if message.answers == message.copies:
            insort(self._times, message.answered_after)
            del self._open[flow, number]

    @property
    def typical(self) -> float:
        """The time within which half of the answers came; 0 while there is none."""
        return self._times[len(self._times) // 2] if self._times else 0.0

    def patient(self, usual: float) -> float:
        """How long an answer is waited for that usually has so many seconds."""
        return max(usual, _WAITS * self.typical)
