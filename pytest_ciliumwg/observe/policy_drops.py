"""How many packets policies have denied on a node, from the agent's `bpf metrics list`."""

from __future__ import annotations

import json

from pytest_ciliumwg.errors import ObservationError

_DENIED = "policy denied"
"""How the reasons begin, `Policy denied` and `Policy denied by denylist`."""


def policy_drops_from(text: str) -> int:
    """The packets that were dropped because a policy denied them, in both directions, since the node started.

    Raises:
        ObservationError: this is no list of metrics.
    """
    try:
        rows = [(str(row["reason"]), int(row["packets"])) for row in json.loads(text) or ()]
    except (ValueError, TypeError, KeyError) as error:
        raise ObservationError(f"the agent's list of metrics cannot be read ({error!r})") from None
    return sum(packets for reason, packets in rows if reason.lower().startswith(_DENIED))
