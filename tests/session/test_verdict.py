"""The verdict of runs that are narrowed, cut short, or helped along by others: on a cluster that need not exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import EXTENDED, OFFLINE, OWN, PARTIAL, SUITE, Run


def test_a_selection_is_partial(run_own: Run) -> None:
    for selection in (("-k", "test_mine"), ("-k", "test_mine", "-m", "ciliumwg_check")):
        run = run_own("test_mine.py", *selection)
        assert run.result.ret == 0
        run.result.stdout.fnmatch_lines([PARTIAL])
        assert (run.report["outcome"], run.report["verdict"]) == ("partial", PARTIAL)
        assert (run.report["checks_expected"], run.report["checks_ran"], run.report["exit_status"]) == (SUITE + 2, 2, 0)
    run = run_own("test_mine.py", "-k", "test_mine", "--ciliumwg-require=conformant")
    assert run.result.ret == run.report["exit_status"] == 1
    run.result.stdout.fnmatch_lines([PARTIAL, "ciliumwg: --ciliumwg-require=conformant is not met"])


@pytest.mark.parametrize("when", ["tryfirst=True", "trylast=True", "wrapper=True"])
def test_a_plugin_that_drops_checks(run_own: Run, pytester: pytest.Pytester, when: str) -> None:
    drop = "    items[:] = [item for item in items if 'test_mine' in item.nodeid]\n"
    late = when.startswith("wrapper")
    body = f"    yield\n{drop}" if late else drop
    pytester.makeconftest(
        f"import pytest\n\n@pytest.hookimpl({when})\ndef pytest_collection_modifyitems(items):\n{body}"
    )
    run = run_own("test_mine.py")
    assert run.result.ret == 0
    run.result.stdout.fnmatch_lines([PARTIAL])


@pytest.mark.thorough(but=("xfail", "fixture"))
@pytest.mark.parametrize(
    "mark",
    ["skip", "xfail", "xfail(strict=True)", "xfail(run=False)", "skipif(True, reason='no')", "fixture"],
)
def test_a_marker_of_others_is_no_pass(run_own: Run, pytester: pytest.Pytester, mark: str) -> None:
    marking = (
        "def pytest_collection_modifyitems(items):\n    for item in items:\n        if item.name == 'test_second':\n"
        f"            item.add_marker(pytest.mark.{mark})\n"
    )
    fixture = (
        "@pytest.fixture(autouse=True)\ndef nothing(request):\n    if request.node.name == 'test_second':\n"
        "        pytest.skip('not today')\n"
    )
    pytester.makeconftest(f"import pytest\n\n{fixture if mark == 'fixture' else marking}")
    run = run_own("test_mine.py", "-k", "test_mine")
    assert run.result.ret == (1 if "strict" in mark else 0)
    run.result.stdout.fnmatch_lines([PARTIAL.replace("2 of", "1 of")])
    (waived,) = [check["waived"] for check in run.report["checks"] if check["waived"]]
    assert "not the suite's" in waived or "not by the suite: " in waived


RERUN = """
import pytest
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for last in (False, True):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        again = not last and any(report.failed for report in reports)
        for report in reports:
            if again and report.failed:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
        if not again:
            break
    return True
"""


def test_a_failure_that_passes_when_it_is_run_again_stays_a_failure(run_own: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(RERUN)
    pytester.makepyfile(test_mine=OWN.replace("SECOND = True", "SECOND = False"))
    run = run_own("test_mine.py", "-k", "test_mine")
    run.result.stdout.fnmatch_lines(["NOT CONFORMANT: 1 check failed"])
    assert run.result.ret == 1
    assert run.report["outcome"] == "not-conformant"


ADDED = """
from pathlib import Path

def pytest_ciliumwg_suites():
    return [Path(__file__).parent / "added"]
"""


@pytest.mark.parametrize("where", ["a suite's", "one's own"])
@pytest.mark.parametrize("why", ["import nothing_like_it", "pytest.importorskip('nothing_like_it')"])
def test_a_file_whose_checks_nobody_knows_makes_a_run_partial(
    run_own: Run, pytester: pytest.Pytester, why: str, where: str
) -> None:
    broken = OWN.replace("TRIES = []", why).replace("own.", "other.")
    if where == "a suite's":
        pytester.makepyfile(our_suites=ADDED)
        pytester.mkdir("added").joinpath("test_broken.py").write_text(broken)
        pytester.syspathinsert()
    else:
        pytester.makepyfile(test_broken=broken)
    plugin = ("-p", "our_suites") if where == "a suite's" else ("test_broken.py",)
    run = run_own("test_mine.py", *plugin, "-k", "test_mine", "--continue-on-collection-errors")
    known = where == "one's own" and "skip" in why
    run.result.stdout.fnmatch_lines([f"partial: 2 of {SUITE + (2 if known else 3)} checks ran, all passed"])
    assert run.result.ret == (0 if "skip" in why else 1)


def test_an_interrupted_run_is_partial(run_own: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "def pytest_runtest_setup(item):\n    if item.name == 'test_second':\n        raise KeyboardInterrupt\n"
    )
    run = run_own("test_mine.py", "-k", "test_mine")
    assert run.result.ret == pytest.ExitCode.INTERRUPTED
    run.result.stdout.fnmatch_lines([PARTIAL.replace("2 of", "1 of")])
    pytester.makeconftest(
        "import pytest\n\ndef pytest_runtest_setup(item):\n"
        "    if item.name == 'test_second':\n        pytest.exit('enough', returncode=0)\n"
    )
    run = run_own("test_mine.py", "-k", "test_mine")
    assert run.result.ret == 1
    assert run.report["outcome"] == "partial"


def test_the_verdict_of_an_earlier_run_does_not_stand_for_one_that_is_killed(
    run_own: Run, pytester: pytest.Pytester
) -> None:
    path = Path(pytester.path, "verdict")
    path.write_text("conformant: 101 checks passed on 3 nodes\n")
    pytester.makeconftest("import shutil\n\ndef pytest_runtest_setup():\n    shutil.copy('verdict', 'seen')\n")
    run_own("test_mine.py", "-k", "test_mine", f"--ciliumwg-verdict-file={path}")
    meanwhile = Path(pytester.path, "seen").read_text()
    assert meanwhile == "INCONCLUSIVE: the run has not come to its end; nothing is proven\n"
    assert path.read_text() == f"{PARTIAL}\n"


def test_a_run_without_a_check_is_never_good(run_own: Run, pytester: pytest.Pytester) -> None:
    stale = Path(pytester.path, "report", "report.json")
    stale.parent.mkdir()
    stale.write_text('{"outcome": "conformant"}')
    run = run_own("test_mine.py", "-k", "test_no_check")
    assert run.result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    run.result.assert_outcomes(passed=1, deselected=SUITE + OFFLINE + EXTENDED + 10)
    run.result.stdout.fnmatch_lines(["ciliumwg: INCONCLUSIVE: no check ran; nothing is proven"])
    assert not run.report
    pytester.makeini("[pytest]\npython_files = nothing*.py")
    assert run_own("--ciliumwg-require=conformant").result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_what_does_not_run_checks_needs_no_verdict(pytester: pytest.Pytester) -> None:
    for argument in ("--collect-only", "--fixtures", "--markers", "--cache-show", "--help"):
        run = pytester.runpytest_inprocess("--ciliumwg", "--ciliumwg-provider=lab", argument)
        assert run.ret == 0, argument
        assert "INCONCLUSIVE" not in run.stdout.str()


@pytest.mark.parametrize("way", ["argument", "environment", "addopts", "ini", "node id", "folder around"])
def test_a_path_runs_beside_the_suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    pytester.makepyfile(test_mine=OWN)
    pytester.mkdir("empty")
    suites = Path(__file__).parents[2] / "suites"
    others = [folder for folder in suites.parent.iterdir() if folder != suites]
    arguments = {
        "argument": ["--ciliumwg", "test_mine.py"],
        "environment": ["empty"],
        "addopts": ["--ciliumwg"],
        "ini": [],
        "node id": ["--ciliumwg", "test_mine.py", f"{suites}/test_wire.py::test_delivered"],
        "folder around": ["--ciliumwg", str(suites.parent), *(f"--ignore={folder}" for folder in others)],
    }[way]
    if way == "environment":
        monkeypatch.setenv("CILIUMWG", "1")
    pytester.makeini("[pytest]\n" + {"addopts": "addopts = test_mine.py", "ini": "ciliumwg = yes"}.get(way, ""))
    run = pytester.runpytest_inprocess("--ciliumwg-provider=lab", "--collect-only", "-q", *arguments)
    assert run.ret == 0
    listed = [line for line in run.stdout.lines if "::" in line]
    own = {"environment": 0, "ini": 0, "folder around": 0}.get(way, 3)
    assert sum("test_mine.py::" in line for line in listed) == own
    assert len(listed) - own == (6 if way == "node id" else SUITE)


def test_a_test_of_the_user_s_may_have_a_fixture_called_change(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_mine="import pytest\n\n@pytest.fixture\ndef change(): return 1\n\ndef test_mine(change): assert change"
    )
    run = pytester.runpytest_inprocess("--ciliumwg", "--ciliumwg-provider=lab", "--collect-only", "-q", "test_mine.py")
    assert "test_mine.py::test_mine" in run.stdout.str()


TAKEN = "import pytest\n\n@pytest.fixture\ndef {name}():\n    return 1\n"


def test_a_fixture_of_a_conftest_does_not_take_the_place_of_the_suite_s(
    run_own: Run, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(TAKEN.format(name="cluster"))
    pytester.makepyfile(test_lone="def test_lone(cluster):\n    assert cluster == 1\n")
    run = run_own("test_lone.py")
    assert (run.result.ret, run.report) == (pytest.ExitCode.USAGE_ERROR, {})
    run.result.stderr.fnmatch_lines(
        ["ERROR: *conftest.py: its fixture 'cluster' would take the place of the suite's *"]
    )
    pytester.makeconftest(TAKEN.format(name="of_ours"))
    pytester.makepyfile(
        test_lone=TAKEN.format(name="verify") + "\n\ndef test_lone(of_ours, verify):\n    assert verify\n"
    )
    run_own("test_lone.py", "-k", "test_lone").result.stdout.fnmatch_lines(["*1 passed*"])


def test_cleartext_counts_whatever_was_selected(run_lab: Run) -> None:
    run = run_lab("--ciliumwg-fault=leak-udp-pair", "--ciliumwg-nodes=2", "-k", "test_delivered")
    assert set(run.report["summary"]) == {"pass"}
    assert run.result.ret == run.report["exit_status"] == 1
    assert run.report["outcome"] == "not-conformant"
    assert "cleartext" in {pair["verdict"] for pair in run.report["pairs"]}
    run.result.stdout.fnmatch_lines(["NOT CONFORMANT: * flows in cleartext that had to be encrypted, *"])
