"""The lab's kernel namespaces, which end with this process, also when it is killed.

PID 1 of the sandbox reads a pipe whose other end only we hold. When we exit, are killed or crash, the pipe closes,
PID 1 exits, and the kernel takes every process, network namespace, rule and file of the sandbox with it. So nothing has
to be cleaned up afterwards, and nothing of the host is ever touched.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.lab.requirements import environment, why_no_sandbox

# The first `read` is a builtin: the shell itself opens /proc/self, still the outer /proc, and so learns the process id
# that others know it by. A container may refuse us a /proc of our own, which is only a convenience. `keep` is said by a
# lab that shall survive us; from then on only SIGTERM ends PID 1.
_INIT = """
set -e
read -r pid rest </proc/self/stat
mount -t proc proc /proc 2>/dev/null || true
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/netns /run/wireguard /run/ciliumwg
ip link set lo up
if ip link add wgprobe type wireguard 2>/dev/null; then ip link del wgprobe; wireguard=kernel; else wireguard=none; fi
echo "$pid $wireguard"
trap 'exit 0' TERM
while read -r word; do
    if [ "$word" = keep ]; then echo kept; sleep infinity & wait; fi
done
"""

START_TIMEOUT = 20.0
RUN_TIMEOUT = 60.0


class Sandbox:
    """A process id, mount and network namespace of our own, and as an ordinary user a user namespace around them."""

    def __init__(self) -> None:
        self._init = subprocess.Popen(
            ["unshare", *_unshare_flags(), "--", "sh", "-c", _INIT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,  # Ctrl-C at the terminal is ours to handle, not the lab's
            text=True,
        )
        self._kept = False
        answer = _pipe(self._init.stdout).readline().split()
        if len(answer) != 2:
            detail = _pipe(self._init.stderr).read().strip()
            self.close()
            raise ProviderError(why_no_sandbox(detail.splitlines()[-1] if detail else ""))
        self.pid = int(answer[0])
        """The process id of the sandbox's PID 1, as the host knows it."""
        self.kernel_wireguard = answer[1] == "kernel"

    @property
    def root(self) -> Path:
        """The sandbox's file system, seen from outside."""
        return Path("/proc", str(self.pid), "root")

    def enter(self, netns: str | None = None) -> list[str]:
        """The start of a command line that runs in the sandbox, in one of its named network namespaces."""
        net = f"--net={self.root}/run/netns/{netns}" if netns else "--net"
        user = ["--user", "--preserve-credentials"] if os.geteuid() else []
        # Entering a mount namespace ends at its root, which is not ours when we run in a chroot: hence --root.
        return ["nsenter", f"--target={self.pid}", *user, "--mount", "--root", "--pid", net, "--"]

    def run(
        self, script: str, *, netns: str | None = None, through: Sequence[str] = (), timeout: float = RUN_TIMEOUT
    ) -> str:
        """Run a shell script, which ends at its first failing command, and return its output.

        Args:
            script: The script.
            netns: The named network namespace to run in; the sandbox's own without one.
            through: A command that runs the shell, as the start of its command line.
            timeout: After how many seconds to give up.

        Raises:
            ProviderError: a command failed, or the script did not end in time.
        """
        process = subprocess.Popen(
            [*self.enter(netns), *through, "sh", "-es"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
            text=True,
            errors="replace",
        )
        try:
            output, errors = process.communicate(script, timeout=timeout)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)  # the session is the command's own, inside and outside
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise ProviderError(f"a command in the lab did not end within {timeout:.0f} s") from None
            raise
        if process.returncode != 0:
            lines = errors.strip().splitlines() or [f"exit status {process.returncode}"]
            raise ProviderError(f"a command in the lab failed: {' / '.join(lines[:2])}")
        return output

    def popen(
        self, argv: Sequence[str], *, netns: str | None = None, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a program whose output the caller reads."""
        return subprocess.Popen(
            [*self.enter(netns), *argv],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )

    def put(self, path: str, content: bytes) -> None:
        """Write a file of the sandbox."""
        self.root.joinpath(path.lstrip("/")).write_bytes(content)

    def keep(self) -> None:
        """Let the sandbox outlive this process, until its PID 1 is killed."""
        try:
            print("keep", file=_pipe(self._init.stdin), flush=True)
            self._kept = _pipe(self._init.stdout).readline().strip() == "kept"
        except (OSError, ValueError):  # its pipe is broken, or closed
            self._kept = False
        if not self._kept:
            raise ProviderError("the lab cannot be kept: it has already ended")

    def close(self) -> None:
        """End the sandbox with all that is in it; safe to call twice."""
        for stream in (self._init.stdin, self._init.stdout, self._init.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self._kept:
            # Ours no more: the child stays, and Popen shall not warn of it.
            self._init.returncode = 0
            return
        try:
            self._init.wait(timeout=START_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._init.kill()  # --kill-child passes this on to PID 1
            self._init.wait()


def _unshare_flags() -> list[str]:
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    return [*user, "--mount", "--net", "--pid", "--fork", "--kill-child"]


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # noqa: S101 - opened as a pipe above
    return stream
