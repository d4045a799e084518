"""Which handshakes a watch must have seen: those that began in it, not those that it came upon."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_ciliumwg.checks.handshakes import handshake_was_watched
from pytest_ciliumwg.model.node_state import Peer

STARTED = 1000.0
NEVER = Peer(public_key="k", endpoint=None, allowed_ips=frozenset(), latest_handshake=None, rx_bytes=0, tx_bytes=0)
TRIED = replace(NEVER, tx_bytes=148)
OLD = replace(NEVER, latest_handshake=900.0, rx_bytes=5000, tx_bytes=5000)


@pytest.mark.parametrize(
    ("before", "completed", "watched"),
    [
        (NEVER, 1001.0, True),
        (None, 1001.0, True),
        (NEVER, None, False),
        (OLD, 900.0, False),
        # An initiation was under way already: nobody saw it leave, though its session came up in the watch.
        (TRIED, 1001.0, False),
        (TRIED, 1005.0, False),
        (TRIED, 1006.0, True),
        (OLD, 1002.0, False),
        (OLD, 1060.0, True),
    ],
)
def test_whether_a_handshake_began_in_the_watch(before: Peer | None, completed: float | None, watched: bool) -> None:
    after = replace(NEVER, latest_handshake=completed)
    assert handshake_was_watched(before, after, STARTED) == watched
