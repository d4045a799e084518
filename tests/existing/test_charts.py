"""An upgrade without a network: each version from a chart on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.charts import Charts
from tests.existing.conftest import Connect, MakeDouble, scenario
from tests.existing.test_operations_upgrade import FROM, PATIENT, TO, images, journal
from tests.kind.charts_made import chart_archive, chart_folder

OTHER = "1.17.2"


def test_each_step_has_its_chart(
    recorded: MakeDouble, connect: Connect, helm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = recorded()
    scenario(helm, double, values={})
    charts = Charts(
        {TO: str(chart_archive(tmp_path / "a.tgz", TO)), OTHER: str(chart_folder(tmp_path / "folder", OTHER))}
    )
    said: list[str] = []
    cluster = connect(double, said.append, charts=charts, **PATIENT)
    cluster.operations.check_upgrade([FROM, TO, OTHER, TO])
    assert any("1.17.2 to 1.16.4 is a downgrade" in line for line in said)
    monkeypatch.setattr("pytest_ciliumwg.providers.existing.operations.rollout.Rollout.await_end", lambda *_: None)
    cluster.operations.upgrade(TO)
    (upgrade,) = [call for call in journal(helm) if call["argv"][0] == "upgrade"]
    assert upgrade["argv"][:4] == ["upgrade", "cilium", str(tmp_path / "a.tgz"), "--reset-values"]


def test_the_chart_of_another_version_changes_nothing(
    recorded: MakeDouble, connect: Connect, helm: Path, tmp_path: Path
) -> None:
    double = recorded()
    scenario(helm, double, values={})
    cluster = connect(double, charts=Charts({"": str(chart_archive(tmp_path / "a.tgz", TO))}))
    before = images(double)
    with pytest.raises(ProviderError, match=r"a\.tgz is of Cilium 1\.16\.4, not 1\.17\.2: give each version its own"):
        cluster.operations.check_upgrade([FROM, TO, OTHER])
    assert images(double) == before
