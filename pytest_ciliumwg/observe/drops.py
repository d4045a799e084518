"""How many packets a node has dropped and why, from its agent's `bpf metrics list`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.drops import Drops

_DENIED = "policy denied"
"""How the reasons begin, `Policy denied` and `Policy denied by denylist`."""
_UNENCRYPTED = "traffic is unencrypted"


def drops_from(text: str) -> Drops:
    """What was dropped, in both directions, since the node started.

    Raises:
        ObservationError: this is no list of metrics.
    """
    try:
        rows = [row for entry in json.loads(text) or () for row in _rows(entry)]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ObservationError(f"the agent's list of metrics cannot be read ({error!r})") from None
    return Drops(
        by_policies=sum(packets for reason, packets in rows if reason.startswith(_DENIED)),
        unencrypted=sum(packets for reason, packets in rows if reason.startswith(_UNENCRYPTED)),
    )


def _rows(entry: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """(Reason, packets): to 1.14 an entry has a number for its reason, and both directions in it."""
    if "values" in entry:
        yield from ((str(entry["description"]).lower(), int(way["packets"])) for way in entry["values"].values())
    else:
        yield str(entry["reason"]).lower(), int(entry["packets"])
