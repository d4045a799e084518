"""The account of a continuous flow: what was answered, in time or late, what was lost, and the outages.

Lost, late and not yet answered are three things. An answer is late after the patience, and lost is what has none after
thrice that time: until then nobody knows. An outage is messages lost in a row.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from ..log import Log

NO_ANSWER = "no answer"
LOST_AFTER = 3
"""How many times the patience until a message counts as lost: on a busy machine answers came half a second late."""
_SENT, _ANSWERED, _LOST = 0, 1, 2


class _Message:
    """One message on its way."""

    __slots__ = ("at", "error", "number", "sent", "state")

    def __init__(self, number: int, at: float, sent: float) -> None:
        self.number = number
        self.at = at
        self.sent = sent
        self.state = _SENT
        self.error = NO_ANSWER


class Account:
    """Messages are judged in the order in which they were sent: an outage ends with the first that is answered."""

    def __init__(self, flow: int, patience: float, log: Log) -> None:
        self.flow = flow
        self.sent = self.answered = self.lost = self.late = 0
        self._patience = patience
        self._log = log
        self._waiting: deque[_Message] = deque()
        self._by_number: dict[int, _Message] = {}
        self._outage: dict[str, Any] | None = None

    @property
    def waiting(self) -> bool:
        """Whether an answer may still come in time."""
        return bool(self._by_number)

    def send(self, number: int, now: float, at: float) -> None:
        """A message goes out; `now` is of the monotonic clock, `at` of the wall clock."""
        message = _Message(number, at, now)
        self.sent += 1
        self._waiting.append(message)
        self._by_number[number] = message

    def answer(self, number: int, now: float) -> None:
        """An answer came, in time or late; to a message that is lost none counts any more."""
        message = self._by_number.pop(number, None)
        if message is not None:
            message.state = _ANSWERED
            self.answered += 1
            self.late += now - message.sent > self._patience
            self._judge()

    def lose(self, number: int, error: str) -> None:
        """A message is lost, for that reason."""
        message = self._by_number.pop(number, None)
        if message is None:
            return
        message.state = _LOST
        message.error = error
        self.lost += 1
        self._judge()

    def overdue(self, now: float) -> list[int]:
        """Numbers of the messages whose time is over."""
        numbers: list[int] = []
        for message in self._waiting:
            if message.sent + LOST_AFTER * self._patience > now:
                break
            if message.state == _SENT:
                numbers.append(message.number)
        return numbers

    def totals(self, connections: int) -> list[int]:
        """The row `[flow, sent, answered, lost, late, connections]`; late answers are among the answered."""
        return [self.flow, self.sent, self.answered, self.lost, self.late, connections]

    def open_outage(self, now: float) -> dict[str, Any] | None:
        """The messages that nothing was answered after: lost ones, and those whose patience is over."""
        unanswered: list[_Message] = []
        for message in reversed(self._waiting):
            if message.state == _ANSWERED:
                break
            if message.state == _LOST or message.sent + self._patience <= now:
                unanswered.append(message)
        else:
            if self._outage is not None:
                last = unanswered[0].at if unanswered else self._outage["last"]
                more = sum(message.state == _LOST for message in unanswered)
                return dict(self._outage, last=last, lost=self._outage["lost"] + more, open=True)
        if not unanswered:
            return None
        lost = [message for message in unanswered if message.state == _LOST]
        error = next((message.error for message in lost if message.error != NO_ANSWER), NO_ANSWER)
        first, last = unanswered[-1].at, unanswered[0].at
        return {"kind": "outage", "flow": self.flow, "first": first, "last": last, "lost": len(lost), "error": error,
                "open": True}  # fmt: skip

    def _judge(self) -> None:
        """Put the oldest messages on record, as far as their fate is known."""
        while self._waiting and self._waiting[0].state != _SENT:
            message = self._waiting.popleft()
            if message.state == _LOST:
                self._note_lost(message)
            elif self._outage is not None:
                self._log.add(dict(self._outage, open=False))
                self._outage = None

    def _note_lost(self, message: _Message) -> None:
        if self._outage is None:
            self._outage = {"kind": "outage", "flow": self.flow, "first": message.at, "lost": 0, "error": NO_ANSWER}
        self._outage["last"] = message.at
        self._outage["lost"] += 1
        if message.error != NO_ANSWER:
            self._outage["error"] = message.error
