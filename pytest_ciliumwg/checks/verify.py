"""What a check can come to: pass, fail, inconclusive, skip; it follows from what it verified, place by place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest

from pytest_ciliumwg.checks.finding import Finding, Remark
from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.model.place import Place

Outcome = Literal["pass", "fail", "inconclusive", "skip"]
_SHOWN = 12


class InconclusiveError(CiliumwgError):
    """A check could not measure what it is about: neither a pass nor a failure of the cluster."""


@dataclass(slots=True)
class Verify:
    """Collects what one check verified; a check that verified nothing is inconclusive, never a pass."""

    of_measurement: bool = False
    """Whether the check is about the measurement: what does not hold there is no fault of the cluster."""
    verified: int = 0
    findings: list[Finding] = field(default_factory=list)
    not_measured: list[Remark] = field(default_factory=list)
    not_supported: list[Remark] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)
    _known: set[Finding] = field(default_factory=set)

    def __call__(self, holds: bool, *, where: Place, expected: object, seen: object, meaning: str = "") -> None:
        """Note whether the requirement holds at one place.

        Args:
            holds: Whether it does.
            where: The node, pair, device or flow, with every other node and address that `expected` or `seen` names.
            expected: What had to be.
            seen: What was.
            meaning: One sentence on what a violation means for the user.
        """
        self.verified += 1
        _check_place(where)
        if holds:
            return
        finding = Finding(place=where, expected=str(expected), seen=str(seen), meaning=meaning)
        if finding not in self._known:  # before the flows and after them it is one finding
            self._known.add(finding)
            self.findings.append(finding)

    def held(self, places: int = 1) -> None:
        """Note that the requirement holds at so many places.

        For checks of as many places as there are pairs of nodes: making a `Place` takes longer than judging it.
        """
        self.verified += places

    def unmeasured(self, where: Place, why: str) -> None:
        """Note a place at which the requirement could not be measured though it should have been."""
        _check_place(where)
        self.not_measured.append(Remark(where, why))

    def unsupported(self, where: Place, why: str) -> None:
        """Note a place at which this provider can never tell: such a check is skipped, not inconclusive."""
        _check_place(where)
        self.not_supported.append(Remark(where, why))

    def note(self, where: Place, what: str) -> None:
        """Tell of something at a place that the outcome does not depend on."""
        _check_place(where)
        self.notes.append(Remark(where, what))

    def conclude(self, heading: str) -> None:
        """Turn what was collected into the test's outcome; `heading` says what had to hold."""
        if self.findings and self.of_measurement:
            raise InconclusiveError(f"{heading}\n{_lines([*self.findings, *self.not_measured])}")
        if self.findings:
            # The first line is all that pytest's short summary shows.
            pytest.fail(f"{_places(self.findings)}: {heading}\n{_lines(self.findings)}", pytrace=False)
        if self.not_measured:
            raise InconclusiveError(_lines(self.not_measured))
        if not self.verified:
            if self.not_supported:
                pytest.skip(_lines(self.not_supported))
            raise InconclusiveError("nothing was there to verify")


def _check_place(where: object) -> None:
    """Refuse words in place of a Place, at the check that wrote them: reports need the place as data.

    Raises:
        TypeError: it is no Place.
    """
    if not isinstance(where, Place):
        raise TypeError(f"where={where!r} is no Place: write Place.of_node(…), Place.of_pair(…) or Place.everywhere(…)")


def _lines(items: Sequence[Finding | Remark]) -> str:
    shown = [str(item) for item in items[:_SHOWN]]
    more = [f"… and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return "\n".join([*shown, *more])


def _places(findings: Sequence[Finding]) -> str:
    """Where it is, in a few words: the first place, and how many more."""
    places = list(dict.fromkeys(str(finding.place) for finding in findings))
    return places[0] + (f" and {len(places) - 1} more" if len(places) > 1 else "")
