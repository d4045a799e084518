"""What is made from the fields of report.json: conformance.yaml, metrics.prom, GitHub's summary and annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus_text

from pytest_ciliumwg.report import conformance_yaml, github, metrics
from pytest_ciliumwg.report.html import charts, pairs

from .documents import check, document, finding, pair


def flow(verdict: str, *frames: int, **more: Any) -> dict[str, Any]:
    return {
        "id": 1, "source_node": "a", "destination_node": 'b"\\', "source": "10.0.0.1", "protocol": "udp",
        "promised": True, "dropped_by_design": False, "verdict": verdict,
        "sightings": [{"flow": 1, "frames": count} for count in frames], **more,
    }  # fmt: skip


def samples(made: dict[str, Any]) -> dict[tuple[str, ...], float]:
    """Name and values of labels → value, read by a parser that refuses what OpenMetrics does not allow."""
    text = metrics.text(made)
    assert text.endswith("\n# EOF\n")
    read = [sample for family in open_metrics(text) for sample in family.samples]  # type: ignore[no-untyped-call]
    # A node exporter and a Pushgateway read the older format: it has the same samples.
    assert [sample[:3] for family in prometheus_text(text) for sample in family.samples] == [row[:3] for row in read]
    return {(sample.name, *sample.labels.values()): sample.value for sample in read}


def test_flows_that_are_left_out_have_the_verdict_of_their_pair() -> None:
    found = samples(document(flows=[flow("cleartext", 3, destination_node="b")], flows_left_out=11))
    kinds = [(family, protocol) for family in ("v4", "v6") for protocol in ("icmp", "tcp", "udp")]
    assert [found["ciliumwg_flow_encrypted", "b", "a", *kind] for kind in kinds] == [1] * 6
    assert [found["ciliumwg_flow_encrypted", "a", "b", *kind] for kind in kinds] == [1, 1, 0, 1, 1, 1]
    assert found["ciliumwg_cleartext_frames_total", "a", "b", "v4", "udp"] == 3
    made = document(flows=[flow("cleartext", 3, destination_node="b", purpose="pair")], flows_left_out=11, tunnels=[])
    panels = {panel.title: panel.said for panel in charts.panels(made, pairs.Table(["a", "b"], {}))}
    assert panels.pop("UDP IPv4") == "pairs: 1 cleartext, 1 encrypted"
    assert set(panels.values()) == {"pairs: 2 encrypted"}
    assert len(panels) == 5


def test_metrics_of_flows() -> None:
    flows = [
        flow("encrypted"),
        flow("cleartext", 3, 4),
        flow("encrypted", source="fd00::1"),
        flow("unreachable", protocol="icmp"),
        flow("unreachable", protocol="tcp", dropped_by_design=True),
        flow("cleartext", 99, protocol="tcp", promised=False),
    ]
    found = samples(
        document(check("x"), check("y", "fail"), flows=flows, pairs=[pair("a", 'b"\\')], outcome="not-conformant")
    )
    where = ("a", 'b"\\')
    assert {key: value for key, value in found.items() if "flow_encrypted" in key[0]} == {
        ("ciliumwg_flow_encrypted", *where, "v4", "udp"): 0,
        ("ciliumwg_flow_encrypted", *where, "v6", "udp"): 1,
        ("ciliumwg_flow_encrypted", *where, "v4", "icmp"): 0,
    }
    assert found["ciliumwg_cleartext_frames_total", *where, "v4", "udp"] == 7
    assert found["ciliumwg_cleartext_frames_total", *where, "v6", "udp"] == 0
    assert found["ciliumwg_checks", "fail"] == 1
    assert found["ciliumwg_run_outcome", "not-conformant"] == 1
    assert found["ciliumwg_run_outcome", "conformant"] == 0
    assert found["ciliumwg_run_info", "lab", "1.20.3", "0.1.0"] == 1
    assert found[("ciliumwg_run_finished_timestamp_seconds",)] == 1795946460


def test_metrics_of_changes_and_watches() -> None:
    timeline = {"flows": [flow("", id=7)], "leaks": [{"flow": 7, "frames": 5}, {"flow": 8, "frames": 50}]}
    changes = [
        {"name": "agent-restart", "timeline": timeline, "settled_after": 1.5},
        {"name": "node-reboot", "timeline": None, "settled_after": None},
    ]
    devices = {"eth0": {"drops": 2}, "eth1": {"drops": 0}}
    watches = [{"node": "a", "blind": [], "devices": devices}, {"node": "a", "blind": ["it was"], "devices": devices}]
    found = samples(document(flows=[flow("encrypted")], changes=changes, watches=watches))
    assert found["ciliumwg_flow_encrypted", "a", 'b"\\', "v4", "udp"] == 0
    assert found["ciliumwg_cleartext_frames_total", "a", 'b"\\', "v4", "udp"] == 5
    assert found["ciliumwg_change_cleartext_frames_total", "agent-restart"] == 55
    assert found["ciliumwg_change_settled_seconds", "agent-restart"] == 1.5
    assert found["ciliumwg_watch_sound", "a"] == 0
    assert found["ciliumwg_watch_dropped_frames_total", "a", "eth0"] == 4


def profile(made: dict[str, Any]) -> dict[str, Any]:
    read = yaml.safe_load(conformance_yaml.text(made))
    assert (read["kind"], read["apiVersion"]) == ("ConformanceReport", "pytest-ciliumwg/v1alpha1")
    assert read["reproduce"] == made["reproduce"]
    (found,) = read["profiles"]
    assert isinstance(found, dict)
    return found


def test_conformance_yaml() -> None:
    whole = profile(document(check("x[v4]"), check("y", "skip", message="the cluster has no Services\nat all")))
    assert whole == {
        "name": "core",
        "result": "success",
        "statistics": {"Passed": 1, "Failed": 0, "Inconclusive": 0, "Skipped": 0, "Unsupported": 1},
        "failedTests": [],
        "inconclusiveTests": [],
        "skippedTests": [],
        "unsupportedTests": [{"test": "y", "why": "the cluster has no Services"}],
        "summary": "1 passed",
    }
    doubtful = profile(document(check("x"), check("y", "inconclusive")))
    assert (doubtful["result"], doubtful["inconclusiveTests"]) == ("partial", ["y"])
    not_run = [{"id": "y", "params": {"stage": "initial", "family": "v4"}, "profile": "core"}]
    waived = profile(document(check("x"), check("y[v4]", "skip", waived="a marker"), not_run=not_run))
    assert (waived["result"], waived["skippedTests"]) == ("partial", ["y[initial-v4]"])
    assert (waived["unsupportedTests"], waived["summary"]) == ([], "1 passed, 1 did not run")
    failed = profile(document(check("x", "fail"), check("y", "inconclusive"), not_run=not_run))
    assert (failed["result"], failed["failedTests"]) == ("failure", ["x"])
    assert profile(document())["result"] == "partial"
    sampled = profile(document(check("x"), pairs_tested=8, pairs_in_all=12))
    assert (sampled["result"], sampled["summary"]) == ("partial", "1 passed, 4 pairs of nodes were not tested")


def test_a_pair_that_is_not_tested_is_nowhere_said_to_be_encrypted() -> None:
    made = document(check("x"), flows=[flow("encrypted")], pairs=[pair("b", "a")], pairs_tested=1)
    found = samples(made)
    assert not [key for key in found if "flow_encrypted" in key[0]]
    assert (found[("ciliumwg_pairs_tested",)], found[("ciliumwg_pairs_in_all",)]) == (1, 2)
    read = yaml.safe_load(conformance_yaml.text(made))
    assert read["pairs"] == {"tested": 1, "inAll": 2}
    assert "| a | – | not tested |" in list(github.summary(made))
    path = {
        **flow("encrypted"),
        "payload_size": 64,
        "source_node": "a",
        "destination_node": "b",
        "purpose": "path",
        "dont_fragment": False,
    }
    table = pairs.table({**made, "flows": [path], "tunnels": []})
    untested = table.cell("a", "b")
    assert untested is not None
    assert (untested.verdict, table.symbol(untested), table.untested) == ("not-tested", "-", 1)
    assert charts.panels({**made, "flows": [path]}, table) == []


def test_annotations_are_escaped_and_few() -> None:
    said = finding("100% clear: a, b\nand more", "a", failed=("x",), look="ip rule", stage="initial")
    doubt = finding("not measured", "a", inconclusive=["y"])
    assert list(github.commands(document(findings=[said, doubt]))) == [
        "::error title=Cilium WireGuard::100%25 clear: a, b%0Aand more [initial]%0Alook at: ip rule",
        "::warning title=Cilium WireGuard::not measured",
    ]
    many = list(github.commands(document(findings=[said] * 12)))
    assert len(many) == 10
    assert many[-1] == "::error title=Cilium WireGuard::and 3 more findings"


def test_summary() -> None:
    said = finding("a <sends> in | cleartext", "a", failed=("x[v4]",), look="echo `x`")
    made = document(
        findings=[said], pairs=[pair("a", "b", "cleartext"), pair("b", "a")], summary={"pass": 3, "fail": 1}
    )
    text = "\n".join(github.summary(made))
    assert r"### a \<sends\> in \| cleartext" in text
    assert "- failed: `x[v4]`\n- look at: `` echo `x` ``" in text
    assert "| from \\ to | a | b |\n|---|---|---|\n| a | – | **CLEAR** |\n| b | ok | – |" in text
    assert "3 pass, 1 fail, 0 inconclusive, 0 skip (checks)" in text
    nodes = [f"node{number}" for number in range(20)]
    made["cluster"]["nodes"] = nodes
    assert "1 of 2 directed node pairs encrypted" in "\n".join(github.summary(made))


def test_a_summary_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    github.append_summary(document(), path)
    assert path.read_text(encoding="utf-8").startswith("before\n## Cilium WireGuard: conformant")
    with pytest.raises(OSError, match="tmp"):
        github.append_summary(document(), tmp_path)
