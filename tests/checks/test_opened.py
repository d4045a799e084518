"""That a session was opened is not asked of agents that could not send."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.model.traffic import Delivery, Verdict
from pytest_ciliumwg.verdict.judge import Judgement
from tests.diagnosis.test_recorded_leaks import suite
from tests.verdict.test_judge import FLOW

NO_RIGHT = "the agent in ours/test-pod cannot send it: [Errno 1] Operation not permitted"


@pytest.mark.parametrize(
    ("received", "unmeasured", "failed"),
    [(1, None, False), (0, None, True), (0, NO_RIGHT, False), (1, NO_RIGHT, False)],
    ids=["answered", "lost", "not-sent", "answered-all-the-same"],
)
def test_what_our_own_agents_did_not_send_is_not_measured(received: int, unmeasured: str | None, failed: bool) -> None:
    delivery = Delivery(flow=0, sent=1, received=received, served=0, payload_bytes=0, unmeasured=unmeasured)
    judgement = Judgement(replace(FLOW, purpose="first", count=1), delivery, Verdict.INCONCLUSIVE, "")
    verify = Verify()
    suite("handshake").test_opened(SimpleNamespace(judgements=[judgement]), verify)
    assert bool(verify.findings) == failed
    assert [remark.why for remark in verify.not_measured] == ([NO_RIGHT] if unmeasured and not received else [])
