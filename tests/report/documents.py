"""Small documents of report.json for tests of what is made from them."""

from __future__ import annotations

from typing import Any


def check(title: str, outcome: str = "pass", **more: Any) -> dict[str, Any]:
    name, _, param = title.partition("[")
    params = {"family": param.removesuffix("]")} if param else {}
    return {
        "id": name, "params": params, "title": title, "outcome": outcome, "message": "", "seconds": 0.1,
        "statement": f"{name} holds.", "source": "the house", "profile": "core", "verified": 1, "findings": [],
        "unmeasured": [], "unsupported": [], "notes": [], "waived": "", **more,
    }  # fmt: skip


def finding(headline: str, *nodes: str, failed: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "stage": "", "headline": headline, "nodes": list(nodes), "named": list(nodes), "traffic": [], "state": [],
        "failed": list(failed), "inconclusive": [], "meaning": "", "look": "", "advisories": [], **more,
    }  # fmt: skip


def pair(source: str, destination: str, verdict: str = "encrypted") -> dict[str, Any]:
    return {"source": source, "destination": destination, "verdict": verdict}


def document(*checks: dict[str, Any], **more: Any) -> dict[str, Any]:
    declared = {"version": "1.20.3", "encryption": True, "families": ["v4", "v6"], "mtu": 0}
    cluster = {"provider": "lab", "description": ["a lab"], "declared": declared, "nodes": ["a", "b"], "left_out": []}
    return {
        "schema": 2, "tool": {"name": "pytest-ciliumwg", "version": "0.1.0"}, "started": "2026-11-29T10:00:00+00:00",
        "finished": "2026-11-29T10:01:00+00:00", "outcome": "conformant", "verdict": "conformant: it is",
        "checks_expected": len(checks), "checks_ran": len(checks), "exit_status": 0, "cluster": cluster, "touched": [],
        "profiles": ["core"], "reproduce": "pytest --ciliumwg --ciliumwg-provider=lab", "summary": {}, "findings": [],
        "checks": list(checks), "not_run": [], "pairs_tested": 2, "pairs_in_all": 2,
        "pairs": [pair("a", "b"), pair("b", "a")], "sizes": [], "flows": [], "watches": [],
        "changes": [], "evidence": [], **more,
    }  # fmt: skip
