"""The exec of the API: a WebSocket with one channel for each stream, in its fourth and fifth version."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.apidouble.backend import Backend
from tests.apidouble.containers import Running
from tests.apidouble.store import Object, Refusal
from tests.apidouble.trouble import Trouble

STDIN, STDOUT, STDERR, STATUS, CLOSE = 0, 1, 2, 3, 255
_CHUNK = 1 << 15
"""Bytes of output in one message, as container runtimes copy them."""


class Cut(Exception):  # noqa: N818 - a signal, no error
    """The connection shall break here."""


class Execution:
    """One exec."""

    def __init__(self, backend: Backend, pod: Object, protocols: tuple[str, ...], trouble: Trouble | None) -> None:
        self._backend = backend
        self._pod = pod
        self._protocols = protocols
        self._trouble = trouble or Trouble("")
        self._sent = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Run the command and carry its streams."""
        statuses = self._pod["status"].get("containerStatuses") or ()
        container = request.query.get("container") or (statuses[0]["name"] if statuses else "")
        if not any(status["name"] == container and status.get("ready") for status in statuses):
            raise Refusal(400, "BadRequest", f"container {container} is not valid or not running")
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if not any(protocol in offered for protocol in self._protocols):
            raise Refusal(400, "BadRequest", "unable to upgrade: no common protocol")
        socket = web.WebSocketResponse(protocols=self._protocols, autoping=True)
        await socket.prepare(request)
        for channel in (STDOUT, STDERR, STATUS):
            await socket.send_bytes(bytes([channel]))
        if self._trouble.stall:
            await asyncio.sleep(60)
        try:
            status = self._trouble.status or await self._run(socket, container, request.query.getall("command"))
            if not self._trouble.mute:
                await socket.send_bytes(bytes([STATUS]) + json.dumps(status).encode())
        except Cut:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass
        await socket.close()
        return socket

    async def _run(self, socket: web.WebSocketResponse, container: str, command: list[str]) -> dict[str, Any]:
        process = await self._backend.process(self._pod, container, command)
        feeding = asyncio.create_task(self._feed(socket, process))
        try:
            await asyncio.gather(
                self._carry(socket, STDOUT, process.stdout), self._carry(socket, STDERR, process.stderr)
            )
            code = await process.wait()
        finally:
            feeding.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code == 0:
            return {"metadata": {}, "status": "Success"}
        message = f"command terminated with non-zero exit code: exit status {code}"
        causes = {"causes": [{"reason": "ExitCode", "message": str(code)}]}
        return {"metadata": {}, "status": "Failure", "message": message, "reason": "NonZeroExitCode", "details": causes}

    async def _feed(self, socket: web.WebSocketResponse, process: Running) -> None:
        assert process.stdin is not None
        async for message in socket:
            if message.type is not WSMsgType.BINARY:
                continue
            if message.data[0] == CLOSE:
                process.stdin.close()
            elif message.data[0] == STDIN:
                process.stdin.write(message.data[1:])
                await process.stdin.drain()

    async def _carry(self, socket: web.WebSocketResponse, channel: int, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        while data := await stream.read(_CHUNK):
            limit = self._trouble.cut_after
            if channel == STDOUT and limit is not None and self._sent + len(data) >= limit:
                await socket.send_bytes(bytes([channel]) + data[: limit - self._sent])
                await asyncio.sleep(0.01)
                raise Cut
            self._sent += len(data)
            await socket.send_bytes(bytes([channel]) + data)
