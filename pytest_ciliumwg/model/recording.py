"""All that a run saw, so that it can be judged again: by another version of the suite, or with other expectations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_ciliumwg.model.cluster import CiliumConfig, Member
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.reading import Reading

NAME = "record.json.gz"
"""The file of a report that has it."""
FORMAT = 2
"""Grows with each change after which a reader has to know which one it reads.

Since 2 it is apart from the recording, in which what many nodes tell alike is stored once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a run saw of its cluster before anything was changed."""

    format: int
    provider: str
    description: Sequence[str]
    declared: CiliumConfig
    configs: Mapping[str, CiliumConfig]
    """Node → what its Cilium was configured to do."""
    members: tuple[Member, ...]
    first: Reading
    """Before the flows."""
    measurement: Measurement | None
    """The flows, and all that was seen of them; None where none could be sent."""
    changes: tuple[str, ...] = ()
    """What was changed afterwards, by name: nothing that was seen of it is here."""
