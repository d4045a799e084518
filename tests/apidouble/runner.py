"""Runs the programs of the double's containers in a lab's sandbox: `python3 runner.py SOCKET`.

One process for each sandbox, which forks: a program that is Python's is loaded once, and an exec costs no start of five
programs that enter namespaces one after the other. Each connection carries one job, as JSON with the files that become
standard input, output and error; it is answered by the process id, then by the exit status. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path

TYPE_CHECKING = False  # importing typing takes longer than all else
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
PR_CAPBSET_DROP = 24
NET_RAW = 13
PYTHON = ["python3", "-I", "-S"]

libc = ctypes.CDLL(None, use_errno=True)


def insist(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Programs:
    """What is loaded already, by the content of its file."""

    def __init__(self) -> None:
        self._scripts: dict[bytes, Any] = {}
        self._archive: bytes | None = None

    def load(self, job: dict[str, Any]) -> Callable[[], object] | None:
        """A function that does what a command line of Python would, if there can be one."""
        argv = job["argv"]
        if argv[:3] != PYTHON or not job["file"]:
            return None
        content = Path(job["file"]).read_bytes()
        if job["file"].endswith(".pyz"):
            return self._main_of_archive(content, job)
        if content not in self._scripts:
            self._scripts[content] = compile(content, argv[3], "exec", dont_inherit=True)
        code = self._scripts[content]
        return lambda: exec(code, {"__name__": "__main__"})  # noqa: S102 - the double's own container

    def _main_of_archive(self, content: bytes, job: dict[str, Any]) -> Callable[[], object] | None:
        """The agent's; a second, other archive would need modules of the same names."""
        if self._archive is None:
            sys.path.insert(0, job["compiled"])
            self._archive = content
        if self._archive != content:
            return None
        service = importlib.import_module("ciliumwg_agent.service")
        return lambda: sys.exit(service.main(job["argv"][4:]))


def enter(job: dict[str, Any]) -> None:
    """Go where a container's processes are: its network, its mounts, and the capabilities that it asked for."""
    into = [(f"/run/netns/{job['netns']}", CLONE_NEWNET)]
    if job["beside"]:
        into.append((f"/proc/{job['beside']}/ns/mnt", CLONE_NEWNS))
    for path, kind in into:
        file = os.open(path, os.O_RDONLY)
        insist(libc.setns(file, kind))
        os.close(file)
    if job["binds"]:
        insist(libc.unshare(CLONE_NEWNS))
        insist(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    for source, target in job["binds"]:
        for path in (source, target):
            Path(path).mkdir(parents=True, exist_ok=True)
        insist(libc.mount(source.encode(), target.encode(), None, MS_BIND, None))
    if job["restricted"]:
        restrict()


def restrict() -> None:
    """Keep CAP_NET_RAW and no other capability, here and in all that is started."""
    for number in range(64):
        if number != NET_RAW:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)  # fails for those that this kernel has not
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    one = 1 << NET_RAW
    insist(libc.capset(header, (ctypes.c_uint32 * 6)(one, one, 0, 0, 0, 0)))


def become(job: dict[str, Any], files: list[int], function: Callable[[], object] | None) -> NoReturn:
    """What the forked process does."""
    status = 126
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        high = [os.dup(file) for file in files]
        for number, file in enumerate(high):
            os.dup2(file, number)
        os.closerange(3, max([*high, *files, 1024]) + 1)
        enter(job)
        os.environ.clear()
        os.environ.update(job["env"])
        os.chdir("/")
        sys.argv = job["argv"][3:]
        if function is None:
            status = 127
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores, and programs do not
            os.execvpe(job["argv"][0], job["argv"], job["env"])  # noqa: S606 - a container's command line
        function()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        os.write(2, f"{job['argv'][0]}: {error!r}\n".encode())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(status)


class Runner:
    def __init__(self, path: str) -> None:
        self._programs = Programs()
        self._running: dict[int, socket.socket] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen(128)
        self._woken, waking = os.pipe()
        os.set_blocking(waking, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)

    def serve(self) -> NoReturn:
        listening = self._listener.fileno()
        while True:
            ready = select.select([listening, self._woken], [], [])[0]
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if listening in ready:
                self._answer(self._listener.accept()[0])

    def _answer(self, connection: socket.socket) -> None:
        message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if not message:
            connection.close()
            return
        job = json.loads(message)
        if "end" in job or "mark" in job:
            kill_marked(job["mark"]) if "mark" in job else terminate(job["end"])
            connection.send(b"0")
            connection.close()
            return
        function = self._programs.load(job)
        pid = os.fork()
        if not pid:
            become(job, files, function)
        for file in files:
            os.close(file)
        self._running[pid] = connection
        with contextlib.suppress(OSError):
            connection.send(b"%d" % pid)

    def _reap(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            connection = self._running.pop(pid)
            with contextlib.suppress(OSError):  # who asked went away
                connection.send(b"%d" % os.waitstatus_to_exitcode(status))
            connection.close()


def terminate(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def kill_marked(mark: str) -> None:
    """Kill all processes with this in their environment, until there is none."""
    wanted, found = mark.encode(), True
    while found:
        found = False
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if wanted in process.joinpath("environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
                    found = True


if __name__ == "__main__":
    runner = Runner(sys.argv[1])
    os.write(1, b"ready\n")
    runner.serve()
