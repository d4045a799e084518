"""What is asked of the provider `offline`. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pytest_ciliumwg.providers.existing.spec import Declared


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineSpec:
    """What was handed in, and what is declared of the cluster that it is of."""

    inputs: tuple[Path, ...]
    declared: Declared = field(default_factory=Declared)
    anonymise: bool = False
    """Whether nothing that is said or left behind has a real name or address."""
