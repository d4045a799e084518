"""The server: HTTP and WebSocket on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote_plus

from aiohttp import web

from tests.apidouble.backend import Backend
from tests.apidouble.execution import Execution
from tests.apidouble.kubelet import Kubelet
from tests.apidouble.mishaps import Mishap
from tests.apidouble.rbac import Attributes, Rbac
from tests.apidouble.store import Object, Refusal, Store, as_list
from tests.apidouble.trouble import Trouble
from tests.patience import PATIENCE

TOKEN = "double-token"  # noqa: S105 - nobody's


class ApiDouble:
    """A Kubernetes API server over a backend; a context manager."""

    def __init__(
        self, backend: Backend, *, page: int = 500, protocols: tuple[str, ...] = (), tls: Path | None = None
    ) -> None:
        self.store = Store()
        self.backend = backend
        self.kubelet = Kubelet(self.store, backend)
        self.troubles: list[Trouble] = []
        self.journal: list[str] = []
        """`METHOD path?query` of every request."""
        self.rbac: Rbac | None = None
        """What the client may do; None: everything."""
        self._page = page
        self._protocols = protocols or ("v5.channel.k8s.io", "v4.channel.k8s.io")
        self._tls = tls
        self._transports: set[asyncio.Transport] = set()
        for resource, value in backend.objects():
            self.store.put(resource, value)

    def trouble(self, match: str, action: Any = None, **how: Any) -> Trouble:
        """Let something happen to requests."""
        made = Trouble(match, action, **how)
        self.troubles.append(made)
        return made

    def mishap(self, **how: Any) -> None:
        """Let something happen to pods or namespaces."""
        self.kubelet.mishaps.append(Mishap(**how))

    def ours(self) -> list[str]:
        """The namespaces of runs that are there now."""
        return [name for name in self.store.names("namespaces") if name.startswith("ciliumwg-")]

    def restart(self, seconds: float) -> None:
        """Be away for some seconds, as an API server that restarts: connections break, and new ones are refused."""
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self._come_back)

    async def _leave(self) -> None:
        # A connection accepted while the server closes gets lost unclosed: accept no more, and let those be made.
        server = self._site._server
        assert isinstance(server, asyncio.Server)
        for listening in server.sockets:
            self._loop.remove_reader(listening.fileno())
        await asyncio.sleep(0)
        await self._site.stop()
        for transport in self._transports:
            transport.abort()
        self._transports.clear()

    def _come_back(self) -> None:
        self._site = self._again()
        self._coming = self._loop.create_task(self._site.start())

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True, name="apidouble")
        self._thread.start()
        ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.kubelet.close()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(PATIENCE)

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run(ready))
        self._loop.close()

    async def _run(self, ready: threading.Event) -> None:
        self._stopping = asyncio.Event()
        app = web.Application(client_max_size=4 << 20)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
        await runner.setup()
        context = None
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._tls)
        self._site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await self._site.start()
        self.port: int = runner.addresses[0][1]
        self._again: Callable[[], web.TCPSite] = lambda: web.TCPSite(
            runner, "127.0.0.1", self.port, ssl_context=context
        )
        ready.set()
        await self._stopping.wait()
        await runner.cleanup()
        # Some of them may have been told to say nothing for long.
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        # A TLS connection would wait half a minute for its peer to close; what is aborted closes in the next turns.
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0.01)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def kubeconfig(self, path: Path, **cluster: Any) -> Path:
        """Write a kubeconfig with the contexts `double` (current) and `stranger`, whose token is wrong."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "double",
            "clusters": [{"name": "double", "cluster": {"server": self.url, **cluster}}],
            "contexts": [
                {"name": "double", "context": {"cluster": "double", "user": "admin"}},
                {"name": "stranger", "context": {"cluster": "double", "user": "stranger"}},
            ],
            "users": [
                {"name": "admin", "user": {"token": TOKEN}},
                {"name": "stranger", "user": {"token": "wrong"}},
            ],
        }
        path.write_text(json.dumps(config), encoding="utf-8")
        return path

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._transports.add(request.transport)
        if request.path.startswith("/machines/"):
            _, _, verb, node = request.path.split("/")
            await asyncio.to_thread(self.kubelet.machines.act, verb, node)
            return web.json_response({})
        line = f"{request.method} {unquote_plus(request.path_qs)}"
        self.journal.append(line)
        trouble = next((trouble for trouble in self.troubles if trouble.takes(line)), None)

        async def proceed() -> web.StreamResponse:
            return await self._answer(request, trouble)

        try:
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refusal(401, "Unauthorized", "Unauthorized")
            if self.rbac is not None:
                self.rbac.check(Attributes.of(request.method, request.path))
            if trouble is not None and trouble.action is not None:
                return await trouble.action(request, proceed)
            return await proceed()
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.code, headers=refusal.headers)

    async def _answer(self, request: web.Request, trouble: Trouble | None) -> web.StreamResponse:
        words = request.path.strip("/").split("/")
        words = words[2:] if words[0] == "api" else words[3:]
        namespace = None
        if len(words) > 2 and words[0] == "namespaces":
            namespace, words = words[1], words[2:]
        if words[2:] == ["exec"]:
            pod = self.store.get("pods", namespace, words[1])
            return await Execution(self.backend, pod, self._protocols, trouble).serve(request)
        body = json.loads(await request.read() or b"null")
        answer = await asyncio.to_thread(self._act, request, words, namespace, body)
        return web.json_response(answer, status=201 if request.method == "POST" else 200)

    def _act(self, request: web.Request, words: list[str], namespace: str | None, body: Object | None) -> Object:
        resource, name = words[0], words[1] if len(words) > 1 else None
        for changed, value in self.backend.refresh():
            self.store.put(changed, value)
        match request.method:
            case "GET" if name is None:
                return self._list(request, resource, namespace)
            case "GET":
                return self.store.get(resource, namespace, str(name))
            case "POST" if words[2:] == ["eviction"]:
                self.kubelet.deleted(resource, self.store.get(resource, namespace, str(name)), None)
                return {"kind": "Status", "status": "Success"}
            case "POST":
                made = self.store.create(resource, namespace, body or {})
                self.kubelet.created(resource, made)
                return made
            case "PATCH":
                before = self.store.get(resource, namespace, str(name))
                after = self.store.merge(resource, namespace, str(name), body or {})
                self.kubelet.changed(resource, before, after)
                return after
            case "DELETE":
                gone = self.store.get(resource, namespace, str(name))
                wanted = ((body or {}).get("preconditions") or {}).get("uid")
                if wanted not in (None, gone["metadata"]["uid"]):
                    raise Refusal(409, "Conflict", "the UID in the precondition does not match")
                self.kubelet.deleted(resource, gone, (body or {}).get("gracePeriodSeconds"))
                return gone
            case _:
                raise Refusal(405, "MethodNotAllowed", "the double has no such method")

    def _list(self, request: web.Request, resource: str, namespace: str | None) -> Object:
        query: Mapping[str, str] = request.query
        selector = query.get("labelSelector", "")
        labels = dict(part.split("=", 1) for part in selector.split(",") if part)
        if resource == "pods" and namespace and namespace.startswith("ciliumwg-"):
            self.kubelet.looked()
        field, _, node = query.get("fieldSelector", "").partition("=")
        items = self.store.select(resource, namespace, labels, node=node if field == "spec.nodeName" else None)
        start = int(query.get("continue") or 0)
        end = start + min(int(query.get("limit") or len(items) or 1), self._page)
        following = str(end) if end < len(items) else ""
        bare = "PartialObjectMetadataList" in request.headers.get("Accept", "")
        return as_list(resource, items[start:end], following, metadata_only=bare)
