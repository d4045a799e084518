"""Whether a program is there, and new enough."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.programs.reasons import reason
from pytest_ciliumwg.providers.programs.run import run

QUICK_SECONDS = 60.0
_HELP = {
    "docker": "install Docker",
    "kind": "install it, see kind.sigs.k8s.io",
    "helm": "install it, see helm.sh",
    "kubectl": "install it, see kubernetes.io",
}
_VERSION = re.compile(r"\bv(\d+)\.(\d+)(?:\.(\d+))?")


def find(name: str, *, who: str, instead: str) -> Path:
    """Where a program is.

    Args:
        name: The program.
        who: What needs it.
        instead: What to do without it.

    Raises:
        ProviderError: it is not on PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise ProviderError(f"{who} needs {name}, which is not on PATH: {_HELP.get(name, 'install it')}, {instead}")
    return Path(found).absolute()


def check_version(program: Path, arguments: list[str], oldest: str, what: str) -> None:
    """Make sure that a program is new enough for something.

    Raises:
        ProviderError: it is not, or does not tell.
    """
    done = run([program, *arguments], timeout=QUICK_SECONDS)
    found = _VERSION.search(done.output)
    if not done.ok or found is None:
        raise ProviderError(f"`{done.command}` does not tell its version: {reason(done, QUICK_SECONDS)}")
    wanted = tuple(int(part) for part in oldest.split("."))
    if tuple(int(part or 0) for part in found.groups()) < wanted:
        raise ProviderError(f"{program} is version {found[0]}, but {what} needs {oldest} or newer: update it")
