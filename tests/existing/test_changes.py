"""A cluster is changed through its API, with real packets all the time: what a user runs, and what he reads."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.changes import actions
from pytest_ciliumwg.changes.catalogue import DISRUPTIONS
from pytest_ciliumwg.model.cluster import IPFamily
from tests.apidouble import ApiDouble
from tests.existing.conftest import MakeDouble, scenario
from tests.existing.test_operations_upgrade import rolls_out

pytestmark = pytest.mark.slow(first=True)

FROM, TO = "1.13.18", "1.14.10"


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flow meets a shorter outage too, and every node more than one pod that goes."""
    monkeypatch.setattr(actions, "OUT_SECONDS", 1.5)
    monkeypatch.setattr(actions, "CHURN_ROUNDS", 4)


@pytest.fixture
def run_suite(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helm: Path) -> Any:
    """Runs the suite on a double, with a stand-in for helm on PATH that talks to it."""
    pytester.makeconftest(
        """
        from dataclasses import replace
        from pytest_ciliumwg.session.opening import existing_spec
        from pytest_ciliumwg.providers.existing import RetryPolicy, connect_existing

        def pytest_ciliumwg_cluster(settings, progress):
            spec = replace(existing_spec(settings), timeout=60, retry_policy=RetryPolicy(poll=0.05))
            return connect_existing(spec, progress)
        """
    )

    def run(double: ApiDouble, *arguments: str) -> tuple[pytest.RunResult, dict[str, Any]]:
        scenario(helm, double, values={})
        monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
        report = tmp_path / "report"
        done = pytester.runpytest_inprocess(
            "--ciliumwg",
            "--ciliumwg-provider=existing",
            f"--ciliumwg-report={report}",
            "-p",
            "no:cacheprovider",
            *arguments,
        )
        path = report / "report.json"
        return done, json.loads(path.read_text()) if path.exists() else {}

    return run


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {check["title"]: check["outcome"] for check in report["checks"]}


def lab_of(lab_double: MakeDouble, version: str, *faults: str) -> ApiDouble:
    return lab_double(version, nodes=2, families=frozenset({IPFamily.V4}), faults=faults)


@pytest.mark.thorough
def test_an_upgrade_with_another_steering(lab_double: MakeDouble, run_suite: Any) -> None:
    double = lab_of(lab_double, FROM)
    done, report = run_suite(double, f"--ciliumwg-upgrade={FROM},{TO}")
    assert done.ret == 0, done.stdout.str()
    assert not {"fail", "inconclusive"} & set(outcomes(report).values())
    for check in ("done", "no-cleartext", "loss", "settled"):
        assert outcomes(report)[f"change.{check}[upgraded-to-{TO}]"] == "pass"
    assert outcomes(report)["steering.rule[initial-v4]"] == "pass"
    assert outcomes(report)[f"steering.redirect[upgraded-to-{TO}-v4]"] == "pass"
    done.stdout.fnmatch_lines([f"upgraded-to-{TO}: 0 frames in cleartext; *"])
    assert double.ours() == []


@pytest.mark.thorough
def test_a_gap_in_the_middle_of_a_rollout(lab_double: MakeDouble, run_suite: Any) -> None:
    double = lab_of(lab_double, FROM, "upgrade-gap@lab-worker")
    done, report = run_suite(double, f"--ciliumwg-upgrade={FROM},{TO}", "-k", "test_change")
    assert done.ret == 1
    assert {title for title, outcome in outcomes(report).items() if outcome in ("fail", "inconclusive")} == {
        f"change.no-cleartext[upgraded-to-{TO}]"
    }
    (told,) = [check["message"] for check in report["checks"] if check["outcome"] == "fail"]
    # When, which node, after which event.
    assert re.search(r"leaving lab-worker eth0 in cleartext at \d\d:\d\d:\d\d\.\d{3} for", told)
    assert f"s after bringing Cilium to {TO}" in told
    (change,) = report["changes"]
    leaks = change["timeline"]["leaks"]
    assert {leak["node"] for leak in leaks if leak["outgoing"]} == {"lab-worker"}
    rollout = [event for event in change["timeline"]["events"] if event["node"] == "lab-worker"]
    assert {"agent-gone", "agent-ready"} <= {event["kind"] for event in rollout}
    assert min(leak["first_at"] for leak in leaks) > min(event["since"] for event in rollout)


# What one run of the disruptive profile does, in halves that can be run beside each other.
HALVES = (
    ("agent-restart", "agent-restart-all", "pod-churn"),
    ("key-replaced", "device-down", "port-blocked", "ipcache-lost"),
)


@pytest.mark.thorough
@pytest.mark.parametrize("half", HALVES, ids=" ".join)
def test_disruptions(lab_double: MakeDouble, run_suite: Any, half: tuple[str, ...]) -> None:
    double = lab_of(lab_double, "1.18.3")
    done, report = run_suite(double, "--ciliumwg-profile=disruptive", "-k", f"test_change and ({' or '.join(half)})")
    assert done.ret == 0, done.stdout.str()
    assert {check["params"].get("stage") for check in report["checks"]} == set(half)
    assert not {"fail", "inconclusive"} & set(outcomes(report).values())
    done.stdout.fnmatch_lines(
        ["*THIS RUN CHANGES THE CLUSTER*", "*node-restart: left out, it needs a cluster of kind or lab"]
    )
    assert double.ours() == []


def test_every_disruption_of_such_a_cluster_is_tried_here() -> None:
    assert {name for half in HALVES for name in half} == {
        change.name for change in DISRUPTIONS if not change.left_out("existing", 2)
    }


@pytest.mark.thorough
def test_the_api_server_may_be_away(lab_double: MakeDouble, run_suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    double = lab_of(lab_double, "1.18.3")

    def without_api_server(seconds: float) -> actions.Action:
        def act(_: actions.OperationContext) -> None:
            time.sleep(1.0)
            double.restart(2.0)
            time.sleep(seconds - 1.0)

        return act

    monkeypatch.setattr(actions, "observe_for", without_api_server)
    done, report = run_suite(double, "--ciliumwg-observe=6s", "-k", "test_change")
    assert done.ret == 0, done.stdout.str()
    events = [event["kind"] for event in report["changes"][0]["timeline"]["events"]]
    told = [kind for kind in events if kind.startswith("api-")]
    # Each silence is told once, and its end; a very busy machine adds silences of its own.
    assert told
    assert told == ["api-silent", "api-answers"] * (len(told) // 2)
    assert not report["changes"][0]["timeline"]["blind"]


@pytest.mark.thorough
@pytest.mark.parametrize("declared", [(), (f"--ciliumwg-cilium-version={FROM}",)], ids=["found", "declared"])
def test_an_upgrade_of_somebody_else_s_while_nothing_but_watching_was_asked_for(
    lab_double: MakeDouble, run_suite: Any, monkeypatch: pytest.MonkeyPatch, declared: tuple[str, ...]
) -> None:
    double = lab_of(lab_double, FROM)
    really = actions.observe_for

    def with_an_upgrade(seconds: float) -> actions.Action:
        def act(context: actions.OperationContext) -> None:
            rolls_out(double, TO)
            really(seconds)(context)

        return act

    monkeypatch.setattr(actions, "observe_for", with_an_upgrade)
    done, report = run_suite(
        double, "--ciliumwg-observe=5s", *declared, "-k", "test_change or test_steering or test_config"
    )
    outcome = outcomes(report)
    assert outcome["change.no-cleartext[observed]"] == "pass"
    if declared:
        # Who says which version has to run is told that it is another one.
        assert done.ret == 1
        assert outcome["config.version[observed]"] == "fail"
        return
    assert done.ret == 0, done.stdout.str()
    assert outcome["steering.rule[initial-v4]"] == outcome["steering.redirect[observed-v4]"] == "pass"
    done.stdout.fnmatch_lines([f"*existing: somebody brought Cilium from {FROM} to {TO}"])
