"""What the client makes of refusals goes by their codes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_ciliumwg.agent_client.client import Agent, JobGoneError, Run
from pytest_ciliumwg.errors import AgentError


class FixedTransport:
    """An agent that gives one answer to everything."""

    name = "n"

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def exchange(self, request: bytes, *, timeout: float) -> bytes:
        assert json.loads(request) == {"op": "watch-peek"}
        assert timeout > 0
        return json.dumps(self._answer).encode() + b"\n"


@pytest.mark.parametrize(
    ("code", "error"),
    [({"code": "no-job"}, JobGoneError), ({"code": "failed"}, AgentError), ({}, AgentError)],
)
def test_a_job_that_is_gone_is_told_by_its_code(code: dict[str, str], error: type[AgentError]) -> None:
    refusal = {"ok": False, "error": "there is no job w here"} | code
    with pytest.raises(AgentError, match="the agent n says: there is no job w here") as raised:
        Agent(FixedTransport(refusal)).ask("watch-peek")
    assert type(raised.value) is error


@pytest.mark.parametrize("answer", [None, [], {}, "x", 5])
def test_what_is_no_reply(answer: Any) -> None:
    with pytest.raises(AgentError, match="something that is no reply"):
        Agent(FixedTransport(answer)).ask("watch-peek")


@pytest.mark.parametrize(("crowding", "milliseconds"), [(0.5, 100), (4, 100), (8, 200), (32, 800), (200, 1000)])
def test_rings_last_longer_where_many_nodes_share_a_processor(crowding: float, milliseconds: int) -> None:
    assert Run(crowding=crowding).retire_ms == milliseconds
