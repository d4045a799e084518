"""The agents of the lab, and the way to them: a unix socket, reached through the sandbox's file system."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from pytest_ciliumwg.agent import bundle
from pytest_ciliumwg.errors import AgentError, ProviderError
from pytest_ciliumwg.providers.lab.sandbox import Sandbox

START_TIMEOUT = 30.0
ARCHIVE = "/run/ciliumwg/agent.pyz"

# Read and compiled once, then forked into each network namespace: dozens of agents start in the time of one.
_LAUNCHER = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[1])
from ciliumwg_agent.service import main
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
for name in sys.argv[2:]:
    if os.fork() == 0:
        log = os.open("/run/ciliumwg/%s/agent.log" % name, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(log, 2)
        if libc.setns(os.open("/run/netns/" + name, os.O_RDONLY), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        raise SystemExit(main(["serve", "--socket", "/run/ciliumwg/%s/agent.sock" % name]))
"""


class SocketPort:
    """The way to one running agent."""

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path

    @property
    def name(self) -> str:
        """The node's or pod's name."""
        return self._name

    def exchange(self, request: bytes, *, timeout: float) -> bytes:
        """Hand the agent one JSON request and return its JSON reply.

        Raises:
            AgentError: the agent cannot be reached or did not answer in time.
        """
        deadline = time.monotonic() + timeout
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as conversation:
                conversation.settimeout(timeout)
                conversation.connect(str(self._path))
                conversation.sendall(request)
                conversation.shutdown(socket.SHUT_WR)
                reply = b"".join(_until_end(conversation, deadline))
        except TimeoutError:
            raise AgentError(f"the agent on {self._name} did not answer within {timeout:.1f} s") from None
        except OSError as error:
            raise AgentError(f"the agent on {self._name} cannot be reached: {error.strerror or error}") from None
        if not reply:
            raise AgentError(f"the agent on {self._name} closed the connection without an answer")
        return reply


def _until_end(conversation: socket.socket, deadline: float) -> Iterable[bytes]:
    while True:
        conversation.settimeout(max(deadline - time.monotonic(), 0.001))
        if not (data := conversation.recv(1 << 16)):
            return
        yield data


def start_agents(sandbox: Sandbox, places: Iterable[str]) -> dict[str, SocketPort]:
    """Start an agent in each of these network namespaces and wait until all listen.

    Raises:
        ProviderError: an agent did not start.
    """
    names = list(places)
    sandbox.put(ARCHIVE, bundle())
    starter = sandbox.popen(["sh", "-c", _start_script(names)])
    if starter.stdout is None or starter.stderr is None:
        raise AssertionError("opened as pipes")
    with starter.stdout as output, starter.stderr as errors:
        ready = _count_ready(output.fileno(), len(names))
        starter.wait()
        said = errors.read().decode(errors="replace") if ready < len(names) else ""
    if ready < len(names):
        why = (said.strip() or _last_words(sandbox, names) or "no reason given").splitlines()[-1]
        raise ProviderError(f"{len(names) - ready} of {len(names)} agents of the lab did not start: {why}")
    return {name: SocketPort(name, sandbox.root / f"run/ciliumwg/{name}/agent.sock") for name in names}


def _start_script(names: list[str]) -> str:
    python = sys.executable or "python3"
    return f"""
cd /
mkdir -p {" ".join(f"/run/ciliumwg/{name}" for name in names)}
exec "{python}" -I -S - {ARCHIVE} {" ".join(names)} <<'END'
{_LAUNCHER}END
"""


def _count_ready(fd: int, wanted: int) -> int:
    """Read `ready` lines until there are enough, the agents are gone, or time is up."""
    seen = b""
    deadline = time.monotonic() + START_TIMEOUT
    while seen.count(b"ready") < wanted:
        if not select.select([fd], [], [], max(deadline - time.monotonic(), 0))[0]:
            break
        if not (data := os.read(fd, 1 << 16)):
            break
        seen += data
    return seen.count(b"ready")


def _last_words(sandbox: Sandbox, names: list[str]) -> str:
    """What an agent wrote that died after it had started."""
    for name in names:
        with contextlib.suppress(OSError):
            if log := sandbox.root.joinpath(f"run/ciliumwg/{name}/agent.log").read_text(errors="replace").strip():
                return log
    return ""
