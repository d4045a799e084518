"""From what a program said to one sentence that says what to do."""

from __future__ import annotations

import re

from pytest_ciliumwg.providers.programs.run import Done

_KNOWN = (
    (
        re.compile(r"no space left on device", re.IGNORECASE),
        "the disk is full (no space left on device): free some, for instance with `docker system prune`",
    ),
    (
        re.compile(r"port is already allocated|address already in use", re.IGNORECASE),
        "a port that it needs is taken by another program or container: end that one, or try again",
    ),
    (
        re.compile(r"too many open files", re.IGNORECASE),
        "the system's limit of inotify instances is reached: `sysctl fs.inotify.max_user_instances=512` raises it",
    ),
    (
        re.compile(r"toomanyrequests|pull rate limit", re.IGNORECASE),
        "the image registry allows no more pulls for now: log in, wait, or use --ciliumwg-load-image",
    ),
    (
        re.compile(r"failed to pull image|pull access denied|manifest unknown|manifest for .* not found"),
        "the node image cannot be pulled: is --ciliumwg-node-image right, and can Docker reach its registry",
    ),
)
_ERROR = re.compile(r"^(?:ERROR|Error|error):? *(.+)$", re.MULTILINE)
_ENOUGH = 300


def reason(done: Done, seconds: float) -> str:
    """Why a program failed, in one clause.

    Args:
        done: The program.
        seconds: The time that it had.
    """
    if done.status is None:
        return f"it was not done after {seconds:g} s, see --ciliumwg-timeout"
    said = f"{done.errors}\n{done.output}"
    for pattern, clause in _KNOWN:
        if pattern.search(said):
            return clause
    lines = _ERROR.findall(said) or [line for line in said.splitlines() if line.strip()][-1:]
    clause = " ".join(lines[0].split()) if lines else f"exit status {done.status}"
    return clause if len(clause) <= _ENOUGH else f"{clause[:_ENOUGH]}…"
