"""What agents have sent and served, and the deliveries that follow from both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pytest_ciliumwg.model.traffic import Delivery, Flow

STALLED_SECONDS = 1.0
"""An agent that was not run for so long has kept others waiting: what was lost meanwhile is no loss of the cluster."""
SLOW_SECONDS = 0.5
"""Where half of the answers take so long, one that is missing may come yet: no network within a cluster is so slow."""


class SentAccount(NamedTuple):
    """A sender's account of one flow: see `Delivery`."""

    id: int
    sent: int
    received: int
    bytes: int
    repeated: int
    duplicates: int
    reordered: int
    error: str | None
    refused: bool
    unfinished: bool
    started: float
    finished: float
    stalled: float
    """Seconds for which the agent was not run."""
    typical: float
    """Seconds that half of the answers took at most."""


class ServedAccount(NamedTuple):
    """A server's account of one flow."""

    id: int
    served: int
    first: float
    last: float
    stalled: float
    """Seconds for which the agent was not run."""


def sent_accounts(reply: Mapping[str, Any]) -> list[SentAccount]:
    """The accounts in a sender's reply."""
    stalled, typical = reply["stalled"], reply["typical"]
    return [SentAccount(**row, stalled=stalled, typical=typical) for row in reply["flows"]]


def served_accounts(reply: Mapping[str, Any]) -> list[ServedAccount]:
    """The accounts in a server's reply."""
    return [ServedAccount(**row, stalled=reply["stalled"]) for row in reply["flows"]]


def delivery(flow: Flow, sent: SentAccount, served: ServedAccount | None, not_served: str | None) -> Delivery:
    """A flow's delivery.

    Args:
        flow: The flow.
        sent: Its sender's account.
        served: Its server's; None where the kernel answers.
        not_served: Why our own agent could not serve it; None where it could.
    """
    return Delivery(
        flow=sent.id,
        sent=sent.sent,
        received=sent.received,
        served=-1 if served is None else served.served,
        payload_bytes=sent.bytes,
        repeated=sent.repeated,
        duplicates=sent.duplicates,
        reordered=sent.reordered,
        error=sent.error,
        started=sent.started,
        finished=sent.finished,
        served_first=0.0 if served is None else served.first,
        served_last=0.0 if served is None else served.last,
        unmeasured=not_served or _unmeasured(flow, sent, served),
    )


def _unmeasured(flow: Flow, sent: SentAccount, served: ServedAccount | None) -> str | None:
    """Why answers that are missing may be missing by our own doing."""
    if sent.refused:
        return f"the agent in {flow.source_pod} cannot send it: {sent.error}"
    if sent.unfinished:
        return f"the agent in {flow.source_pod} had no time to finish it: the machine has too much else to do"
    for pod, stalled in ((flow.source_pod, sent.stalled), (flow.destination_pod, served.stalled if served else 0.0)):
        if stalled >= STALLED_SECONDS:
            return f"the agent in {pod} was not run for {stalled:.1f} s: the machine has too much else to do"
    if sent.typical >= SLOW_SECONDS:
        took = f"half of the answers to {flow.source_pod} took {sent.typical:.1f} s and more, though none was lost"
        return f"{took}: the machines have too much else to do"
    return None


def failed_delivery(flow: Flow) -> Delivery:
    """The delivery of a flow whose sender's account never came."""
    error = f"the agent in {flow.source_pod} gave no account of it"
    return Delivery(flow=flow.id, sent=0, received=0, served=-1, payload_bytes=0, error=error, unmeasured=error)
