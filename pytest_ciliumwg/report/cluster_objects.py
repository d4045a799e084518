"""What a run leaves in the cluster: an Event on its CronJob, and a report object, made from report.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

COMPONENT = "pytest-ciliumwg"
REPORTS = {
    "reports": ("openreports.io/v1alpha1", "Report"),
    "policyreports": ("wgpolicyk8s.io/v1alpha2", "PolicyReport"),
}
"""Resource → API version and kind: the one of OpenReports, and its predecessor. A cluster has both, one or none."""
_LONGEST = 1024
"""Characters of an Event's message."""
_RESULTS = {"pass": "pass", "fail": "fail", "inconclusive": "error", "skip": "skip"}


def event(document: Mapping[str, Any], on: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An Event with the verdict.

    Args:
        document: The fields of report.json.
        on: The object that it is about.
        name: The Event's name.
    """
    reference = _reference(on)
    outcome = str(document["outcome"])
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": reference["namespace"]},
        "involvedObject": reference,
        "type": "Normal" if outcome == "conformant" else "Warning",
        "reason": "".join(word.capitalize() for word in outcome.split("-")),
        "message": str(document["verdict"])[:_LONGEST],
        "firstTimestamp": _seconds(document["finished"]),
        "lastTimestamp": _seconds(document["finished"]),
        "count": 1,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
    }


def report(document: Mapping[str, Any], on: Mapping[str, Any], resource: str) -> dict[str, Any]:
    """A report object of one of the kinds of `REPORTS`: a result for each check, with why it did not pass."""
    version, kind = REPORTS[resource]
    results = [_result(check, document["finished"]) for check in document["checks"]]
    counted = Counter(result["result"] for result in results)
    reference = _reference(on)
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": reference["name"],
            "namespace": reference["namespace"],
            "labels": {"app.kubernetes.io/managed-by": COMPONENT},
            "annotations": {f"{COMPONENT}/verdict": document["verdict"]},
        },
        "scope": reference,
        "summary": {result: counted[result] for result in ("pass", "fail", "warn", "error", "skip")},
        "results": results,
    }


def _result(check: Mapping[str, Any], finished: str) -> dict[str, Any]:
    return {
        "source": COMPONENT,
        "policy": check["id"],
        "rule": check["title"],
        "category": check["profile"],
        "result": _RESULTS[check["outcome"]],
        "severity": "critical" if check["outcome"] == "fail" else "info",
        "message": check["message"] or check["statement"],
        "scored": True,
        "timestamp": {"seconds": int(datetime.fromisoformat(finished).timestamp()), "nanos": 0},
        "properties": {"source": check["source"]},
    }


def _reference(on: Mapping[str, Any]) -> dict[str, Any]:
    metadata = on["metadata"]
    named = {field: metadata[field] for field in ("name", "namespace", "uid")}
    return {"apiVersion": "batch/v1", "kind": "CronJob", **named}


def _seconds(finished: str) -> str:
    return f"{datetime.fromisoformat(finished):%Y-%m-%dT%H:%M:%SZ}"
