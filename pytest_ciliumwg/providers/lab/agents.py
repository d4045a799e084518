"""The agents of the lab, each reached by a unix socket in the sandbox's file system."""

from __future__ import annotations

import contextlib
import io
import marshal
import os
import select
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from pytest_ciliumwg import agent
from pytest_ciliumwg.agent import bundle
from pytest_ciliumwg.errors import AgentError, ProviderError
from pytest_ciliumwg.providers.lab.sandbox import Sandbox

START_TIMEOUT = 30.0
ARCHIVE = "/run/ciliumwg/agent.pyz"

# Read once, then forked into each network namespace that is asked for: an agent starts in no time. A line
# `NUMBER PLACE…` starts agents, and is answered by `NUMBER` and the places whose agent died before it was ready.
_LAUNCHER = """
import ctypes, os, signal, sys
sys.path.insert(0, sys.argv[1])
from ciliumwg_agent.service import main
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000

def launch(name):
    os.makedirs("/run/ciliumwg/" + name, exist_ok=True)
    said, says = os.pipe()
    pid = os.fork()
    if pid:
        os.close(says)
        with open("/run/ciliumwg/%s/agent.pid" % name, "w") as file:
            file.write(str(pid))
        return open(said, "rb")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(says, 1)
    os.dup2(os.open("/run/ciliumwg/%s/agent.log" % name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    if libc.setns(os.open("/run/netns/" + name, os.O_RDONLY), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    raise SystemExit(main(["serve", "--socket", "/run/ciliumwg/%s/agent.sock" % name]))

os.chdir("/")
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps those that end
for line in sys.stdin:
    number, *names = line.split()
    started = [(name, launch(name)) for name in names]
    print(number, *(name for name, said in started if not said.readline()), flush=True)
"""


class SocketTransport:
    """Reaches one running agent."""

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


class Launcher:
    """Starts agents in network namespaces of the sandbox, at any time."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._batches = 0
        sandbox.put(ARCHIVE, _compiled(bundle()))
        python = sys.executable or "python3"
        self._process = sandbox.popen([python, "-I", "-S", "-c", _LAUNCHER, ARCHIVE], stdin=subprocess.PIPE)

    def start(self, places: Iterable[str]) -> dict[str, SocketTransport]:
        """Start an agent in each of these network namespaces and wait until all listen.

        Raises:
            ProviderError: an agent did not start.
        """
        names = list(places)
        lost = self._ask(names)
        if lost:
            why = (_last_output(self._sandbox, lost) or self._last_output() or "no reason given").splitlines()[-1]
            raise ProviderError(f"{len(lost)} of {len(names)} agents of the lab did not start: {why}")
        root = self._sandbox.root
        return {name: SocketTransport(name, root / f"run/ciliumwg/{name}/agent.sock") for name in names}

    def _ask(self, names: list[str]) -> list[str]:
        """Have agents started; returns the places of those that did not start.

        The answer to an earlier batch may come late, and is skipped.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("opened as pipes")
        self._batches += 1
        with contextlib.suppress(BrokenPipeError):  # it has ended, and has said why
            self._process.stdin.write(f"{self._batches} {' '.join(names)}\n".encode())
            self._process.stdin.flush()
        for line in _lines(self._process.stdout.fileno(), time.monotonic() + START_TIMEOUT):
            number, *lost = line.split()
            if int(number) == self._batches:
                return lost
        return names

    def _last_output(self) -> str:
        """What the launcher itself wrote before it ended; it is ended here if it still runs."""
        self._process.kill()
        return self._process.communicate()[1].decode(errors="replace").strip()

    def close(self) -> None:
        """Start no more agents; those that run end with the sandbox."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.kill()  # nsenter, which stops for ever if somebody stopped the launcher
        self._process.wait()


def _compiled(archive: bytes) -> bytes:
    """The agent's archive with the modules as this Python has compiled them, which the launcher need not do again."""
    compiled = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(compiled, "w") as target:
            for name in source.namelist():
                target.writestr(f"{name}c", _bytecode(name, source.read(name)))
    except zipfile.BadZipFile:
        return archive  # the launcher says what is wrong with it
    return compiled.getvalue()


def _bytecode(name: str, source: bytes) -> bytes:
    """A module in the form of a file `.pyc`: from Python's cache where that is of this source."""
    path = Path(agent.__file__).parents[1] / name.replace(agent.PACKAGE, "agent", 1)
    if path.exists() and path.read_bytes() == source:
        code = SourceFileLoader(name, str(path)).get_code(name)
    else:
        code = compile(source, name, "exec", dont_inherit=True)
    unchecked = (1).to_bytes(4, "little") + bytes(8)  # nobody has to compare it with its source (PEP 552)
    return MAGIC_NUMBER + unchecked + marshal.dumps(code)


def kill_script(places: Iterable[str]) -> str:
    """Shell text that kills the agents of these places, as far as they run; it runs in the sandbox."""
    return "\n".join(
        f"if [ -e /run/ciliumwg/{name}/agent.pid ]; then kill -KILL $(cat /run/ciliumwg/{name}/agent.pid) 2>/dev/null "
        f"|| :; rm -f /run/ciliumwg/{name}/agent.pid /run/ciliumwg/{name}/agent.sock; fi"
        for name in places
    )


def _lines(fd: int, deadline: float) -> Iterator[str]:
    """The lines that come until time is up, or the writers have closed the pipe."""
    seen = b""
    while select.select([fd], [], [], max(deadline - time.monotonic(), 0))[0]:
        if not (data := os.read(fd, 1 << 16)):
            return
        *lines, seen = (seen + data).split(b"\n")
        yield from (line.decode() for line in lines)


def _last_output(sandbox: Sandbox, names: list[str]) -> str:
    """What an agent that died after its start wrote last."""
    for name in names:
        with contextlib.suppress(OSError):
            if log := sandbox.root.joinpath(f"run/ciliumwg/{name}/agent.log").read_text(errors="replace").strip():
                return log
    return ""
