"""Charts on disk: each is for the version that it is of, and no other is ever installed from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.options.values import charts
from pytest_ciliumwg.providers.charts import ANY, Charts
from pytest_ciliumwg.providers.kind import KindSpec

from .charts_made import chart_archive, chart_folder


def test_the_option_takes_several() -> None:
    assert charts("") == {}
    assert charts("./cilium") == {ANY: "./cilium"}
    assert charts("1.16=/c/a=b.tgz\n1.17.3=oci://r.example/cilium:1.17.3\n./x=1") == {
        "1.16": "/c/a=b.tgz",
        "1.17.3": "oci://r.example/cilium:1.17.3",
        ANY: "./x=1",
    }
    assert not charts("1.16=~/cilium.tgz")["1.16"].startswith("~")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1.99=./x", r"Cilium 1\.99 is out of the known range"),
        ("1.16=./x\n1.16=./y", r"accepted is one chart for 1\.16, not \./x and \./y"),
        ("./x\n./y", "accepted is one chart for any version"),
    ],
)
def test_the_option_refuses(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        charts(text)


def test_each_version_has_its_own(tmp_path: Path) -> None:
    named = Charts({"1.16": str(tmp_path / "a"), "1.17.3": str(tmp_path / "b"), ANY: "oci://r.example/cilium"})
    assert named.arguments("1.16.4") == [str(tmp_path / "a")]
    assert named.arguments("1.17.3") == named.arguments("v1.17.3") == [str(tmp_path / "b")]
    assert named.arguments("1.17.4") == ["oci://r.example/cilium", "--version", "1.17.4"]
    assert Charts().arguments("1.21")[-2:] == ["--version", "~1.21.0-0"], "a range that pre-releases are in"


def test_a_chart_that_is_not_used_is_refused() -> None:
    named = Charts({"1.17": "oci://r.example/cilium"})
    assert named.refusals(["1.16", "1.17.2"]) == []
    assert named.refusals(["1.16"]) == ["there is a chart for Cilium 1.17, which this run does not install"]


@pytest.mark.parametrize("make", [chart_archive, chart_folder])
def test_a_chart_of_another_version_is_refused(tmp_path: Path, make: Any) -> None:
    made = str(make(tmp_path / "chart", "1.16.4"))
    named = Charts({ANY: made})
    assert named.refusal("1.16.4") == named.refusal("1.16") == ""
    for wanted in ("1.17", "1.16.5"):
        assert f"the chart {made} is of Cilium 1.16.4, not {wanted}: give each version its own" in named.refusal(wanted)
    with pytest.raises(ProviderError, match=r"is of Cilium 1\.16\.4, not 1\.17: give each version its own"):
        KindSpec(cilium_version="1.16", upgrade_path=("1.17",), charts=named).check()
    KindSpec(cilium_version="1.16", upgrade_path=("1.17",), charts=Charts({"1.16": made})).check()


@pytest.mark.parametrize(
    ("chart", "says"),
    [
        ("gone", "does not exist"),
        ("empty", "is no Helm chart: it has no Chart.yaml with a version"),
        ("folder", "is no Helm chart"),
        ("oci://r.example/cilium:1.15.2", "is of Cilium 1.15.2, not 1.16"),
        ("oci://r.example:5000/cilium", ""),
        ("oci://r.example:5000/cilium:1.16.0@sha256:00", ""),
    ],
)
def test_what_is_no_chart_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chart: str, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    Path("folder").mkdir()
    refusal = Charts({ANY: chart}).refusal("1.16")
    assert says in refusal
    assert bool(refusal) == bool(says)
