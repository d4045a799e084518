"""Groups of checks that fail, or cannot be measured, in consequence of a fault that another check has to catch."""

from __future__ import annotations

from pytest_ciliumwg.faults.catalogue import Doubt

CLEAR = (
    "wire.no-cleartext",
    "wire.first-packet",
    "wire.sustained",
    "wire.nothing-else",
    "size.no-cleartext",
    "wire.counters",
)
"""Flows in cleartext. Of a fragment's short tail none can tell to which flow of a pair it belongs; and where all flows
of a pair are in cleartext, nothing was encrypted whose bytes could be counted."""

BYPASSED = (*CLEAR, "wire.tunnelled", "handshake.*", "steering.other-ways", Doubt("wire.custody"))
"""Flows in cleartext, so that little or nothing went through the tunnel."""

LOST = (
    *BYPASSED,
    Doubt("wire.ciphertext"),
    "wire.delivered",
    "size.delivered",
    "size.dont-fragment",
)
"""Flows that do not arrive: what is not delivered is inconclusive for every check of the wire."""

SESSION = (*LOST, "peers.endpoint")
"""The tunnel between two nodes does not come up."""

ONE_PATH = ("wire.nothing-else", "wire.other-pods")
"""Flows of one of the paths of the profile extended are wrong, and no others."""

PARTNERS = ("allowed-ips.*", "peers.*", "handshake.*", "wire.counters")
"""A peer that is not what its node publishes: every check that looks that peer up fails or is inconclusive."""

BLIND = (Doubt("wire.*"), Doubt("size.no-cleartext"), Doubt("handshake.*"), "capture.*")
"""A watch that saw too little: nothing that it did not see counts."""

DEVICE = ("device.*", *PARTNERS, Doubt("capture.inside"), Doubt("wire.custody"), Doubt("wire.ciphertext"))
"""There is no WireGuard device to ask."""
