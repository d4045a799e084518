"""docs/faults.md: check → the faults that it catches → the real incidents behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_ciliumwg.faults import FAULTS, Fault

HEADER = """# Faults, and the checks that catch them

This page is made from the catalogue of the lab's faults by `make docs`. Each fault is injected into the kernel's state
or into packets, never into results; `pytest --ciliumwg --ciliumwg-provider=lab --ciliumwg-selftest` runs them all and
fails unless each is caught by the check named here, at the right node or pair, and nothing else is blamed. To see one:
`--ciliumwg-fault=NAME`, `NAME@NODE` or `NAME@all`.
"""

UNPROVEN = {
    "peers.not-self": "WireGuard itself refuses a device's own key as a peer, in the kernel and in user space",
    "paths.hosts": "without node encryption, which the lab does not imitate, nothing of nodes' own traffic is promised",
    "paths.service": "the lab has no Services",
    "capture.all-read": "only a defect of the agent's own reader could make it fail",
    **dict.fromkeys(
        ("capture.input", "capture.coverage", "capture.restarts", "wire.captured", "handshake.answered"),
        "only the record of a cluster has it (`tests/offline/` shows that it fails)",
    ),
}
"""Checks that no fault of the lab can make fail, and why."""


def faults_page(checks: Sequence[str]) -> str:
    """The page as it should be, for the suite's check ids in their order."""
    return "\n".join([HEADER, *_sections(checks), *_during_changes(), *_rest(checks)])


def _sections(checks: Iterable[str]) -> Iterator[str]:
    for check in checks:
        if faults := caught_by(check):
            yield f"\n## {check}\n"
            yield "| fault | what is wrong | what a real cluster shows | where it happened, or how it can |"
            yield "|---|---|---|---|"
            for fault in faults:
                yield "| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(fault)) + " |"


def caught_by(check: str) -> list[Fault]:
    """The faults of a cluster that stands whose declared catcher is a check."""
    return [fault for fault in FAULTS.values() if not fault.during and fault.check_id == check]


def _cells(fault: Fault) -> tuple[str, str, str, str]:
    only = {"rule": " (to 1.13)", "redirect": " (since 1.14)", None: ""}[fault.steering]
    return f"`{fault.name}`{only}", fault.description, fault.shows, fault.source


def _during_changes() -> Iterator[str]:
    yield "\n## While something changes\n\nThese act during an operation of that name, and not in the self-test.\n"
    yield "| fault | during | caught by | what is wrong | what a real cluster shows | where it happened |"
    yield "|---|---|---|---|---|---|"
    for fault in FAULTS.values():
        if fault.during:
            name, *rest = _cells(fault)
            cells = (name, f"`{fault.during}`", f"`{fault.catcher}`", *rest)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _rest(checks: Iterable[str]) -> Iterator[str]:
    yield "\n## Checks without a fault\n"
    caught = {fault.check_id for fault in FAULTS.values()}
    for check in checks:
        if check not in caught:
            yield f"- `{check}`: {UNPROVEN.get(check, 'none yet')}"
    yield f"\n{len(FAULTS)} faults.\n"
