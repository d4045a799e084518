"""What a user sees of a healthy run, and of runs that cannot begin."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.patience import PATIENCE

from .conftest import SuiteRun

VXLAN = ("--ciliumwg-provider=lab", "--ciliumwg-routing=vxlan")


@pytest.mark.thorough(but=("1.13", "1.20.3"))
@pytest.mark.parametrize("version", ["1.10", "1.13", "1.14.2", "1.16", "1.18", "1.20.3"])
def test_healthy_lab_conforms(run_lab: Callable[..., SuiteRun], version: str) -> None:
    run = run_lab(f"--ciliumwg-cilium-version={version}")
    assert run.result.ret == 0
    assert not run.outcome("fail")
    assert not run.outcome("inconclusive")
    assert len(run.outcome("pass")) >= 70
    assert len({check["id"] for check in run.report["checks"]}) >= 40
    promised = [flow for flow in run.report["flows"] if flow["promised"]]
    assert {flow["verdict"] for flow in promised if not flow["dropped_by_design"]} == {"encrypted"}
    # The lab drops the fragments that the version drops which it imitates.
    assert {flow["verdict"] for flow in promised if flow["dropped_by_design"]} == {"unreachable"}
    assert not any(check["notes"] for check in run.report["checks"])
    # What nobody encrypts by design is read in the same capture: the watch is not deaf.
    assert {flow["verdict"] for flow in run.report["flows"] if not flow["promised"]} == {"cleartext"}
    run.result.stdout.fnmatch_lines(
        [
            "*ciliumwg: provider lab, Cilium*",
            "*THIS IS NOT CILIUM*",
            "*1*2*3",
            " 2  lab-worker *ok*-*ok*",
            "flows: * encrypted, * dropped by design",
            "conformant: * checks passed on 3 nodes",
        ]
    )


@pytest.mark.thorough(but=("1.20-geneve", "1.13-vxlan"))
@pytest.mark.parametrize(
    ("version", "tunnel"),
    [("1.13", "vxlan"), ("1.15", "vxlan"), ("1.20", "vxlan"), ("1.13", "geneve"), ("1.20", "geneve")],
)
def test_tunnel(run_lab: Callable[..., SuiteRun], version: str, tunnel: str) -> None:
    run = run_lab(f"--ciliumwg-cilium-version={version}", f"--ciliumwg-routing={tunnel}", "--ciliumwg-nodes=2")
    assert run.result.ret == 0
    assert run.report["cluster"]["declared"]["routing_mode"] == tunnel


def test_a_tunnel_that_does_not_go_into_wireguard(run_lab: Callable[..., SuiteRun]) -> None:
    run = run_lab("--ciliumwg-routing=geneve", "--ciliumwg-nodes=2", "--ciliumwg-fault=redirect-removed")
    assert run.result.ret == 1
    assert any(check.startswith("wire.no-cleartext") for check in run.outcome("fail"))
    assert "eth/ipv4/udp:6081/geneve/" in run.result.stdout.str()


@pytest.mark.thorough(but=("v6-IPv4",))
@pytest.mark.parametrize(("family", "missing"), [("v4", "IPv6"), ("v6", "IPv4")])
def test_one_family(run_lab: Callable[..., SuiteRun], family: str, missing: str) -> None:
    run = run_lab(f"--ciliumwg-ip-family={family}", "--ciliumwg-nodes=2")
    assert run.result.ret == 0
    assert {"v4": "v4", "v6": "v6"}[family] in json.dumps(run.report["cluster"]["declared"]["families"])
    assert any(missing in message for message in run.outcome("skip").values())


@pytest.mark.thorough
def test_seven_nodes(run_lab: Callable[..., SuiteRun]) -> None:
    run = run_lab("--ciliumwg-nodes=7")
    assert run.result.ret == 0
    assert len(run.report["pairs"]) == 42


def test_report_says_what_ran_and_holds_no_secret(run_lab: Callable[..., SuiteRun], pytester: pytest.Pytester) -> None:
    run = run_lab("--ciliumwg-nodes=2", "--ciliumwg-require=conformant")
    assert run.result.ret == 0
    assert run.report["schema"] == 2
    assert run.report["verdict"].startswith("conformant")
    assert run.report["outcome"] == "conformant"
    assert run.report["checks_expected"] == run.report["checks_ran"] == len(run.report["checks"])
    assert run.report["cluster"]["provider"] == "lab"
    assert all(check["statement"] and check["source"] for check in run.report["checks"])
    watch = run.report["watches"][0]["devices"]["eth0"]
    assert watch["drops"] == 0
    assert watch["wireguard_messages"]["data"] > 0
    everything = Path(pytester.path, "report", "report.json").read_text() + run.result.stdout.str()
    assert not re.search("private.?key", everything, re.IGNORECASE)


def test_plan_tells_how_large_a_sample_is(pytester: pytest.Pytester) -> None:
    asked = ("--ciliumwg-provider=existing", "--ciliumwg-max-nodes=200", "--ciliumwg-pairs=sample:10")
    result = pytester.runpytest_inprocess("--ciliumwg", "--ciliumwg-plan", *asked)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "pairs tested: 3,??? of 39,800: * are not tested, and the verdict says so",
            "messages of these flows, requests and answers: * with * bytes of payload",
            "bytes between nodes (estimate): *",
            "calls of the API server (estimate): 7,260 for each stage",
            "seconds of the flows (estimate): *",
        ]
    )


def test_plan_touches_nothing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    result = pytester.runpytest_inprocess("--ciliumwg", "--ciliumwg-plan", "--ciliumwg-nodes=4")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*nothing is made and nothing is sent*",
            "cluster: provider kind, 4 nodes, IPdual, Cilium *",
            "check config.encryption: Cilium is configured to encrypt with WireGuard, *",
            "check wire.no-cleartext (x6): *",
            "flows pair: 12 x tcp over IPv6*",
            "*pod to pod on the same node*",
        ]
    )
    result.stdout.no_fnmatch_line("*passed*")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--ciliumwg-provider=minikube"], "--ciliumwg-provider: 'minikube' is not accepted: *existing, lab, offline"),
        (["--ciliumwg-nodes=1"], "--ciliumwg-nodes: '1' is not accepted: accepted are whole numbers from 2 to 100"),
        (["--ciliumwg-pairs=sample:0"], "--ciliumwg-pairs: 'sample:0' is not accepted: accepted are all, ring, or *"),
        (["--ciliumwg-pairs=sample:x"], "--ciliumwg-pairs: 'sample:x' is not accepted: accepted are all, ring, or *"),
        (["--ciliumwg-nodes=many"], "--ciliumwg-nodes: 'many' is not accepted: *"),
        (["--ciliumwg-ip-family=v5"], "--ciliumwg-ip-family: 'v5' is not accepted: accepted are v4, v6, dual"),
        (["--ciliumwg-profile=core,fast"], "--ciliumwg-profile: * accepted are core, extended, disruptive, *"),
        (["--ciliumwg-cilium-version=latest"], "--ciliumwg-cilium-version: 'latest' is not accepted: *"),
        (["--ciliumwg-cilium-version=1.9"], "--ciliumwg-cilium-version: '1.9' is not accepted: *1.10*"),
        (["--ciliumwg-fault=rule-deleted", "--ciliumwg-provider=existing"], "--ciliumwg-fault goes with *=lab only*"),
        ([*VXLAN, "--ciliumwg-cilium-version=1.14"], "*from 1.15 on"),
        (["--ciliumwg-provider=lab", "--ciliumwg-fault=gremlins"], "*gremlins*encryption-off*"),
        (["--ciliumwg-provider=lab", "--ciliumwg-fault=peer-removed@moon"], "*moon*lab-worker*"),
        (["--ciliumwg-provider=lab", "--ciliumwg-cilium-version=1.13", "--ciliumwg-ip-family=v6"], "*IPv6*1.14*"),
        (["--ciliumwg-upgrade="], "--ciliumwg-upgrade has no value: give it one, or leave it out"),
        (["--ciliumwg-provider=lab", "--ciliumwg-fault="], "--ciliumwg-fault has no value: *"),
        (["--ciliumwg-provider=lab", "--ciliumwg-fault=leak-vxlan", "--ciliumwg-fault="], "--ciliumwg-fault has no *"),
        (["--ciliumwg-provider=lab", "--ciliumwg-fault=,"], "--ciliumwg-fault has no value: *"),
        (["--ciliumwg-report="], "--ciliumwg-report has no value: *"),
        (["--ciliumwg-node-encryption="], "--ciliumwg-node-encryption has no value: *"),
        (["--ciliumwg-require=most"], "--ciliumwg-require: 'most' is not accepted: accepted are conformant"),
        (["--debug", "."], "--debug takes '.' for its own value: put the path before --debug"),
        (["--cache-show", "/tmp"], "--cache-show takes '/tmp' for its own value: put the path before --cache-show"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(pytester: pytest.Pytester, arguments: list[str], sentence: str) -> None:
    result = pytester.runpytest_inprocess("--ciliumwg", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    both = f"{result.stdout.str()}\n{result.stderr.str()}"
    assert "Traceback" not in both
    result_lines = [line.removeprefix("ERROR: ") for line in both.splitlines()]
    assert any(re.fullmatch(re.escape(sentence).replace(r"\*", ".*"), line) for line in result_lines), both


def test_options_without_the_switch_are_not_ignored(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile("def test_mine(): pass")
    for option in ("--ciliumwg-provider=lab", "--ciliumwg-plan"):
        result = pytester.runpytest_inprocess(option)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        name = option.partition("=")[0]
        result.stderr.fnmatch_lines([f"ERROR: {name} does nothing without --ciliumwg: add --ciliumwg, or leave it out"])
    # What a project keeps in its settings waits there for the switch, and so does the environment.
    monkeypatch.setenv("CILIUMWG_PROVIDER", "lab")
    monkeypatch.setenv("CILIUMWG_PROVDER", "lab")
    pytester.makeini("[pytest]\naddopts = --ciliumwg-provider=lab\nciliumwg_nodes = 2")
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    result = pytester.runpytest_inprocess("--ciliumwg")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: environment variable CILIUMWG_PROVDER: there is no such option; the nearest is CILIUMWG_PROVIDER"]
    )


def test_environment_and_ini_say_the_same_as_options(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\nciliumwg = yes\nciliumwg_nodes = 5\nciliumwg_plan = yes\nciliumwg_ip_family = v4")
    monkeypatch.setenv("CILIUMWG_NODES", "6")
    pytester.runpytest_inprocess().stdout.fnmatch_lines(["cluster: provider kind, 6 nodes, IPv4, *"])
    pytester.runpytest_inprocess("--ciliumwg-nodes=7").stdout.fnmatch_lines(["cluster: provider kind, 7 nodes, *"])
    monkeypatch.setenv("CILIUMWG_IP_FAMILY", "x")
    result = pytester.runpytest_inprocess()
    result.stderr.fnmatch_lines(["ERROR: environment variable CILIUMWG_IP_FAMILY: 'x' is not accepted: *"])
    monkeypatch.setenv("CILIUMWG_IP_FAMILY", "")
    result = pytester.runpytest_inprocess()
    result.stderr.fnmatch_lines(["ERROR: environment variable CILIUMWG_IP_FAMILY has no value: *"])


def test_missing_programs_are_named_with_their_packages(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_ciliumwg.providers.lab.requirements.shutil.which", lambda *_, **__: None)
    result = pytester.runpytest_inprocess("--ciliumwg", "--ciliumwg-provider=lab")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *apt-get install iproute2 mount nftables util-linux wireguard-tools"])


def test_without_the_option_nothing_of_the_suite_is_there(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_mine(): pass")
    # By module: the paths that pytest shows have the folder of this checkout in them, whatever it is called.
    assert "pytest_ciliumwg.session.fixtures" in _modules_with_fixtures(pytester, "--ciliumwg", ".")
    # What is there for others is listed, with what it needs.
    listed = {name for name in _modules_with_fixtures(pytester) if "ciliumwg" in name}
    assert listed == {"pytest_ciliumwg.session.fixture_api"}
    suites = Path(__file__).parents[2] / "suites"
    result = pytester.runpytest_inprocess(str(suites), "test_without_the_option_nothing_of_the_suite_is_there.py")
    result.assert_outcomes(passed=1)


def _modules_with_fixtures(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    shown = pytester.runpytest_inprocess("--fixtures", "-q", *arguments).stdout.str()
    return re.findall(r"^-+ fixtures defined from (\S+) -+$", shown, re.MULTILINE)


def test_importing_the_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys, time; import pytest; before = set(sys.modules); start = time.process_time();"
        "import pytest_ciliumwg.plugin; cost = time.process_time() - start;"
        "print(cost, *sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    # With bytecode that the first of the runs writes, as an installation has it, whatever this environment says of it.
    environ = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    times = []
    for _ in range(5):
        command = [sys.executable, "-c", script]
        out = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.split()
        assert set(out[1:]) <= {"pytest_ciliumwg"}
        times.append(float(out[0]))
    assert min(times) < 0.005


def test_ctrl_c_ends_the_lab_and_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--ciliumwg", "--ciliumwg-provider=lab", "--ciliumwg-fault=blackhole"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "opening" in line:
            break
    sandbox = _children(process.pid)
    process.send_signal(signal.SIGINT)
    output = process.stdout.read()
    assert process.wait(PATIENCE) == pytest.ExitCode.INTERRUPTED
    process.stdout.close()
    assert "KeyboardInterrupt" in output
    assert sandbox
    assert not [pid for pid in sandbox if Path(f"/proc/{pid}").exists()]


def _children(pid: int) -> list[int]:
    """All descendants of a process."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in found.splitlines())}
    wanted, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in wanted} - wanted
        wanted, grown = wanted | more, bool(more)
    return sorted(wanted - {pid, os.getpid()})
