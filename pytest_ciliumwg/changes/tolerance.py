"""What a change may cost: never cleartext where it is forbidden, and loss only where and as long as is known."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ciliumwg.changes.actions import OUT_SECONDS
from pytest_ciliumwg.changes.catalogue import Change, Kind
from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.timeline import Timeline
from pytest_ciliumwg.model.traffic import Flow, Protocol

NO_LOSS = 0.25
"""Seconds: fewer than five messages in a row, which any network may lose."""
RESTART_SECONDS = 30.0
"""How long a flow may be unanswered where an agent's start or another key interrupts it. No limit is documented; live
upgrades from 1.13 to 1.15 took 12 s (recordings), and WireGuard's sessions live for three minutes."""
CHURN_SECONDS = 1.0
RECOVERY_SECONDS = 10.0
"""How long WireGuard may take to open its sessions again: a lost initiation is repeated after 5 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What one change may cost in one cluster."""

    hit_outage: float | None
    """Longest outage in seconds of the flows from and to the node (or all nodes) that it hits; None: any."""
    other_outage: float
    """Longest outage in seconds of all other flows."""
    clear_reported: bool
    """Whether cleartext is reported only: without strict mode Cilium does not promise to drop what it cannot
    encrypt."""
    away: bool = False
    """Whether the hit node is away for a time, so that it cannot be watched then."""
    reason: str = ""
    """Where the limits come from, for messages."""

    def outage_of(self, flow: Flow, hit: bool) -> float | None:
        """The longest outage in seconds that a flow may have; None: any.

        A TCP connection doubles its pause before every repetition, so it notices the end of an outage late.
        """
        limit = self.hit_outage if hit else self.other_outage
        if limit is None or limit <= NO_LOSS:
            return limit
        return 2 * limit + 1 if flow.protocol is Protocol.TCP else limit


def tolerance(change: Change, expected: Expectations, timeline: Timeline) -> Tolerance:
    """What a change may cost, by the version and by what is seen to happen to the device."""
    if change.kind == "restart":
        return _restart(expected, timeline)
    if change.kind == "churn":
        return _churn(expected)
    if change.kind == "outage":
        return _outage(expected)
    return _ALWAYS[change.kind]


def _restart(expected: Expectations, timeline: Timeline) -> Tolerance:
    device = expected.device_name
    if expected.restart_loss:
        return _hit(RESTART_SECONDS, "to 1.16.1 an agent's start builds its allowed IPs anew (issue 31979)")
    died = any(event.verb == "removed" and event.subject == device for event in timeline.events)
    if expected.config.userspace_fallback and died:
        return _hit(RESTART_SECONDS, "with the userspace fallback the device dies with the agent")
    return _hit(NO_LOSS, "from 1.16.2 an agent's restart keeps the allowed IPs (PR 34095)")


def _churn(expected: Expectations) -> Tolerance:
    if expected.churn_loss:
        return _all(CHURN_SECONDS, "to 1.16.2 allowed IPs are replaced whenever a pod comes or goes (issue 33159)")
    return _all(NO_LOSS, "")


def _outage(expected: Expectations) -> Tolerance:
    return Tolerance(
        hit_outage=OUT_SECONDS + RECOVERY_SECONDS,
        other_outage=NO_LOSS,
        clear_reported=not expected.config.strict_egress,
        reason="the tunnel was taken away on purpose; that nothing is in cleartext then only the strict mode promises",
    )


def _hit(seconds: float | None, reason: str, *, away: bool = False) -> Tolerance:
    return Tolerance(hit_outage=seconds, other_outage=NO_LOSS, clear_reported=False, away=away, reason=reason)


def _all(seconds: float, reason: str) -> Tolerance:
    return Tolerance(hit_outage=seconds, other_outage=seconds, clear_reported=False, reason=reason)


_AWAY = _hit(None, "the node was away", away=True)
_ALWAYS: dict[Kind, Tolerance] = {
    "rekey": _hit(RESTART_SECONDS, "until its peers have learned the new key nobody can reach the node"),
    "node-restart": _AWAY,
    "node-gone": _AWAY,
    "node-back": _AWAY,
    "drain": _hit(NO_LOSS, "nothing was changed that carries traffic"),
    "upgrade": _all(RESTART_SECONDS, "every agent is replaced, and with it the datapath"),
    "none": _all(RESTART_SECONDS, "what others changed meanwhile is not known here"),
}
"""Of the other kinds of changes, in every version."""
