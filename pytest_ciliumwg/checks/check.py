"""What a check is: an id, a statement, a source; and what it can come to: pass, fail, inconclusive, skip."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest

from pytest_ciliumwg.errors import CiliumwgError

MARKER = "ciliumwg_check"
MARKER_SIGNATURE = 'ciliumwg_check(id, source, profile="core")'
Outcome = Literal["pass", "fail", "inconclusive", "skip"]
OUTCOMES: tuple[Outcome, ...] = ("pass", "fail", "inconclusive", "skip")
_SHOWN = 12


class InconclusiveError(CiliumwgError):
    """A check could not measure what it is about: neither a pass nor a failure of the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place at which a requirement does not hold."""

    where: str
    expected: str
    seen: str
    meaning: str = ""

    def __str__(self) -> str:
        meaning = f" {self.meaning}" if self.meaning else ""
        return f"{self.where}: expected {self.expected}; seen: {self.seen}.{meaning}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One conformance requirement, read from its test's marker and docstring."""

    id: str
    source: str
    profile: str
    statement: str

    @classmethod
    def of(cls, item: pytest.Item) -> Check | None:
        """The check that a test asserts; None for a test that is no check.

        Raises:
            pytest.UsageError: the marker is not written as MARKER_SIGNATURE.
        """
        mark = item.get_closest_marker(MARKER)
        if mark is None:
            return None
        fields = dict(zip(("id", "source", "profile"), mark.args, strict=False)) | dict(mark.kwargs)
        statement = " ".join((getattr(getattr(item, "function", None), "__doc__", None) or "").split())
        if not {"id", "source"} <= fields.keys() <= {"id", "source", "profile"} or not statement:
            raise pytest.UsageError(f"{item.nodeid}: write the marker as {MARKER_SIGNATURE}, and a docstring")
        return cls(statement=statement, **({"profile": "core"} | fields))


def params_of(item: pytest.Item) -> dict[str, str]:
    """The parameters that tell apart the tests of one check, as text; the stage first."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return {}
    names = sorted(callspec.params, key=lambda name: name != "stage")
    return {name: str(getattr(callspec.params[name], "value", callspec.params[name])) for name in names}


@dataclass(slots=True)
class Verify:
    """Collects what one check verified; a check that verified nothing is inconclusive, never a pass."""

    verified: int = 0
    findings: list[Finding] = field(default_factory=list)
    not_measured: list[str] = field(default_factory=list)
    not_supported: list[str] = field(default_factory=list)

    def __call__(self, holds: bool, *, where: str, expected: object, seen: object, meaning: str = "") -> None:
        """Note whether the requirement holds at one place.

        Args:
            holds: Whether it does.
            where: The node, pair, device or flow.
            expected: What had to be.
            seen: What was.
            meaning: One sentence on what a violation means for the user.
        """
        self.verified += 1
        if not holds:
            self.findings.append(Finding(where=where, expected=str(expected), seen=str(seen), meaning=meaning))

    def unmeasured(self, where: str, why: str) -> None:
        """Note a place at which the requirement could not be measured though it should have been."""
        self.not_measured.append(f"{where}: {why}")

    def unsupported(self, where: str, why: str) -> None:
        """Note a place at which this provider cannot tell, by its nature: a reason to skip, not to doubt."""
        self.not_supported.append(f"{where}: {why}")

    def conclude(self, heading: str) -> None:
        """Turn what was collected into the test's outcome; `heading` says what had to hold."""
        if self.findings:
            pytest.fail(f"{heading}\n{_lines(self.findings)}", pytrace=False)
        if self.not_measured:
            raise InconclusiveError(_lines(self.not_measured))
        if not self.verified:
            if self.not_supported:
                pytest.skip(_lines(self.not_supported))
            raise InconclusiveError("nothing was there to verify")

    def record(self) -> dict[str, Any]:
        """For reports: what was found, in plain values."""
        return {
            "verified": self.verified,
            "findings": [asdict(finding) for finding in self.findings],
            "unmeasured": list(self.not_measured),
            "unsupported": list(self.not_supported),
        }


def _lines(items: list[Any]) -> str:
    shown = [str(item) for item in items[:_SHOWN]]
    more = [f"… and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return "\n".join([*shown, *more])
