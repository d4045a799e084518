"""Secrets planted in all that a run reads are in none of what it leaves, `-vvv --showlocals` included."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_redaction import JWT, KEY, PEM

from .conftest import NoCluster

SUITE = '''
import json, logging, os, pathlib, sys
import pytest
from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.observe.sections import Section

PLANTED = json.loads(pathlib.Path(os.environ["PLANTED_HERE"]).read_text())
WG = "wg: Key is not the correct length or format: " + PLANTED["key"]
HELM = "Error: values.yaml: hubble.token=" + PLANTED["token"]

def speak():
    print(WG)
    print(HELM, file=sys.stderr)
    logging.getLogger("helm").warning("%s", os.environ["DEPLOY_TOKEN"])

@pytest.mark.ciliumwg_check("own.read", source="the house")
def test_read(verify):
    """A node can be read."""
    speak()
    section = Section(output="", status=1, stderr=WG)
    section.good()

@pytest.mark.ciliumwg_check("own.broken", source="the house")
def test_broken(verify):
    """Nothing breaks."""
    said, pem, kept = WG, PLANTED["pem"], [HELM, os.environ["DEPLOY_TOKEN"]]
    speak()
    raise RuntimeError(said + pem)

@pytest.mark.ciliumwg_check("own.fails", source="the house")
def test_fails(verify):
    """It holds."""
    speak()
    try:
        Section(output="", status=1, stderr=WG).good()
    except ObservationError as error:
        verify.unmeasured(Place.of_node("a"), str(error))
    verify(False, where=Place.of_node("a"), expected="peer PUBLIC", seen="none")

@pytest.fixture
def broken():
    header = "Bearer " + PLANTED["token"]
    raise ValueError(header)

@pytest.mark.ciliumwg_check("own.fixture", source="the house")
def test_fixture(verify, broken):
    """It is set up."""
'''
PUBLIC = "mV/0rkpzGgJtqcWwMYVnIPyXFyKTWCXcCDGtnfpsQ0o="
ENVIRONMENT = "value-of-the-environment"


def test_nothing_secret_in_any_artifact(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", ENVIRONMENT)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    planted = {"key": KEY, "token": JWT, "environment": ENVIRONMENT, "pem": PEM}
    (tmp_path / "planted.json").write_text(json.dumps(planted), encoding="utf-8")
    monkeypatch.setenv("PLANTED_HERE", str(tmp_path / "planted.json"))
    pytester.makepyfile(test_mine=SUITE.replace("PUBLIC", PUBLIC))
    words = ("--ciliumwg", "--ciliumwg-provider=lab", "-p", "no:cacheprovider", "-k", "test_mine", "test_mine.py")
    loud = ("-vvv", "--showlocals", "-rA", "-o", "junit_logging=all", "--junitxml=junit.xml", "--tb=long")
    result = pytester.runpytest_inprocess(*words, *loud, "--ciliumwg-report=report", plugins=[NoCluster()])
    assert result.ret == 1
    left = {path.name: path.read_text(errors="replace") for path in pytester.path.rglob("*") if path.is_file()}
    left = {name: text for name, text in left.items() if not name.endswith(".pyc")}
    assert left.keys() >= {"report.html", "report.json", "conformance.yaml", "metrics.prom", "junit.xml", "summary.md"}
    left["terminal"] = result.stdout.str() + result.stderr.str()
    for name, text in left.items():
        found = [
            secret for secret, value in planted.items() if value.splitlines()[len(value.splitlines()) // 2] in text
        ]
        assert found == [], name
    assert "[redacted]" in left["terminal"]
    assert "[redacted]" in left["junit.xml"]
    # Public keys are what findings are about.
    assert PUBLIC in left["report.json"]
    assert PUBLIC in left["terminal"]
