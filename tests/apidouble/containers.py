"""Processes of containers in a lab's sandbox, started by the one that forks there (see `runner.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import io
import json
import marshal
import os
import socket
import sys
import threading
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from pytest_ciliumwg.providers.lab.sandbox import Sandbox

_SOCKET, _COMPILED = "/run/apidouble/runner.sock", "/run/apidouble/compiled.zip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command line and where it belongs; all paths are the sandbox's."""

    argv: list[str]
    env: dict[str, str]
    netns: str
    beside: int = 0
    """A process whose mounts it shares; 0: none."""
    binds: tuple[tuple[str, str], ...] = ()
    """What else is mounted: source and target."""
    restricted: bool = False
    """Whether it has the capabilities alone that our pods ask for."""
    file: str = ""
    """Where the program's file is, if it is one of a ConfigMap."""
    compiled: str = _COMPILED


class Input(Protocol):
    """What an exec needs of a process's standard input, `asyncio.StreamWriter` being one."""

    def write(self, data: bytes) -> None:
        """Hand it some bytes."""
        ...

    async def drain(self) -> None:
        """Wait until it can take more."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Running(Protocol):
    """What an exec needs of a process, `asyncio.subprocess.Process` being one."""

    @property
    def stdin(self) -> Input | None:
        """Where it reads."""
        ...

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """What it prints."""
        ...

    @property
    def stderr(self) -> asyncio.StreamReader | None:
        """What it complains of."""
        ...

    @property
    def returncode(self) -> int | None:
        """Its exit status, once it has ended."""
        ...

    async def wait(self) -> int:
        """Wait for its end."""
        ...

    def kill(self) -> None:
        """Have no more to do with it."""
        ...


class Containers:
    """The way to the process of a sandbox that starts others."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._process = sandbox.popen([sys.executable, "-I", "-S", str(Path(__file__).with_name("runner.py")), _SOCKET])
        self._lock = threading.Lock()
        self._installed = False
        self._ready = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        """Tell when the process is ready, and reap it when it has ended with its sandbox."""
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._ready.set()
        self._process.communicate()

    def install(self, archive: bytes) -> None:
        """Compile the agent's archive, the first that comes, so that not every sandbox has to."""
        with self._lock:
            if not self._installed:
                self._sandbox.put(_COMPILED, compiled(archive))
                self._installed = True

    def start(self, job: Job, log: Path) -> int:
        """Start what runs until it is stopped, and wait for the first line that it prints; returns its process id.

        Raises:
            RuntimeError: it ended without one.
        """
        said, says = os.pipe()
        with Path(os.devnull).open("rb") as nothing, log.open("ab") as errors:
            pid, connection = self._begin(job, [nothing.fileno(), says, errors.fileno()])
        os.close(says)
        connection.close()
        with os.fdopen(said, "rb") as output:
            if not output.readline():
                raise RuntimeError(f"{job.argv} ended: {log.read_text()}")
        return pid

    async def run(self, job: Job) -> Running:
        """Start what an exec asks for."""
        ours, stdin = socket.socketpair()
        pipes = [os.pipe(), os.pipe()]
        try:
            _, connection = await asyncio.to_thread(self._begin, job, [stdin.fileno(), pipes[0][1], pipes[1][1]])
        finally:
            stdin.close()
            for _, writing in pipes:
                os.close(writing)
        connection.setblocking(False)
        readers = [await _reader(reading) for reading, _ in pipes]
        _, writer = await asyncio.open_connection(sock=ours)
        return _Forked(connection, writer, *readers)

    def end(self, pid: int) -> None:
        """Terminate a process."""
        self._ask({"end": pid})

    def kill_marked(self, mark: str) -> None:
        """Kill all processes with a variable in their environment."""
        self._ask({"mark": mark})

    def _ask(self, request: dict[str, Any]) -> None:
        with contextlib.suppress(OSError), self._connect() as connection:  # it has ended with the sandbox
            connection.send(json.dumps(request).encode())
            connection.recv(64)

    def _begin(self, job: Job, files: list[int]) -> tuple[int, socket.socket]:
        connection = self._connect()
        socket.send_fds(connection, [json.dumps(asdict(job)).encode()], files)
        return int(connection.recv(64)), connection

    def _connect(self) -> socket.socket:
        self._ready.wait()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(str(self._sandbox.root / _SOCKET.lstrip("/")))
        except BaseException:
            connection.close()
            raise
        return connection


class _Forked:
    """A process that the sandbox's runner started; `kill` lets it go on, as who leaves an exec does."""

    def __init__(
        self,
        connection: socket.socket,
        stdin: asyncio.StreamWriter,
        stdout: tuple[asyncio.StreamReader, asyncio.ReadTransport],
        stderr: tuple[asyncio.StreamReader, asyncio.ReadTransport],
    ) -> None:
        self._connection = connection
        self.stdin: asyncio.StreamWriter | None = stdin
        self.stdout: asyncio.StreamReader | None = stdout[0]
        self.stderr: asyncio.StreamReader | None = stderr[0]
        self._transports = (stdin.transport, stdout[1], stderr[1])
        self.returncode: int | None = None

    async def wait(self) -> int:
        if self.returncode is None:
            message = await asyncio.get_running_loop().sock_recv(self._connection, 64)
            self.returncode = int(message or -9)  # the sandbox ended, and all with it
        self._close()
        return self.returncode

    def kill(self) -> None:
        self.returncode = -9
        self._close()

    def _close(self) -> None:
        self._connection.close()
        for transport in self._transports:
            transport.close()


async def _reader(file: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(file, "rb"))
    return reader, transport


@functools.cache
def compiled(archive: bytes) -> bytes:
    """An archive of Python modules with what Python makes of them in their place."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            code = compile(source.read(name), name, "exec", dont_inherit=True)
            # The flag says that nobody has to compare it with its source.
            head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
            target.writestr(f"{name}c", head + marshal.dumps(code))
    return made.getvalue()
