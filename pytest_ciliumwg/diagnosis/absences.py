"""Find when something that encryption needs was missing or down on a node, from its kernel's events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_ciliumwg.model.timeline import Event, KernelVerb

_OPPOSITES: Mapping[KernelVerb, Sequence[KernelVerb]] = {"removed": ("added", "created"), "set down": ("set up",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A time in which something that encryption needs was missing on a node."""

    node: str
    what: str
    """Such as `cilium_wg0 was missing`."""
    first_at: float
    last_at: float


def absences(events: Sequence[Event], stopped: float) -> Iterator[Absence]:
    """The times in which something was missing or down on a node; what did not come back, until the end."""
    for number, event in enumerate(events):
        if event.kind != "kernel" or event.node is None or event.verb not in _OPPOSITES:
            continue
        end = next((later.at for later in events[number + 1 :] if _undoes(later, event)), stopped)
        state = "down" if event.verb == "set down" else "missing"
        yield Absence(node=event.node, what=f"{event.subject} was {state}", first_at=event.since, last_at=end)


def _undoes(later: Event, event: Event) -> bool:
    same = (later.kind, later.node, later.subject) == (event.kind, event.node, event.subject)
    return same and event.verb is not None and later.verb in _OPPOSITES[event.verb]
