"""The account of a continuous flow: what was answered, what was lost, and the outages: messages lost in a row."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

from ..log import Log

NO_ANSWER = "no answer"
_LOST_REMEMBERED = 4096
_SENT, _ANSWERED, _LOST = 0, 1, 2


class _Message:
    """One message on its way."""

    __slots__ = ("at", "deadline", "error", "number", "state")

    def __init__(self, number: int, at: float, deadline: float) -> None:
        self.number = number
        self.at = at
        self.deadline = deadline
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
        self._given_up: OrderedDict[int, None] = OrderedDict()
        self._outage: dict[str, Any] | None = None

    @property
    def waiting(self) -> bool:
        """Whether an answer may still come in time."""
        return bool(self._by_number)

    def send(self, number: int, now: float, at: float) -> None:
        """A message goes out; `now` is of the monotonic clock, `at` of the wall clock."""
        message = _Message(number, at, now + self._patience)
        self.sent += 1
        self._waiting.append(message)
        self._by_number[number] = message

    def answer(self, number: int) -> None:
        """An answer came; that to a message that was given up is late."""
        message = self._by_number.pop(number, None)
        if message is not None:
            message.state = _ANSWERED
            self.answered += 1
            self._judge()
        elif number in self._given_up:
            del self._given_up[number]
            self.late += 1

    def lose(self, number: int, error: str) -> None:
        """A message is lost, for that reason."""
        message = self._by_number.pop(number, None)
        if message is None:
            return
        message.state = _LOST
        message.error = error
        self.lost += 1
        self._given_up[number] = None
        if len(self._given_up) > _LOST_REMEMBERED:
            self._given_up.popitem(last=False)
        self._judge()

    def overdue(self, now: float) -> list[int]:
        """Numbers of the messages whose time is over."""
        numbers: list[int] = []
        for message in self._waiting:
            if message.deadline > now:
                break
            if message.state == _SENT:
                numbers.append(message.number)
        return numbers

    def totals(self, connections: int) -> list[int]:
        """The row `[flow, sent, answered, lost, late, connections]`."""
        return [self.flow, self.sent, self.answered, self.lost, self.late, connections]

    def open_outage(self) -> dict[str, Any] | None:
        """The outage that goes on."""
        return None if self._outage is None else dict(self._outage, open=True)

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
