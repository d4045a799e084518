"""Changes of a lab, as a user runs them: what a healthy run says, and what is found when a change goes wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from pytest_ciliumwg.changes import actions
from pytest_ciliumwg.faults import FAULTS
from tests.report.html import reader

from .conftest import SuiteRun

pytestmark = pytest.mark.slow(first=True)

RunLab = Callable[..., SuiteRun]
DISRUPTIVE = "--ciliumwg-profile=disruptive"
ONLY_CHANGES = ("-k", "test_change")


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flow meets a shorter outage too, and every node more than one pod that goes."""
    monkeypatch.setattr(actions, "OUT_SECONDS", 1.5)
    monkeypatch.setattr(actions, "CHURN_ROUNDS", 6)


def failed(run: SuiteRun) -> set[str]:
    return set(run.outcome("fail")) | set(run.outcome("inconclusive"))


def test_stages(run_lab: RunLab) -> None:
    run = run_lab(DISRUPTIVE, "--ciliumwg-change=node-removed,node-added,agent-restart")
    assert run.result.ret == 0
    stages = {check["params"].get("stage") for check in run.report["checks"]}
    assert stages == {"initial", "agent-restart", "node-removed", "node-added"}
    assert not failed(run)
    passed = run.outcome("pass")
    # The whole core suite holds again after each change, and on two nodes as well as on three.
    for stage, peers in (("agent-restart", 6), ("node-removed", 2), ("node-added", 6)):
        assert f"change.no-cleartext[{stage}]" in passed
        counted = next(check for check in run.report["checks"] if check["title"] == f"peers.count[{stage}]")
        assert counted["outcome"] == "pass"
        assert (
            len({(f["source_node"], f["destination_node"]) for f in run.report["flows"] if f["stage"] == stage})
            == peers
        )
    run.result.stdout.fnmatch_lines(
        [
            "*THIS RUN CHANGES THE CLUSTER*",
            "*agent-restart: deletes the Cilium agent pod of lab-worker2*",
            "*change agent-restart: *",
            "agent-restart: 0 frames in cleartext; *settled after *",
            "conformant: *",
        ]
    )


def test_timeline(run_lab: RunLab) -> None:
    run = run_lab(DISRUPTIVE, "--ciliumwg-change=key-replaced", "--ciliumwg-nodes=2", *ONLY_CHANGES)
    assert run.result.ret == 0
    (change,) = run.report["changes"]
    timeline = change["timeline"]
    assert [event["what"] for event in timeline["events"] if event["kind"] == "change"] == ["replacing the private key"]
    assert {"agent-gone", "agent-ready", "key-changed"} <= {event["kind"] for event in timeline["events"]}
    assert timeline["clock_offsets"].keys() == {"lab-control-plane", "lab-worker"}
    assert max(timeline["clock_uncertainty"].values()) < 1
    for flow in timeline["flows"]:
        if flow["purpose"] == "continuous":
            assert flow["totals"]["answered"] > 0
            assert flow["spans"][0][1] == timeline["started"]
            assert flow["spans"][-1][2] == timeline["stopped"]
            assert all(before[2] == after[1] for before, after in zip(flow["spans"], flow["spans"][1:], strict=False))


@pytest.mark.thorough
def test_userspace_fallback_leaks_at_a_restart_as_recorded_live(run_lab: RunLab) -> None:
    run = run_lab(
        DISRUPTIVE,
        "--ciliumwg-change=agent-restart",
        "--ciliumwg-cilium-version=1.13.18",
        "--ciliumwg-userspace-fallback=on",
    )
    assert failed(run) == {"change.no-cleartext[agent-restart]"}
    message = run.outcome("fail")["change.no-cleartext[agent-restart]"]
    assert re.search(r"frames of the request leaving lab-worker2 eth0 in cleartext at \d\d:\d\d:\d\d", message)
    assert "s after restarting the Cilium agent on lab-worker2" in message
    assert "all of it while cilium_wg0 was missing on lab-worker2" in message
    assert run.report["evidence"]


@pytest.mark.thorough
def test_device_down_is_reported_where_nobody_promises_to_fail_closed(run_lab: RunLab) -> None:
    run = run_lab(
        DISRUPTIVE,
        "--ciliumwg-change=device-down",
        "--ciliumwg-cilium-version=1.13.18",
        "--ciliumwg-nodes=2",
        *ONLY_CHANGES,
    )
    assert run.result.ret == 0
    reported = run.outcome("skip")["change.no-cleartext[device-down]"]
    assert "in cleartext" in reported
    assert "only the strict mode promises" in reported
    assert re.search(r"with \d+ frames in cleartext while cilium_wg0 was down \(no strict mode", run.report["verdict"])
    assert "cleartext" in {pair["verdict"] for pair in run.report["pairs"]}


UPGRADE = "--ciliumwg-upgrade=1.13.18,1.15.10"
SMALL = ("--ciliumwg-nodes=2", "--ciliumwg-ip-family=v4")
# Arguments → what has to be found: the check in its stage → the fault.
FAULTY: dict[tuple[str, ...], dict[str, str]] = {
    (DISRUPTIVE, "--ciliumwg-change=agent-restart,pod-churn,key-replaced"): {
        "change.loss[agent-restart]": "restart-loses@lab-worker2",
        "change.custody[agent-restart]": "restart-bypass@lab-worker2",
        "change.no-cleartext[pod-churn]": "churn-leak",
        "change.settled[key-replaced]": "key-stale",
    },
    (UPGRADE, DISRUPTIVE, "--ciliumwg-change=node-removed"): {
        "change.no-cleartext[upgraded-to-1.15.10]": "upgrade-gap",
        "change.settled[node-removed]": "peer-stays",
    },
    (DISRUPTIVE, "--ciliumwg-change=agent-restart"): {
        "change.no-cleartext[agent-restart]": "restart-leak@lab-worker2",
        "change.other-pods[agent-restart]": "restart-leak-other-pods@lab-worker2",
    },
    (DISRUPTIVE, "--ciliumwg-change=agent-restart-all"): {
        "change.done[agent-restart-all]": "agents-stay@lab-worker",
        "change.restored[agent-restart-all]": "restart-shrinks@lab-worker2",
    },
    (DISRUPTIVE, "--ciliumwg-change=ipcache-lost", *SMALL): {
        "change.no-cleartext[ipcache-lost]": "strict-missing@lab-worker",
    },
    (DISRUPTIVE, *SMALL, "--ciliumwg-change=ipcache-lost"): {
        "change.strict[ipcache-lost]": "strict-untested@lab-worker",
    },
}


@pytest.mark.thorough(but=("agent-restart", "ipcache-lost"))
@pytest.mark.parametrize("arguments", FAULTY, ids=lambda arguments: arguments[-1].rpartition("=")[2])
def test_what_goes_wrong_in_a_change_is_found(run_lab: RunLab, arguments: tuple[str, ...]) -> None:
    wanted = FAULTY[arguments]
    run = run_lab(*arguments, *(f"--ciliumwg-fault={fault}" for fault in wanted.values()), *ONLY_CHANGES)
    for title, fault in wanted.items():
        assert title in failed(run)
        name, _, node = fault.partition("@")
        assert FAULTS[name].catcher == title.partition("[")[0]
        message = (run.outcome("fail") | run.outcome("inconclusive"))[title]
        assert (node or "lab-worker") in message
        if title.startswith("change.no-cleartext"):
            assert_the_page_tells(
                run, title.removeprefix("change.no-cleartext[").removesuffix("]"), node or "lab-worker"
            )
    # Nothing leaked but where a fault let it.
    assert {title for title in run.outcome("fail") if "no-cleartext" in title} <= set(wanted)


def assert_the_page_tells(run: SuiteRun, stage: str, node: str) -> None:
    """Somebody who sees only the page can say which node sent what to whom in cleartext, when and in which change."""
    page = run.page
    titles = [reader.headline(page, number) for number in range(1, len(run.report["findings"]) + 1)]
    number = next(n for n, title in enumerate(titles, 1) if title.endswith(f"[{stage}]") and "in cleartext" in title)
    timeline = next(change["timeline"] for change in run.report["changes"] if change["name"] == stage)
    first, last = (reader.moment(timeline[name]) for name in ("started", "stopped"))
    told = list(reader.leaks(page, number))
    assert told
    for leak in told:
        assert leak.sender == node
        assert leak.protocols
        assert leak.families
        assert first <= leak.first <= leak.last <= last
        assert reader.frames(page, leak)


@pytest.mark.thorough
def test_a_restart_that_forgets_is_found_by_the_suite_afterwards(run_lab: RunLab) -> None:
    fault = "--ciliumwg-fault=restart-forgets@lab-worker2"
    run = run_lab(DISRUPTIVE, "--ciliumwg-change=agent-restart", fault, "-k", "allowed_ips")
    assert failed(run) == {"allowed-ips.pods[agent-restart]"}


@pytest.mark.parametrize("strict", ["on", "off"])
def test_what_is_not_encrypted_is_dropped_by_the_strict_mode_alone(run_lab: RunLab, strict: str) -> None:
    asked = f"--ciliumwg-strict-egress={strict}"
    run = run_lab(DISRUPTIVE, "--ciliumwg-change=ipcache-lost", *SMALL, asked, *ONLY_CHANGES)
    assert run.result.ret == 0
    if strict == "on":
        assert {"change.strict[ipcache-lost]", "change.no-cleartext[ipcache-lost]"} <= set(run.outcome("pass"))
        assert "0 frames in cleartext" in run.result.stdout.str()
    else:
        told = run.outcome("skip")["change.strict[ipcache-lost]"]
        assert re.search(r"no strict mode is declared: [1-9]\d* frames left in cleartext", told)
        assert re.search(r"with \d+ frames in cleartext while the ipcache lacked entries", run.report["verdict"])


def test_every_fault_of_a_change_is_tried_here() -> None:
    tried = {fault.partition("@")[0] for wanted in FAULTY.values() for fault in wanted.values()}
    assert tried | {"restart-forgets"} == {name for name, fault in FAULTS.items() if fault.during}


def test_observing(run_lab: RunLab) -> None:
    run = run_lab("--ciliumwg-observe=2s", "--ciliumwg-nodes=2", *ONLY_CHANGES)
    assert run.result.ret == 0
    assert "CHANGES THE CLUSTER" not in run.result.stdout.str()
    assert run.report["changes"][0]["timeline"]["stopped"] - run.report["changes"][0]["timeline"]["started"] > 2


def test_an_upgrade_that_cannot_be(run_lab: RunLab) -> None:
    run = run_lab("--ciliumwg-upgrade=1.13.18,1.14.2", "--ciliumwg-routing=vxlan")
    assert run.result.ret == 4
    run.result.stderr.fnmatch_lines(["*cannot imitate the tunnel of Cilium 1.14.2*"])
