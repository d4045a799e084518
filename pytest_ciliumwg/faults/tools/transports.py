"""Transports in front of a node's agent: with them a fault acts when the watch begins or the flows end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from pytest_ciliumwg.providers.base import AgentTransport


class PassingTransport:
    """Passes every request on; a subclass does one thing more."""

    def __init__(self, inner: AgentTransport) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        """The node's name."""
        return self.inner.name

    def exchange(self, request: bytes, *, timeout: float) -> bytes:
        """Pass one request on."""
        message = json.loads(request)
        return self.pass_on(message if isinstance(message, dict) else {}, request, timeout)

    def pass_on(self, message: Mapping[str, Any], request: bytes, timeout: float) -> bytes:
        """Handle one request, decoded as `message`, and return the reply."""
        del message
        return self.inner.exchange(request, timeout=timeout)


class LateTransport(PassingTransport):
    """Says that the watch has started, and starts it only for the last request of the measurement."""

    def __init__(self, inner: AgentTransport) -> None:
        super().__init__(inner)
        self._held: dict[str, bytes] = {}
        self._controls: set[Any] = set()

    def pass_on(self, message: Mapping[str, Any], request: bytes, timeout: float) -> bytes:
        """Hold `watch-start` until the control canary after the flows, or the end of the watch."""
        operation = message.get("op")
        if operation == "watch-start":
            self._held[str(message.get("job"))] = request
            return json.dumps({"ok": True, "started": time.time()}).encode() + b"\n"
        if operation == "control":
            self._controls.add(message.get("number"))
        if operation == "watch-stop" or (operation == "control" and len(self._controls) > 1):
            self._release(timeout)
        return self.inner.exchange(request, timeout=timeout)

    def _release(self, timeout: float) -> None:
        while self._held:
            _, held = self._held.popitem()
            self.inner.exchange(held, timeout=timeout)
        self._controls.clear()


class EarlyTransport(PassingTransport):
    """Ends the watch a moment after the first control canary, while flows are on their way."""

    def __init__(self, inner: AgentTransport, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._jobs: list[str] = []

    def pass_on(self, message: Mapping[str, Any], request: bytes, timeout: float) -> bytes:
        """Remember the watch, and end it after the first control canary."""
        if message.get("op") == "watch-start":
            self._jobs.append(str(message.get("job")))
        if message.get("op") == "control" and self._jobs:
            stop = json.dumps({"op": "watch-stop", "job": self._jobs.pop()}).encode() + b"\n"
            timer = threading.Timer(self._seconds, self.inner.exchange, [stop], {"timeout": timeout})
            timer.daemon = True
            timer.start()
        return self.inner.exchange(request, timeout=timeout)


class RewritingTransport(PassingTransport):
    """Starts every watch in another way than it was asked for, and may do something right after."""

    def __init__(
        self, inner: AgentTransport, changes: Mapping[str, Any], then: Callable[[], object] | None = None
    ) -> None:
        super().__init__(inner)
        self._changes = changes
        self._then = then

    def pass_on(self, message: Mapping[str, Any], request: bytes, timeout: float) -> bytes:
        """Rewrite `watch-start`."""
        if message.get("op") != "watch-start":
            return self.inner.exchange(request, timeout=timeout)
        changed = json.dumps({**message, **self._changes}).encode() + b"\n"
        reply = self.inner.exchange(changed, timeout=timeout)
        if self._then is not None:
            self._then()
        return reply


class AfterStartTransport(PassingTransport):
    """Does something once, when the watch stands and before the first control canary."""

    def __init__(self, inner: AgentTransport, then: Callable[[], object]) -> None:
        super().__init__(inner)
        self._then: Callable[[], object] | None = then

    def pass_on(self, message: Mapping[str, Any], request: bytes, timeout: float) -> bytes:
        """Do it before the first control canary."""
        if message.get("op") == "control" and self._then is not None:
            then, self._then = self._then, None
            then()
        return self.inner.exchange(request, timeout=timeout)


class AfterFlowsTransport(PassingTransport):
    """Does something once, when all flows have passed and before the last control canary."""

    def __init__(self, inner: AgentTransport, then: Callable[[], object]) -> None:
        super().__init__(inner)
        self._then: Callable[[], object] | None = then
        self._controls: set[Any] = set()

    def pass_on(self, message: Mapping[str, Any], request: bytes, timeout: float) -> bytes:
        """Do it before the second control canary."""
        if message.get("op") == "control":
            self._controls.add(message.get("number"))
            if len(self._controls) > 1 and self._then is not None:
                then, self._then = self._then, None
                then()
        return self.inner.exchange(request, timeout=timeout)
