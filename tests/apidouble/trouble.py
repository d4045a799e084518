"""What can be made to go wrong between a client and the server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.apidouble.store import Refusal

Proceed = Callable[[], Awaitable[web.StreamResponse]]
Action = Callable[[web.Request, Proceed], Awaitable[web.StreamResponse]]
ALWAYS = 10**6


@dataclass(slots=True)
class Trouble:
    """Something that happens to the first requests that match."""

    match: str
    """A regular expression for `METHOD /path?query`."""
    action: Action | None = None
    times: int = 1
    after: int = 0
    """So many matching requests pass first."""
    cut_after: int | None = None
    """Of an exec: the connection breaks after so many bytes of standard output."""
    status: Mapping[str, Any] | None = None
    """Of an exec: the Status object that ends it."""
    mute: bool = False
    """Of an exec: no end is ever reported, the connection just closes."""
    stall: bool = False
    """Of an exec: nothing is ever said."""
    seen: int = field(default=0)

    def takes(self, line: str) -> bool:
        """Whether it happens to this request; counts."""
        if re.search(self.match, line, re.DOTALL) is None:
            return False
        self.seen += 1
        return self.after < self.seen <= self.after + self.times


def refuse(code: int, reason: str = "", message: str = "", **headers: str) -> Action:
    """Answer with a Status object; `retry_after` and the like become headers."""

    async def action(_request: web.Request, _proceed: Proceed) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        raise Refusal(code, reason or f"Reason{code}", message or f"the double says {code}", named)

    return action


def reset() -> Action:
    """Cut the connection without an answer."""

    async def action(request: web.Request, _proceed: Proceed) -> web.StreamResponse:
        _abort(request)
        return web.Response()

    return action


def lose_answer() -> Action:
    """Do what was asked, and cut the connection instead of saying so."""

    async def action(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        await proceed()
        _abort(request)
        return web.Response()

    return action


def hang(seconds: float) -> Action:
    """Say nothing for a long time."""

    async def action(_request: web.Request, proceed: Proceed) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await proceed()

    return action


def html(code: int = 200) -> Action:
    """Answer as a proxy or a login page does."""

    async def action(_request: web.Request, _proceed: Proceed) -> web.StreamResponse:
        return web.Response(status=code, text="<html><body>Please log in</body></html>", content_type="text/html")

    return action


def cut_body() -> Action:
    """Break off in the middle of the answer."""

    async def action(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        whole = await proceed()
        body = whole.body if isinstance(whole, web.Response) else b""
        content = body if isinstance(body, bytes) else b""
        answer = web.StreamResponse(status=whole.status, headers={"Content-Length": str(len(content))})
        await answer.prepare(request)
        await answer.write(content[: len(content) // 2])
        _abort(request)
        return answer

    return action


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
