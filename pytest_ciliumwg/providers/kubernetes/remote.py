"""Run a command in a container: the API's exec over one WebSocket, from the first byte to the exit status.

The client library's own `stream` cannot be used by several threads on one client, waits without end for a server that
accepts a connection and then says nothing, and turns Ctrl-C into an API error. So the WebSocket is ours; where it goes
and how it proves who we are is the library's.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_ciliumwg.providers.kubernetes.buffered import buffered_websocket
from pytest_ciliumwg.providers.kubernetes.errors import KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.kubernetes.resources import path_of
from pytest_ciliumwg.providers.kubernetes.retry import retried

if TYPE_CHECKING:
    from websocket import WebSocket

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS = 0, 1, 2, 3
_NO_PROGRAM = re.compile(r"executable file not found|: no such file or directory")
"""What container runtimes say of a command whose program is not in the image."""
_CHUNK = 1 << 15
"""Bytes of standard input in one message; what every server takes."""


class NoProgramError(KubeError):
    """The image of a container has not the program that was to run there."""


@dataclass(frozen=True, slots=True)
class Place:
    """A container."""

    namespace: str
    pod: str
    container: str
    """Empty: the pod's default one."""

    def __str__(self) -> str:
        return f"{f'container {self.container} of ' if self.container else ''}pod {self.namespace}/{self.pod}"


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended, or printed the line that was waited for."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def output(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def complaint(self) -> str:
        """Standard error on one line; the exit status where there is none."""
        return " ".join(self.stderr.decode("utf-8", "replace").split()) or f"exit status {self.status}"


def run_in(
    kube: Kube, place: Place, command: Sequence[str], *, stdin: bytes = b"", one_line: bool = False, timeout: float
) -> Done:
    """Run a command, again while that may help; the command must be safe to run twice.

    Args:
        kube: The API server.
        place: Where.
        command: What.
        stdin: Standard input. It cannot be closed on every server, so the command must know where it ends.
        one_line: Whether one whole line on standard output is all that is wanted.
        timeout: Seconds for all attempts together.

    Raises:
        KubeError: it could not be run, or neither ended nor gave its line.
    """
    deadline = time.monotonic() + timeout
    patience = kube.contact.patience()
    until = timeout if patience is None else min(timeout, patience)
    return retried(
        kube.retry_policy, lambda: _Conversation(kube, place, command, deadline, one_line).hold(stdin), until=until
    )


@dataclass(slots=True)
class _Conversation:
    kube: Kube
    place: Place
    command: Sequence[str]
    deadline: float
    one_line: bool
    received: dict[int, bytearray] = field(default_factory=lambda: {n: bytearray() for n in (STDOUT, STDERR, STATUS)})

    @property
    def doing(self) -> str:
        return f"run a command in {self.place}"

    def hold(self, stdin: bytes) -> Done:
        from websocket import WebSocketBadStatusException, WebSocketException, WebSocketTimeoutException

        try:
            sock = self._connect(reading=bool(stdin))
            try:
                self._write(sock, stdin)
                return self._read(sock)
            finally:
                sock.shutdown()  # type: ignore[no-untyped-call]  # at once, without waiting for the peer to close
        except WebSocketBadStatusException as error:
            headers = error.resp_headers or {}
            raise self.kube.api_server.answered(
                self.doing, error.status_code, headers, error.resp_body or b""
            ) from None
        except (WebSocketTimeoutException, TimeoutError):
            raise KubeError(f"cannot {self.doing}: it did not answer in time", passing=True) from None
        except WebSocketException as error:
            raise self._broken(str(error)) from None
        except OSError as error:
            raise self.kube.api_server.silent(self.doing, error) from None

    def _connect(self, *, reading: bool) -> WebSocket:
        from websocket import WebSocketBadStatusException, WebSocketTimeoutException, create_connection

        query = [("container", self.place.container)] if self.place.container else []
        query += [("stdout", "true"), ("stderr", "true")]
        query += [("stdin", "true")] if reading else []
        query += [("command", word) for word in self.command]
        where = path_of("pods", self.place.namespace, self.place.pod) + "/exec"
        target = self.kube.socket_target(where, query)
        timeout = min(self._left(), self.kube.contact.within(self.kube.retry_policy.request))
        try:
            connection = create_connection(
                target.url,
                timeout=timeout,
                header=list(target.headers),
                subprotocols=list(PROTOCOLS),
                sslopt=dict(target.tls),
                suppress_origin=True,
                class_=buffered_websocket(),
                redirect_limit=0,
                **target.proxy,
            )
        except (WebSocketTimeoutException, OSError):
            self.kube.contact.missed()
            raise
        except WebSocketBadStatusException:
            self.kube.contact.answered()
            raise
        self.kube.contact.answered()
        return connection

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _write(self, sock: WebSocket, stdin: bytes) -> None:
        for start in range(0, len(stdin), _CHUNK):
            sock.settimeout(self._left())
            sock.send_binary(bytes([STDIN]) + stdin[start : start + _CHUNK])

    def _read(self, sock: WebSocket) -> Done:
        from websocket import ABNF, WebSocketConnectionClosedException

        while not self.received[STATUS]:
            sock.settimeout(self._left())
            try:
                opcode, frame = sock.recv_data_frame(control_frame=True)
            except (WebSocketConnectionClosedException, ConnectionError):
                return self._ended()
            if opcode == ABNF.OPCODE_CLOSE:
                return self._ended()
            # An empty message opens a channel; the fifth protocol closes one with 255.
            if opcode in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) and frame.data and frame.data[0] in self.received:
                self.received[frame.data[0]] += frame.data[1:]
        return self._done(_exit_status(bytes(self.received[STATUS])))

    def _ended(self) -> Done:
        """The connection ended without a status: where one whole line was wanted and has come, that is no error."""
        if self.one_line and self.received[STDOUT].endswith(b"\n"):
            return self._done(0)
        raise self._broken("the connection ended before the command did")

    def _done(self, status: int | str) -> Done:
        if isinstance(status, str) and _NO_PROGRAM.search(status):
            raise NoProgramError(f"the image of {self.place} has no `{self.command[0]}`")
        if isinstance(status, str):
            # The node's container runtime could not do it, for instance because the container is restarting.
            raise KubeError(f"cannot {self.doing}: {status}", passing=True)
        return Done(status, bytes(self.received[STDOUT]), bytes(self.received[STDERR]))

    def _broken(self, why: str) -> KubeError:
        return KubeError(f"cannot {self.doing}: {why.rstrip('.') or 'the connection broke'}", passing=True)


def _exit_status(message: bytes) -> int | str:
    """The exit status in the Status object that ends an exec, or why there is none."""
    try:
        status: Any = json.loads(message)
        if status["status"] == "Success":
            return 0
        causes = (status.get("details") or {}).get("causes") or []
        codes = [int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"]
        return codes[0] if codes else " ".join(str(status.get("message") or status.get("reason")).split())
    except (ValueError, KeyError, TypeError, AttributeError):
        return "its end was reported in a way that is not understood"
