"""What GitHub Actions shows of a run: a summary of the step, and an annotation for each finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_ciliumwg.report.markdown import cell

SUMMARY = "GITHUB_STEP_SUMMARY"
_MOST_ANNOTATIONS = 10
"""GitHub shows no more of one step."""
_MOST_NODES = 16
_SIGNS = {"encrypted": "ok", "cleartext": "**CLEAR**", "bypass": "**BYPASS**", "unreachable": "lost", "": "not tested"}


def is_there(environ: Mapping[str, str]) -> bool:
    """Whether this runs in GitHub Actions."""
    return environ.get("GITHUB_ACTIONS") == "true"


def commands(document: Mapping[str, Any]) -> Iterator[str]:
    """A workflow command for each finding: an error, or a warning where something could not be measured."""
    findings = document["findings"]
    shown = findings if len(findings) <= _MOST_ANNOTATIONS else findings[: _MOST_ANNOTATIONS - 1]
    for finding in shown:
        kind = "error" if finding["failed"] or finding["traffic"] else "warning"
        look = f"\nlook at: {finding['look']}" if finding["look"] else ""
        yield _command(kind, "Cilium WireGuard", f"{finding['headline']}{_stage(finding)}{look}")
    if len(shown) < len(findings):
        yield _command("error", "Cilium WireGuard", f"and {len(findings) - len(shown)} more findings")


def _command(kind: str, title: str, message: str) -> str:
    return f"::{kind} title={_data(title).replace(':', '%3A').replace(',', '%2C')}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def append_summary(document: Mapping[str, Any], path: Path) -> None:
    """Add the run to the summary of the step.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join([*summary(document), "", ""]))


def summary(document: Mapping[str, Any]) -> Iterator[str]:
    """The run in Markdown: verdict, findings, matrix."""
    yield f"## Cilium WireGuard: {cell(document['verdict'])}"
    yield ""
    for finding in document["findings"]:
        yield from _finding(finding)
    yield from _matrix(document)
    counts = document["summary"]
    yield ", ".join(f"{counts.get(word, 0)} {word}" for word in ("pass", "fail", "inconclusive", "skip")) + " (checks)"
    yield ""
    tool = document["tool"]
    yield f"{tool['name']} {tool['version']}. To run it again: {_code(document['reproduce'])}"


def _finding(finding: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {cell(finding['headline'])}{cell(_stage(finding))}"
    yield ""
    yield from (f"- {cell(told)}" for told in finding["traffic"][:4])
    yield from (
        f"- {cell(said['where'])}: {cell(said['said'])} ({_code(said['check'])})" for said in finding["state"][:4]
    )
    for word, titles in (("failed", finding["failed"]), ("not measured", finding["inconclusive"])):
        if titles:
            yield f"- {word}: {', '.join(map(_code, titles))}"
    yield from (f"- fits {cell(advisory)}" for advisory in finding["advisories"])
    if finding["look"]:
        yield f"- look at: {_code(finding['look'])}"
    yield f"\n{cell(finding['meaning'])}\n"


def _matrix(document: Mapping[str, Any]) -> Iterator[str]:
    nodes, pairs = document["cluster"]["nodes"], document["pairs"]
    if not pairs:
        return
    if len(nodes) > _MOST_NODES:
        good = sum(pair["verdict"] == "encrypted" for pair in pairs)
        untested = len(nodes) * (len(nodes) - 1) - len(pairs)
        yield f"{good} of {len(pairs)} directed node pairs encrypted{f', {untested} not tested' if untested else ''}"
    else:
        verdicts = {(pair["source"], pair["destination"]): pair["verdict"] for pair in pairs}
        yield f"| from \\ to | {' | '.join(map(cell, nodes))} |"
        yield f"|---{'|---' * len(nodes)}|"
        for source in nodes:
            row = [_SIGNS.get(verdicts.get((source, to), ""), "?") if to != source else "–" for to in nodes]
            yield f"| {cell(source)} | {' | '.join(row)} |"
    yield ""


def _stage(finding: Mapping[str, Any]) -> str:
    return f" [{finding['stage']}]" if finding["stage"] else ""


def _code(text: str) -> str:
    """Text as code, on one line; with quotes that none of its own can end."""
    quotes = "`"
    while quotes in text:
        quotes += "`"
    return f"{quotes} {' '.join(text.split())} {quotes}" if "`" in text else f"`{' '.join(text.split())}`"
