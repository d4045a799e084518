"""Send flows from a pod, some at a time, and account for every message of each."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from typing import Any

from . import echo
from .conversation import Conversation, Icmp, Tcp, Udp
from .pace import Pace
from .sockets import NoPortError, Stalls, fragmenting, reason

_TICK = 0.05
_AT_ONCE = 16
"""Flows that are under way together: with all of hundreds, answers would wait for seconds behind all others."""
_START_SECONDS = 0.01
"""After so long, times the patience, the next flow starts all the same: those without an answer keep none waiting."""
LONGEST = 4
"""While answers come, a sender goes on up to so many times its time."""
_ICMP_SOCKETS_HINT = "the pod needs the capability NET_RAW for ICMP"


class Sender:
    """Sends flows from construction on, in one thread; those that take longest first."""

    def __init__(self, flows: list[dict[str, Any]], timeout: float) -> None:
        self.finished = threading.Event()
        self._stopping = threading.Event()
        self._stalls = Stalls(_TICK)
        self._pace = Pace()
        self._selector = selectors.DefaultSelector()
        self._icmp: dict[tuple[int, bool], socket.socket] = {}
        self._by_identifier: dict[tuple[int, int, str], Icmp] = {}
        self._failed: list[dict[str, Any]] = []
        self._conversations: list[Conversation] = []
        self._waiting = deque(sorted((dict({"timeout": timeout}, **flow) for flow in flows), key=_longest_first))
        self._under_way: list[Conversation] = []
        self._next_start = 0.0
        self._timeout = timeout
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()

    def results(self) -> list[dict[str, Any]]:
        """One account for each flow; whole once `finished` is set."""
        begun = self._failed + [conversation.row() for conversation in self._conversations]
        return begun + [dict(Conversation(flow, self._pace).row(), unfinished=True) for flow in self._waiting]

    @property
    def stalled(self) -> float:
        """Seconds for which it could neither send nor receive at the longest, because it was not run."""
        return self._stalls.longest

    @property
    def typical(self) -> float:
        """Seconds within which half of the answers came, of messages of which nothing was lost."""
        return self._pace.typical

    def stop(self) -> None:
        """Give up what is not done."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set() and time.monotonic() < self._deadline():
                self._stalls.round()
                now = time.monotonic()
                self._under_way = [conversation for conversation in self._under_way if not conversation.done]
                self._start(now)
                if not self._under_way:
                    break
                for conversation in self._under_way:
                    conversation.step(now)
                for key, _ in self._selector.select(self._pause()):
                    key.data()
        finally:
            self._close()
            self.finished.set()

    def _deadline(self) -> float:
        """Its time is over when it is, and nothing has been heard for a quarter of it."""
        heard = self._pace.heard + self._timeout / LONGEST
        return min(self._begun + LONGEST * self._timeout, max(self._begun + self._timeout, heard))

    def _start(self, now: float) -> None:
        """Start what there is room for, and one more where it has waited for its time."""
        while self._waiting and (len(self._under_way) < _AT_ONCE or now >= self._next_start):
            flow = self._waiting.popleft()
            self._next_start = now + _START_SECONDS * float(flow.get("patience", 1.0))
            conversation = self._begin(flow)
            if conversation is not None:
                self._conversations.append(conversation)
                self._under_way.append(conversation)

    def _pause(self) -> float:
        """How long nothing is due."""
        due = min(conversation.due for conversation in self._under_way)
        if self._waiting:
            due = min(due, self._next_start)
        return min(_TICK, max(0.0, due - time.monotonic()))

    def _begin(self, flow: dict[str, Any]) -> Conversation | None:
        try:
            if flow["protocol"] == "icmp":
                return self._icmp_conversation(flow)
            return (Udp if flow["protocol"] == "udp" else Tcp)(flow, self._pace, self._selector)
        except OSError as error:
            denied = isinstance(error, PermissionError)
            refused = denied or isinstance(error, NoPortError)
            row = dict(Conversation(flow, self._pace).row(), error=reason(error), refused=refused, unfinished=False)
            if denied:
                row["error"] += f" ({_ICMP_SOCKETS_HINT})"
            self._failed.append(row)
            return None

    def _icmp_conversation(self, flow: dict[str, Any]) -> Icmp:
        family = socket.AF_INET6 if ":" in flow["destination"] else socket.AF_INET
        key = (int(family), bool(flow.get("dont_fragment")))
        sock = self._icmp.get(key)
        if sock is None:
            sock = self._icmp[key] = echo.open_socket(family)
            fragmenting(sock, key[1])
            self._selector.register(sock, selectors.EVENT_READ, lambda: self._echo_reply(sock, family))
        conversation = Icmp(flow, self._pace, sock)
        self._by_identifier[key[0], conversation.port, conversation.destination] = conversation
        return conversation

    def _echo_reply(self, sock: socket.socket, family: int) -> None:
        try:
            data, sender = sock.recvfrom(65535)
        except OSError:
            return
        answer = echo.answer(family, data)
        if answer is None:
            return
        conversation = self._by_identifier.get((int(family), answer[0], sender[0]))
        # The socket without DF and the one with it both get every answer; each is counted once.
        if conversation is not None and conversation.socket is sock:
            conversation.answer(answer[1])

    def _close(self) -> None:
        for conversation in self._conversations:
            conversation.close()
        for sock in self._icmp.values():
            sock.close()
        self._selector.close()


def _longest_first(flow: dict[str, Any]) -> tuple[bool, int]:
    """What nobody is expected to answer only waits, so it does that while others go; then those of many messages."""
    return "rounds" not in flow, -int(flow["count"])
