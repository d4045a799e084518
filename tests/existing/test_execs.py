"""Execs that break: nothing of an answer is lost, and nothing half is taken for whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import AgentError
from tests.apidouble.recorded import NODE
from tests.apidouble.trouble import ALWAYS, refuse
from tests.existing.conftest import Connect, MakeDouble
from tests.existing.test_faults import EXECS, Outcome
from tests.patience import PATIENCE

GONE = {"status": "Failure", "message": "container is in waiting state", "reason": "InternalError"}
BREAKS: dict[str, dict[str, Any]] = {
    "at-once": {"cut_after": 0},
    "after-a-byte": {"cut_after": 1},
    "in-the-middle": {"cut_after": 3000},
    "no-end": {"mute": True},
    "no-container": {"status": GONE},
    "garbled-end": {"status": {"strange": 1}},
}


@pytest.mark.thorough(but=("version-at-once", "look-in-the-middle", "look-garbled-end"))
@pytest.mark.parametrize("how", list(BREAKS))
@pytest.mark.parametrize("which", ["version", "look"])
def test_a_break_that_passes(recorded: MakeDouble, tmp_path: Path, which: str, how: str) -> None:
    double = recorded()
    happened = double.trouble(EXECS[which], **BREAKS[how])
    outcome = Outcome(double, tmp_path)
    assert outcome.is_success(), outcome.errors
    assert happened.seen > 1
    assert double.ours() == []


LASTING = {
    "at-once": "the connection ended before the command did",
    "in-the-middle": "the connection ended before the command did",
    "no-end": "the connection ended before the command did",
    "no-container": "container is in waiting state",
    "garbled-end": "reported in a way that is not understood",
}


@pytest.mark.parametrize("how", list(LASTING))
def test_a_break_that_lasts_leaves_nothing_known(recorded: MakeDouble, tmp_path: Path, how: str) -> None:
    double = recorded()
    double.trouble(EXECS["look"], times=ALWAYS, **BREAKS[how])
    text = Outcome(double, tmp_path).sentence()
    assert "run a command in container cilium-agent of pod kube-system/cilium-" in text
    assert LASTING[how] in text
    assert double.ours() == []


def test_an_agent_that_stalls(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    pod = cluster.test_pods()[0]
    double.trouble(EXECS["hello"], times=ALWAYS, stall=True)
    with pytest.raises(AgentError, match=rf"the agent on {pod.name} cannot be reached: .* did not answer in time"):
        cluster.pod_agent(pod).exchange(b"{}", timeout=0.4)


def test_a_whole_line_is_enough(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    happened = double.trouble(EXECS["hello"], times=ALWAYS, mute=True)
    reply = cluster.node_agent(NODE).exchange(b'{"op":"hello"}', timeout=PATIENCE)
    assert json.loads(reply)["ok"]
    assert happened.seen == 1


def test_an_exit_status_is_never_lost(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    failed = {
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    }
    double.trouble(EXECS["hello"], times=ALWAYS, status=failed)
    with pytest.raises(AgentError, match="cannot be reached: exit status 3"):
        cluster.node_agent(NODE).exchange(b"{}", timeout=PATIENCE)
    double.trouble(EXECS["look"], times=ALWAYS, status=failed)
    why = set(cluster.state(NODE).unread.values())
    assert why == {f"the script that looks at node {NODE} failed: exit status 3"}


def test_an_evicted_agent(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    pod = cluster.test_pods()[0]
    port = cluster.pod_agent(pod)
    double.store.remove("pods", pod.namespace, pod.name)
    with pytest.raises(AgentError, match=rf"the agent on {pod.name} is gone: its pod .* was evicted or deleted"):
        port.exchange(b"{}", timeout=PATIENCE)


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v5.channel.k8s.io"])
def test_either_protocol(recorded: MakeDouble, tmp_path: Path, protocol: str) -> None:
    assert Outcome(recorded(protocols=(protocol,)), tmp_path).is_success()


def test_a_server_without_either_protocol(recorded: MakeDouble, tmp_path: Path) -> None:
    double = recorded(protocols=("v9.channel.k8s.io",))
    assert "no common protocol" in Outcome(double, tmp_path).sentence()


def test_the_right_to_exec_is_missing(recorded: MakeDouble, tmp_path: Path) -> None:
    double = recorded()
    message = 'pods "cilium-x" is forbidden: User "me" cannot create resource "pods/exec"'
    double.trouble(EXECS["version"], refuse(403, "Forbidden", message), times=ALWAYS)
    text = Outcome(double, tmp_path).sentence()
    assert re.search(r"the user of context double .* may not \(403: pods .*exec.*\); ask the cluster's admin", text)
