"""Flows that last: from each, a message at a steady rate, for hours; outages are told as they end."""

from __future__ import annotations

import resource
import threading
import time
from typing import Any

from ..log import Log
from .account import LOST_AFTER, Account
from .channels import Channel, FreshUdp, Icmp, IcmpSockets, Udp
from .connections import FreshTcp, Tcp
from .poller import Poller
from .sockets import reason

_TICK = 0.01
_SMALLEST = {"icmp": 4, "udp": 4, "tcp": 8}


class _Flow:
    """When the messages of a flow are due."""

    def __init__(self, channel: Channel, interval: float, due: float) -> None:
        self.channel = channel
        self.account = channel.account
        self._interval = interval
        self._due = due
        self._number = 0

    def step(self, now: float) -> None:
        """Send what is due; what was missed (the process was held up) is not made up for."""
        if now < self._due:
            return
        on_time = self._due + self._interval
        self._due = on_time if on_time > now else now + self._interval
        number = self._number = (self._number + 1) & 0xFFFFFFFF
        self.account.send(number, now, time.time())
        try:
            self.channel.send(number)
        except OSError as error:
            self.channel.give_up(number)
            self.account.lose(number, reason(error))

    def expire(self, now: float) -> None:
        """Give up what is lost."""
        for number in self.account.overdue(now):
            self.account.lose(number, self.channel.give_up(number))


class Stream:
    """Sends from construction until `stop`, in one thread that wakes up a hundred times a second.

    Rows of `flows` are `{id, protocol, source, destination, port, token, payload_size, interval, fresh}`; a message
    that is answered after `patience` seconds is late, and lost when it is not after thrice that time.

    Raises:
        ValueError: a flow makes no sense.
    """

    def __init__(self, flows: list[dict[str, Any]], patience: float) -> None:
        if not 0 < patience <= 60:
            raise ValueError("the patience must be more than 0 and at most 60 seconds")
        self._log = Log()
        self._patience = patience
        self._poller = Poller()
        self._icmp = IcmpSockets(self._poller)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._result: dict[str, Any] | None = None
        try:
            self._flows = self._prepare(flows)
        except BaseException:
            self._poller.close()
            raise
        _allow_many_sockets()
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._thread.start()

    def collect(self, acknowledged: int) -> dict[str, Any]:
        """`{now, entries, overflow, open, totals}`; entries up to `acknowledged` are forgotten.

        Entries are outages that ended, `open` those that go on; `totals` are rows of
        `[flow, sent, answered, lost, late, connections]`.
        """
        with self._lock:
            report = self._result or self._report()
        return dict(report, entries=self._log.after(acknowledged), overflow=self._log.overflow)

    def stop(self, acknowledged: int) -> dict[str, Any]:
        """Send no more, wait for the last answers, close everything; gives what `collect` gives, always the same."""
        self._stopping.set()
        self._thread.join()
        with self._lock:
            if self._result is None:
                self._result = self._report()
                for flow in self._flows:
                    flow.channel.close()
                self._icmp.close()
                self._poller.close()
        return self.collect(acknowledged)

    def _prepare(self, rows: list[dict[str, Any]]) -> list[_Flow]:
        flows: list[_Flow] = []
        start = time.monotonic()
        for n, row in enumerate(rows):
            interval = float(row["interval"])
            if not 0.001 <= interval <= 3600:
                raise ValueError("an interval must be from 0.001 to 3600 seconds")
            # Spread over the interval, so that flows do not burst.
            flows.append(_Flow(self._channel(row), interval, start + interval * n / len(rows)))
        return flows

    def _channel(self, row: dict[str, Any]) -> Channel:
        protocol, fresh = str(row["protocol"]), bool(row["fresh"])
        if int(row["payload_size"]) < _SMALLEST[protocol]:
            raise ValueError(f"a {protocol} message needs at least {_SMALLEST[protocol]} bytes for its number")
        account = Account(int(row["id"]), self._patience, self._log)
        if protocol == "icmp":
            return Icmp(row, account, self._poller, self._icmp)
        if protocol == "udp":
            return (FreshUdp if fresh else Udp)(row, account, self._poller)
        return (FreshTcp if fresh else Tcp)(row, account, self._poller)

    def _run(self) -> None:
        while not self._stopping.wait(_TICK):
            self._step(sending=True)
        latest = time.monotonic() + LOST_AFTER * self._patience + _TICK
        while any(flow.account.waiting for flow in self._flows) and time.monotonic() < latest:
            time.sleep(_TICK)
            self._step(sending=False)

    def _step(self, sending: bool) -> None:
        try:
            with self._lock:
                self._poller.poll()
                now = time.monotonic()
                for flow in self._flows:
                    flow.expire(now)
                    if sending:
                        flow.step(now)
        except Exception as error:  # whatever it is, the log must say that the stream was interrupted
            self._log.failure(f"the stream could not go on: {error!r}")

    def _report(self) -> dict[str, Any]:
        now = time.monotonic()
        outages = [flow.account.open_outage(now) for flow in self._flows]
        return {
            "now": time.time(),
            "open": [outage for outage in outages if outage is not None],
            "totals": [flow.account.totals(flow.channel.connections) for flow in self._flows],
        }


def _allow_many_sockets() -> None:
    """With fresh sockets, an outage holds as many as messages are sent within the patience."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
