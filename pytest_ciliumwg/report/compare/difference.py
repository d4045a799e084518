"""One thing in which two runs differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["regressed", "fixed", "changed", "appeared", "disappeared"]
Document = Mapping[str, Any]
"""A report.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it was."""

    kind: Kind
    subject: Literal["run", "check", "finding", "pair", "size", "environment"]
    name: str
    before: str
    """Empty where it was not there."""
    after: str
    why: str = ""
