"""An API server that went away: each request waits for it at first, and none does once it has been silent for long."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from urllib3.connectionpool import HTTPConnectionPool

from pytest_ciliumwg.providers.kubernetes import contact
from pytest_ciliumwg.providers.kubernetes.errors import KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube, open_kube
from pytest_ciliumwg.providers.kubernetes.remote import Place, run_in
from pytest_ciliumwg.providers.kubernetes.retry import RetryPolicy
from tests.patience import PATIENCE

TRIES = 3


class Answering(BaseHTTPRequestHandler):
    """An API server that says {} to everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def api_server(port: int = 0) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", port), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def open_at(port: int, tmp_path: Path) -> Kube:
    config = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    return open_kube(path, None, RetryPolicy(attempts=TRIES, pause=0.001))


def test_nobody_waits_for_an_api_server_that_has_been_silent_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_server() as port:
        kube = open_at(port, tmp_path)
        assert kube.request("ask", "GET", "/version") == {}
    missed: list[contact.Contact] = []
    real = contact.Contact.missed

    def count(silent: contact.Contact) -> None:
        missed.append(silent)
        real(silent)

    monkeypatch.setattr(contact.Contact, "missed", count)

    asks: dict[str, Callable[[], object]] = {
        "request": lambda: kube.request("ask", "GET", "/version"),
        "exec": lambda: run_in(kube, Place("default", "one", ""), ["true"], timeout=PATIENCE),
    }

    def tries(ask: str) -> int:
        missed.clear()
        with pytest.raises(KubeError, match=r"cannot be reached \(Connection refused\)"):
            asks[ask]()
        return len(missed)

    assert [tries("request"), tries("exec")] == [TRIES, TRIES]
    monkeypatch.setattr(contact, "AWAY", 0.0)
    assert [tries("request"), tries("exec")] == [1, 1]
    with api_server(port):
        assert kube.request("ask", "GET", "/version") == {}
    monkeypatch.setattr(contact, "AWAY", 60.0)
    assert tries("request") == TRIES, "it had answered again"
    kube.close()


def test_after_an_interruption_nobody_waits_for_the_connections_that_it_broke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(pool: HTTPConnectionPool, _connection: object) -> None:
        assert pool.pool is not None
        pool.pool.mutex.acquire()  # as where Ctrl-C comes between a lock and the `try` that would release it
        raise KeyboardInterrupt

    with api_server() as port:
        kube = open_at(port, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(HTTPConnectionPool, "_put_conn", interrupted)
            with pytest.raises(KeyboardInterrupt):
                kube.request("look", "GET", "/version")
        asking = threading.Thread(target=kube.request, args=("look", "GET", "/version"), daemon=True)
        asking.start()
        asking.join(PATIENCE)
        assert not asking.is_alive()
        kube.close()
