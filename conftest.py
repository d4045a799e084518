"""What tests and benchmarks share. It is not part of the package; the suite's fixtures live in the plugin."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator

import pytest

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def sh(script: str) -> str:
    """Run a shell script in the calling thread's network namespace and return what it printed."""
    return subprocess.run(["sh", "-ec", script], check=True, capture_output=True, text=True).stdout


def pytest_addoption(parser: pytest.Parser) -> None:
    """For this project's own tests."""
    parser.addoption("--quick", action="store_true", help="leave out tests that are marked as thorough")


@pytest.fixture
def netns() -> Iterator[None]:
    """A network namespace of the test's own, with the veth pair `left` and `right` up in it.

    Only the calling thread (and what it starts) moves there; the kernel frees it with the test's last socket.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if _libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare: these tests need root")
    try:
        sh(
            "sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link set lo up;"
            "ip link add left mtu 9216 type veth peer name right mtu 9216; ip link set left up; ip link set right up"
        )
        yield
    finally:
        _libc.setns(home, _CLONE_NEWNET)
        os.close(home)
