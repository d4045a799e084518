"""The verdict in the cluster: an Event on the CronJob and report objects, with the rights of deploy/nightly alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.report import cluster_objects
from pytest_ciliumwg.session.publishing import publish
from tests.apidouble.rbac import Rbac
from tests.apidouble.trouble import ALWAYS, Trouble, refuse
from tests.existing.conftest import MakeDouble, recorded  # noqa: F401 - a fixture
from tests.report.documents import check, document

NIGHTLY = Path(__file__).parents[2] / "deploy" / "nightly"


def prepared(make: MakeDouble, tmp_path: Path, *without: str) -> tuple[Any, Settings]:
    """A cluster that has the CronJob, and settings that name it; `without` are verbs that its user lacks."""
    double = make()
    double.store.put("namespaces", {"metadata": {"name": "ciliumwg"}})
    made = yaml.safe_load(NIGHTLY.joinpath("cronjob.yaml").read_text("utf-8"))
    double.store.put("cronjobs", made)
    roles = list(yaml.safe_load_all(NIGHTLY.joinpath("rbac.yaml").read_text("utf-8")))
    for rule in (rule for role in roles for rule in role.get("rules", ())):
        rule["verbs"] = [verb for verb in rule["verbs"] if f"{verb} {rule['resources'][0]}" not in without]
    double.rbac = Rbac(roles)
    kubeconfig = double.kubeconfig(tmp_path / "kubeconfig")
    return double, Settings(provider="existing", kubeconfig=kubeconfig, publish=("ciliumwg", "ciliumwg"))


def test_the_verdict_is_an_event_and_a_report_that_the_next_run_replaces(recorded: MakeDouble, tmp_path: Path) -> None:  # noqa: F811
    double, settings = prepared(recorded, tmp_path)
    told: list[str] = []
    checks = [
        check("a.b"),
        check("c.d", "fail", message="it does not"),
        check("e.f", "inconclusive"),
        check("g.h", "skip"),
    ]
    first = document(*checks, outcome="not-conformant", verdict="NOT CONFORMANT: 1 check failed")
    for run in (first, document(*checks[:1], outcome="conformant", verdict="conformant: all checks passed")):
        publish(settings, run, told.append)
    assert told == []
    assert double.rbac.unused() == []
    cronjob = double.store.get("cronjobs", "ciliumwg", "ciliumwg")
    events = [event for event in double.store.select("events", "ciliumwg") if event["source"]["component"]]
    assert [(event["type"], event["reason"]) for event in events] == [
        ("Warning", "NotConformant"),
        ("Normal", "Conformant"),
    ]
    for event in events:
        assert event["involvedObject"]["uid"] == cronjob["metadata"]["uid"]
        kubernetes_validate.validate(event, "1.35", strict=True)
    for resource, version in (("reports", "openreports.io/v1alpha1"), ("policyreports", "wgpolicyk8s.io/v1alpha2")):
        (report,) = double.store.select(resource, "ciliumwg")
        assert report["apiVersion"] == version
        assert report["metadata"]["annotations"]["pytest-ciliumwg/verdict"] == "conformant: all checks passed"
        assert [(result["policy"], result["result"]) for result in report["results"]] == [("a.b", "pass")]
        assert sum(report["summary"].values()) == 1
    whole = cluster_objects.report(first, cronjob, "reports")
    assert [result["result"] for result in whole["results"]] == ["pass", "fail", "error", "skip"]
    assert [result["message"] for result in whole["results"]][:2] == ["a.b holds.", "it does not"]


def test_a_cluster_without_report_objects_has_the_event_alone(recorded: MakeDouble, tmp_path: Path) -> None:  # noqa: F811
    double, settings = prepared(recorded, tmp_path)
    double.troubles.append(Trouble(r"/(policy)?reports", action=refuse(404, "NotFound"), times=ALWAYS))
    told: list[str] = []
    publish(settings, document(), told.append)
    assert told == []
    assert len(double.store.select("events", "ciliumwg")) == 1


@pytest.mark.parametrize(
    ("right", "told_of", "events"),
    [
        ("get cronjobs", "the verdict is not published: cannot read CronJob ciliumwg", 0),
        ("create events", "there is no Event with the verdict: cannot create Event ciliumwg.", 0),
        ("patch reports", "there is no Report with the verdict: cannot change Report ciliumwg", 1),
        ("create policyreports", "there is no PolicyReport with the verdict: cannot create PolicyReport ciliumwg", 1),
    ],
)
def test_a_right_that_is_missing_is_named(
    recorded: MakeDouble,  # noqa: F811
    tmp_path: Path,
    right: str,
    told_of: str,
    events: int,
) -> None:
    double, settings = prepared(recorded, tmp_path, right)
    told: list[str] = []
    publish(settings, document(), told.append)
    (sentence,) = told
    verb, resource = right.split()
    assert sentence.startswith(told_of)
    assert f'cannot {verb} resource "{resource}"' in sentence
    assert len(double.store.select("events", "ciliumwg")) == events


def test_a_cronjob_that_is_not_there_is_named(recorded: MakeDouble, tmp_path: Path) -> None:  # noqa: F811
    double, settings = prepared(recorded, tmp_path)
    double.store.remove("cronjobs", "ciliumwg", "ciliumwg")
    told: list[str] = []
    publish(settings, document(), told.append)
    assert told == [
        "the verdict is not published: there is no CronJob ciliumwg in namespace ciliumwg to put the verdict on"
    ]
