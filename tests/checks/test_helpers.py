"""What a check says of sizes that a version of Cilium is known to drop."""

from __future__ import annotations

from dataclasses import replace

from pytest_ciliumwg.checks.helpers import assert_size_delivered, assert_size_encrypted
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily
from pytest_ciliumwg.model.traffic import Delivery, Verdict
from pytest_ciliumwg.verdict.judge import Judgement
from tests.verdict.test_judge import FLOW

EXPECTED = expectations_for(CiliumConfig(version="1.18.4", encryption=True, families=frozenset(IPFamily)))
KNOWN = "Cilium 1.18.4 is known to drop it, as it is in fragments (seen on *"


def judgement(verdict: Verdict, received: int, *, known: bool) -> Judgement:
    flow = replace(FLOW, purpose="size", dropped_by_design=known)
    return Judgement(flow, Delivery(flow=0, sent=3, received=received, served=0, payload_bytes=0), verdict, "")


def test_a_known_property_is_said_and_no_failure() -> None:
    verify = Verify()
    lost = judgement(Verdict.UNREACHABLE, 0, known=True)
    assert_size_delivered(verify, lost, EXPECTED)
    assert_size_encrypted(verify, lost, EXPECTED)
    assert (verify.findings, verify.not_measured, verify.notes) == ([], [], [])
    assert [remark.why.startswith(KNOWN[:-1]) for remark in verify.not_supported] == [True, True]


def test_that_an_agent_stalled_says_nothing_of_what_is_dropped_anyway() -> None:
    verify = Verify()
    assert_size_encrypted(verify, judgement(Verdict.INCONCLUSIVE, 0, known=True), EXPECTED)
    assert (len(verify.not_measured), len(verify.not_supported)) == (0, 1)


def test_a_property_that_is_gone_is_noted() -> None:
    verify = Verify()
    delivered = judgement(Verdict.ENCRYPTED, 3, known=True)
    assert_size_delivered(verify, delivered, EXPECTED)
    assert_size_encrypted(verify, delivered, EXPECTED)
    assert (verify.findings, verify.not_supported, verify.verified) == ([], [], 2)
    assert [remark.why.endswith("this has changed") for remark in verify.notes] == [True]


def test_what_is_not_known_to_be_dropped_has_to_arrive() -> None:
    verify = Verify()
    lost = judgement(Verdict.UNREACHABLE, 0, known=False)
    assert_size_delivered(verify, lost, EXPECTED)
    assert_size_encrypted(verify, lost, EXPECTED)
    assert (len(verify.findings), len(verify.not_measured)) == (1, 1)


def test_what_is_dropped_and_seen_in_cleartext_fails() -> None:
    verify = Verify()
    assert_size_encrypted(verify, judgement(Verdict.CLEARTEXT, 0, known=True), EXPECTED)
    assert len(verify.findings) == 1
