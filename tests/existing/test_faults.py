"""What goes wrong between us and a cluster ends in success after a repetition, or in one clear sentence.

Never in a state that looks fine, never in a traceback, and never in anything left behind.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.providers.existing import connect_existing
from pytest_ciliumwg.providers.existing.node_observer import FIELDS
from tests.apidouble import ApiDouble, cut_body, hang, html, lose_answer, refuse, reset
from tests.apidouble.recorded import NODE
from tests.apidouble.trouble import ALWAYS
from tests.existing.conftest import MakeDouble, spec_for
from tests.patience import PATIENCE

OURS = "/namespaces/ciliumwg-[0-9a-f]+"
READS = {
    "nodes": r"GET /api/v1/nodes\?",
    "ciliumnodes": r"GET /apis/cilium.io/v2/ciliumnodes",
    "ciliumendpoints": r"GET /apis/cilium.io/v2/ciliumendpoints",
    "config": r"GET .*/configmaps/cilium-config",
    "any-agents": r"GET /api/v1/pods\?",
    "agents": r"GET /api/v1/namespaces/kube-system/pods\?",
    "our-pods": rf"GET /api/v1{OURS}/pods\?",
}
WRITES = {
    "namespace": r"POST /api/v1/namespaces$",
    "service-account": rf"POST .*{OURS}/serviceaccounts",
    "configmap": rf"POST .*{OURS}/configmaps",
    "node-agents": rf"POST .*{OURS}/daemonsets",
    "delete": rf"DELETE /api/v1{OURS}$",
}
EXECS = {
    "version": r"GET /api/v1/namespaces/kube-system/pods/.*/exec.*version -o json",
    "look": r"GET /api/v1/namespaces/kube-system/pods/.*/exec.*rp_filter",
    "hello": rf"GET /api/v1{OURS}/pods/.*/exec.*call.py",
}
GONE_SOON = rf"GET /api/v1{OURS}$"
REQUESTS = READS | WRITES | EXECS
PASSING = ("429", "500", "reset")
ACTIONS: dict[str, Any] = {
    "401": refuse(401, "Unauthorized", "Unauthorized"),
    "403": refuse(403, "Forbidden", 'it is forbidden: User "me" cannot do this'),
    "409": refuse(409, "AlreadyExists", "exists"),
    "413": refuse(413, "TooLarge", "limit is 3145728"),
    "422": refuse(422, "Invalid", "metadata.name: Invalid value"),
    "429": refuse(429, "TooManyRequests", "slow down", Retry_After="3600"),
    "500": refuse(500, "InternalError", "no leader"),
    "503": refuse(503, "ServiceUnavailable", "apiserver is shutting down"),
    "504": refuse(504, "Timeout", "request did not complete"),
    "admission": refuse(403, "Forbidden", "admission webhook denied it"),
    "reset": reset(),
    "hang": hang(0.7),
    "hang-on": hang(9),
    "html": html(),
    "html-502": html(502),
    "cut": cut_body(),
    "lost-answer": lose_answer(),
}


class Outcome:
    """What one run came to: it connects, looks, asks, and closes."""

    def __init__(self, double: ApiDouble, directory: Path, **spec: Any) -> None:
        self.errors: list[str] = []
        self.lines: list[str] = []
        self.state: NodeState | None = None
        self.double = double
        try:
            self._run(directory, spec)
        except CiliumwgError as error:
            self.errors.append(str(error))

    def _run(self, directory: Path, spec: dict[str, Any]) -> None:
        cluster = connect_existing(spec_for(self.double, directory, **spec), self.lines.append)
        try:
            self.state = cluster.state(NODE)
            cluster.pods()
            pod = cluster.test_pods()[0]
            cluster.pod_agent(pod).exchange(b'{"op":"hello"}\n', timeout=PATIENCE)
        except CiliumwgError as error:
            self.errors.append(str(error))
        finally:
            cluster.close()

    def is_success(self) -> bool:
        """All well, and all seen."""
        return not self.errors and self.state is not None and set(self.state.unread) == {"fwmark"}

    def sentence(self) -> str:
        """The one sentence that the user reads."""
        if not self.errors and self.state is not None and set(self.state.unread) >= set(FIELDS):
            self.errors = sorted(set(self.state.unread.values()))
        assert len(self.errors) == 1, self.errors
        (text,) = self.errors
        assert "\n" not in text
        assert "Traceback" not in text
        assert "<" not in text.replace("<html>", ""), "no Python object's representation"
        assert 20 < len(text) < 900
        return text


@pytest.mark.thorough(but=("service-account-500", "node-agents-429", "any-agents-500"))
@pytest.mark.parametrize(
    ("request_name", "action"),
    [(name, action) for name in REQUESTS for action in PASSING if action == "500" or name not in READS]
    + [("our-pods", "429"), ("ciliumnodes", "reset")],
)
def test_what_passes_is_repeated(recorded: MakeDouble, tmp_path: Path, request_name: str, action: str) -> None:
    double = recorded()
    happened = double.trouble(REQUESTS[request_name], ACTIONS[action], times=2)
    outcome = Outcome(double, tmp_path)
    assert outcome.is_success(), outcome.errors
    assert happened.seen > 2
    assert double.ours() == []


@pytest.mark.thorough(but=("nodes-hang", "look-html-502", "delete-lost-answer"))
@pytest.mark.parametrize(
    ("request_name", "action"),
    [
        ("nodes", "hang"),
        ("namespace", "hang"),
        ("hello", "hang"),
        ("nodes", "html"),
        ("ciliumnodes", "cut"),
        ("our-pods", "cut"),
        ("config", "503"),
        ("namespace", "504"),
        ("look", "html-502"),
        ("node-agents", "html-502"),
        ("namespace", "lost-answer"),
        ("service-account", "lost-answer"),
        ("configmap", "lost-answer"),
        ("node-agents", "lost-answer"),
        ("delete", "lost-answer"),
    ],
)
def test_other_things_that_pass(recorded: MakeDouble, tmp_path: Path, request_name: str, action: str) -> None:
    double = recorded()
    happened = double.trouble(REQUESTS[request_name], ACTIONS[action])
    outcome = Outcome(double, tmp_path)
    assert outcome.is_success(), outcome.errors
    assert happened.seen > 1
    assert double.ours() == []


LASTING = [
    # Without the right to see pods everywhere, Cilium is looked for where it usually is.
    *((name, "403", r"may not \(403.*cannot do this.*right") for name in REQUESTS if name != "any-agents"),
    *((name, "500", r"answered 500: no leader") for name in REQUESTS),
    ("nodes", "429", r"cannot list nodes: .* overloaded .*\(429"),
    ("nodes", "401", r"does not accept the credentials .* log in again"),
    ("nodes", "reset", r"cannot list nodes: .* cannot be reached \(.+\); check"),
    ("nodes", "hang-on", r"cannot list nodes: .* did not answer in time; check"),
    ("nodes", "html", r"no Kubernetes API server; check .* proxies"),
    ("namespace", "422", r"finds the object invalid \(422: metadata"),
    ("namespace", "admission", r"admission control refuses .* exemption"),
    ("namespace", "409", r"conflicts with what is there \(409"),
    ("configmap", "413", r"answered 413: limit is"),
    ("hello", "hang-on", r"agent on .* cannot be reached: .* did not answer in time"),
]


@pytest.mark.thorough(but=("delete-500", "namespace-409", "our-pods-500"))
@pytest.mark.parametrize(("request_name", "action", "says"), LASTING, ids=[f"{name}-{how}" for name, how, _ in LASTING])
def test_what_lasts_is_one_sentence(
    recorded: MakeDouble, tmp_path: Path, request_name: str, action: str, says: str
) -> None:
    double = recorded()
    double.trouble(REQUESTS[request_name], ACTIONS[action], times=ALWAYS)
    text = Outcome(double, tmp_path).sentence()
    assert re.search(says, text), text
    if request_name == "delete":
        assert "is left behind" in text
        assert "--ciliumwg-cleanup" in text
        assert double.ours()[0] in text
    else:
        assert double.ours() == []
