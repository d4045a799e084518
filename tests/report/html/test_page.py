"""report.html: valid, of one piece, and from every failing cell to its frames, at 3 nodes and at 64."""

from __future__ import annotations

import json
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.cli import BAD_INPUT, OK, main
from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.report.html.page import render
from tests.report.html import made
from tests.report.html.parsed import Page

MOST_BYTES = 5_000_000
RUNS = {
    "healthy": (3, made.healthy, {}),
    "leaking": (3, made.one_leaks, {}),
    "change": (3, made.one_leaks, {"changes": [made.change()]}),
    "healthy-64": (64, made.healthy, {}),
    "leaking-64": (64, made.one_leaks, {}),
    "all-leak-64": (64, made.all_leak, {}),
}


@cache
def rendered(name: str) -> str:
    nodes, verdicts, more = RUNS[name]
    return render(made.report(nodes, verdicts, **more))


@cache
def page(name: str) -> Page:
    return Page(rendered(name))


_LARGE = ("leaking-64", "all-leak-64")
every_run = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.thorough if name in _LARGE else ()) for name in RUNS]
)


@every_run
def test_it_is_well_formed_and_small_enough(name: str) -> None:
    assert not page(name).problems
    assert len(page(name).ids) == len(set(page(name).ids))
    assert len(rendered(name).encode()) < MOST_BYTES


@every_run
def test_it_needs_nothing_else(name: str) -> None:
    for tag, attributes, _ in page(name).elements:
        assert tag not in ("script", "img", "iframe", "object", "base")
        assert not {"src", "onclick", "onload", "style"} & set(attributes)
        assert attributes.get("href", "#").startswith("#") or attributes["href"] == "data:,"
    assert "url(" not in rendered(name)
    assert "@import" not in rendered(name)


@every_run
def test_every_link_leads_somewhere(name: str) -> None:
    links = {attributes["href"].removeprefix("#") for attributes, _ in page(name).all("a")}
    assert not links - set(page(name).ids)


@every_run
def test_headings_landmarks_and_labels(name: str) -> None:
    parsed = page(name)
    tags = [tag for tag, _, _ in parsed.elements]
    assert [tags.count(tag) for tag in ("main", "header", "footer", "nav", "h1")] == [1] * 5
    assert parsed.all("html")[0][0]["lang"] == "en"
    levels = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3", "h4")]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    for attributes, _ in [*parsed.all("svg"), *parsed.all("nav")]:
        assert attributes["aria-label"]
    for attributes, _ in parsed.all("section", "article"):
        assert attributes["aria-labelledby"] in parsed.ids
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert all(attributes["scope"] in ("row", "col") for attributes, _ in parsed.all("th"))
    for attributes, _ in parsed.all("div", "pre"):
        assert ("tabindex" in attributes) == (attributes.get("role") == "region") == ("aria-label" in attributes)
    assert all(text or attributes.get("aria-label") for attributes, text in parsed.all("a", "summary"))


@every_run
def test_the_verdict_and_the_findings_come_first(name: str) -> None:
    parsed = page(name)
    order = [anchor for anchor in parsed.ids if anchor in ("verdict", "findings", "matrix", "checks")]
    assert order == ["verdict", "findings", "matrix", "checks"]
    assert parsed.text_of("verdict") == made.report(*RUNS[name][:2])["verdict"]


@pytest.mark.thorough(but=("leaking", "change"))
@pytest.mark.parametrize("name", ["leaking", "change", "leaking-64"])
def test_every_failing_cell_leads_to_its_flows_and_frames(name: str) -> None:
    parsed = page(name)
    cells = [link for link, _ in parsed.all("a") if link.get("aria-label", "").endswith(": cleartext")]
    assert [link["aria-label"] for link in cells] == ["node-02 → node-03: cleartext"]
    anchor = cells[0]["href"].removeprefix("#")
    told = parsed.text_of(anchor)
    assert "UDP v4 pair" in told
    assert (
        "10 frames of the request leaving node-02 eth0, 17:57:52.250 to 17:57:53.250 (eth/ipv4/udp, by canary)" in told
    )
    assert "request into node-02: 5" in told
    frames = [link for link in parsed.links_of(anchor) if link.startswith("frame-")]
    assert frames
    shown = parsed.text_of(frames[0])
    assert "IP src=10.0.2.1 dst=10.0.3.1" in shown
    assert "0000 02 00 00 00 00 02" in shown


@pytest.mark.thorough
def test_where_all_leak_each_cell_says_what_and_leads_on() -> None:
    parsed = page("all-leak-64")
    cells = [link for link, _ in parsed.all("a") if link.get("aria-label", "").endswith(": cleartext")]
    assert len(cells) == 64 * 63
    anchors = set(parsed.ids)
    assert all(link["href"].removeprefix("#") in anchors for link in cells)
    last = parsed.text_of("pair-64-63")
    assert "node-64 → node-63" in last
    assert "20 frames in cleartext" in last


def test_small_multiples_say_in_words_what_they_show() -> None:
    labels = [attributes["aria-label"] for attributes, _ in page("leaking-64").all("svg")]
    assert len(labels) == 6
    assert "UDP IPv4, pairs: 1 cleartext, 4031 encrypted" in labels
    assert "TCP IPv6, pairs: 4032 encrypted" in labels


def test_a_finding_leads_to_its_pair_and_checks() -> None:
    links = page("leaking").links_of("finding-1")
    assert links == ["pair-2-3", "check-1"]
    assert "wire.no-cleartext[v4-udp]" in page("leaking").text_of("check-1")


def test_a_change_is_told_with_its_leak_its_outage_and_its_events() -> None:
    text = page("change").text_of("change-1")
    assert text == "agent-restart on node-02"
    everything = " ".join(text for _, text in page("change").all("main"))
    assert "7 frames of the request leaving node-02 eth0, 1 s after the agent was restarted" in everything
    cells = [text for _, text in page("change").all("td")]
    at = cells.index("lost")
    assert cells[at - 1 : at + 3] == ["UDP v4 lasting node-02 → node-03", "lost", "17:57:56.250", "17:57:57.250"]
    assert "cilium_wg0 was removed" in everything
    assert "its agent was restarted" in everything


def test_a_change_that_was_not_made() -> None:
    said = render(
        made.report(3, changes=[made.change(timeline=None, error="no node can be spared", settled_after=None)])
    )
    assert "Not made: no node can be spared" in said


def test_what_comes_from_outside_is_text() -> None:
    bad = "<script>alert(1)</script>\"'"
    report = made.report(3, made.one_leaks)
    report["verdict"] = report["checks"][0]["statement"] = report["findings"][0]["look"] = bad
    report["evidence"][0]["frames"][0]["summary"] = report["cluster"]["nodes"][0] = bad
    assert "script" not in [tag for tag, _, _ in Page(render(report)).elements]


def test_missing_evidence_is_said() -> None:
    report = made.report(3, made.one_leaks, evidence=[], evidence_missing="frames could not be decoded")
    assert "There are no capture files: frames could not be decoded." in render(report)


@pytest.mark.parametrize("field", ["flows", "cluster", "tunnels", "evidence_missing"])
def test_a_document_that_is_no_report_is_said_in_a_sentence(field: str) -> None:
    report = made.report(3)
    del report[field]
    with pytest.raises(CiliumwgError, match=r"report.html is not written: a field is not as its schema says \("):
        render(report)


def test_without_the_template_library_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(CiliumwgError, match=r"jinja2 is not installed: pip install 'pytest-ciliumwg\[report\]'"):
        render(made.report(3))


def test_the_command_makes_it_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report: dict[str, Any] = made.report(3, made.one_leaks)
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert main(["report", str(tmp_path)]) == OK
    assert capsys.readouterr().out == f"wrote {tmp_path / 'report.html'}\n"
    assert (tmp_path / "report.html").read_text() == render(report)
    assert main(["report", str(tmp_path / "none")]) == BAD_INPUT
