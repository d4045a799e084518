"""conformance.yaml: the run in the shape of the ConformanceReport that Kubernetes' Gateway API has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

NAME = "conformance.yaml"
Result = Literal["success", "partial", "failure"]


def text(document: Mapping[str, Any]) -> str:
    """The file's text, from the fields of report.json."""
    import yaml  # type: ignore[import-untyped]

    dumped: str = yaml.safe_dump(report(document), sort_keys=False, allow_unicode=True, width=120)
    return dumped


def report(document: Mapping[str, Any]) -> dict[str, Any]:
    """The file's fields."""
    declared = document["cluster"]["declared"] or {}
    return {
        "apiVersion": "pytest-ciliumwg/v1alpha1",
        "kind": "ConformanceReport",
        "date": document["finished"],
        "implementation": {"project": "cilium", "version": declared.get("version", "")},
        "mode": document["cluster"]["provider"],
        "tool": dict(document["tool"]),
        "outcome": document["outcome"],
        "verdict": document["verdict"],
        "nodes": list(document["cluster"]["nodes"]),
        "pairs": {"tested": document["pairs_tested"], "inAll": document["pairs_in_all"]},
        "profiles": [_profile(document, profile) for profile in document["profiles"]],
        "findings": [finding["headline"] for finding in document["findings"]],
        "reproduce": document["reproduce"],
    }


def _profile(document: Mapping[str, Any], profile: str) -> dict[str, Any]:
    """One profile, with a list of all tests that did not pass."""
    checks = [check for check in document["checks"] if check["profile"] == profile]
    titles = {
        outcome: [check["title"] for check in checks if check["outcome"] == outcome and not check["waived"]]
        for outcome in ("pass", "fail", "inconclusive")
    }
    unsupported = [check for check in checks if check["outcome"] == "skip" and not check["waived"]]
    left_out = [_title(row) for row in document["not_run"] if row["profile"] == profile]
    untested = document["pairs_in_all"] - document["pairs_tested"]
    undecided = len(titles["inconclusive"]) + len(left_out) + untested
    result = _result(failed=len(titles["fail"]), undecided=undecided, ran=len(checks))
    return {
        "name": profile,
        "result": result,
        "statistics": {
            "Passed": len(titles["pass"]),
            "Failed": len(titles["fail"]),
            "Inconclusive": len(titles["inconclusive"]),
            "Skipped": len(left_out),
            "Unsupported": len(unsupported),
        },
        "failedTests": titles["fail"],
        "inconclusiveTests": titles["inconclusive"],
        "skippedTests": left_out,
        "unsupportedTests": [{"test": check["title"], "why": _first_line(check["message"])} for check in unsupported],
        "summary": ", ".join(_summary(titles, left_out, untested)) or "nothing ran",
    }


def _result(*, failed: int, undecided: int, ran: int) -> Result:
    """`success` is said of a whole profile only: what was left out or not measured makes it partial."""
    return "failure" if failed else "partial" if undecided or not ran else "success"


def _summary(titles: Mapping[str, list[str]], left_out: list[str], untested: int) -> Iterator[str]:
    words = {"pass": "passed", "fail": "failed", "inconclusive": "could not be measured"}
    yield from (f"{len(titles[outcome])} {word}" for outcome, word in words.items() if titles[outcome])
    if left_out:
        yield f"{len(left_out)} did not run"
    if untested:
        yield f"{untested} pairs of nodes were not tested"


def _title(row: Mapping[str, Any]) -> str:
    params = "-".join(row["params"].values())
    return f"{row['id']}[{params}]" if params else str(row["id"])


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
