"""What a check has to say of one place: that the requirement does not hold there, that it cannot be told, or a note."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_ciliumwg.model.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place at which a requirement does not hold."""

    place: Place
    expected: str
    seen: str
    meaning: str = ""

    def __str__(self) -> str:
        meaning = f" {self.meaning}" if self.meaning else ""
        return f"{self.place}: expected {self.expected}; seen: {self.seen}.{meaning}"

    def fields(self) -> dict[str, Any]:
        """For reports: in plain values; `where` is the place in words."""
        return {
            "where": str(self.place),
            "expected": self.expected,
            "seen": self.seen,
            "meaning": self.meaning,
            "place": self.place.fields(),
        }


@dataclass(frozen=True, slots=True)
class Remark:
    """One place of which a check can say nothing, and why; or what it has to say beside its outcome."""

    place: Place
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"
