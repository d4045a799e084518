"""The commands that stand for a run: the self-test, and removing what runs left."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ciliumwg.cli import main
from pytest_ciliumwg.providers.existing.spec import MANAGED_BY, OWNER_ANNOTATION
from tests.existing.conftest import MakeDouble, recorded  # noqa: F401 - a fixture


def test_what_was_left_in_a_cluster_is_removed(
    recorded: MakeDouble,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    double = recorded()
    left = {
        "name": "ciliumwg-00000000",
        "labels": dict([MANAGED_BY]),
        "annotations": {OWNER_ANNOTATION: "elsewhere/1/1"},
    }
    double.store.put("namespaces", {"metadata": left})
    kubeconfig = str(double.kubeconfig(tmp_path / "kubeconfig"))
    assert main(["cleanup", "--kubeconfig", kubeconfig]) == 0
    assert "removing ciliumwg-00000000" in capsys.readouterr().out
    assert double.ours() == []
    assert main(["cleanup", "--kubeconfig", kubeconfig]) == 0
    assert capsys.readouterr().out == "nothing was left behind\n"
    assert main(["cleanup", "--kubeconfig", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("pytest-ciliumwg: ")


def test_the_selftest_hands_its_arguments_to_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        given.append(arguments)
        return 1

    monkeypatch.setattr("pytest.main", run)
    assert main(["selftest", "-k", "handshake"]) == 1
    assert given[0] == ["--ciliumwg", "--ciliumwg-provider=lab", "--ciliumwg-selftest", "-k", "handshake"]


def test_no_other_command_takes_more_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["checks", "--verbose"])
    assert "unrecognized arguments: --verbose" in capsys.readouterr().err
