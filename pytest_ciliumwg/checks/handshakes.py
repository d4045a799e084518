"""When a handshake between two nodes began: only of one that a watch saw from its beginning all messages are missed."""

from __future__ import annotations

from pytest_ciliumwg.model.node_state import Peer

LONGEST_ATTEMPT = 5.0
"""Seconds after which an initiation is repeated, and a response to the old one is none (REKEY_TIMEOUT)."""
_WHOLE_SECONDS = 1.0
"""`wg show` tells the time of a handshake in whole seconds."""


def handshake_was_watched(before: Peer | None, after: Peer, started: float) -> bool:
    """Whether the latest handshake with a peer both began and ended while a watch ran.

    Args:
        before: The peer as it was when the watch had begun; None where it was not there.
        after: The peer as it was afterwards.
        started: When the watch began, in seconds since the epoch on the node's clock.
    """
    completed = after.latest_handshake
    if completed is None or (before is not None and completed == before.latest_handshake):
        return False
    untried = before is None or (before.tx_bytes == 0 and before.rx_bytes == 0)
    return untried or completed >= started + LONGEST_ATTEMPT + _WHOLE_SECONDS
