"""Findings of two reports, matched by their cause: numbers and keys that differ from run to run do not count."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_ciliumwg.report.compare.difference import Difference, Document, Kind

_NUMBER = re.compile(r"(?<![\w.:/-])\d+(?:[.,]\d+)*(?![\w.:/-])")
"""A number on its own: not part of a name, an address or a version."""
_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")


def finding_differences(old: Document, new: Document) -> Iterator[Difference]:
    """What became of the findings."""
    was, now = {_key(row): row for row in old["findings"]}, {_key(row): row for row in new["findings"]}
    gone = {key: row for key, row in was.items() if key not in now}
    for row in [row for key, row in now.items() if key not in was]:
        earlier = next((key for key, known in gone.items() if _alike(known, row)), None)
        yield Difference(
            kind="regressed" if earlier is None else "changed",
            subject="finding",
            name=_name(row),
            before="" if earlier is None else gone.pop(earlier)["headline"],
            after=row["headline"],
        )
    for row in gone.values():
        kind: Kind = "fixed" if _holds_now(row, new) else "disappeared"
        yield Difference(kind=kind, subject="finding", name=_name(row), before=row["headline"], after="")


def _holds_now(row: Document, new: Document) -> bool:
    """Whether all that a finding was about ran, and holds."""
    ids = set(map(_without_params, (*row["failed"], *row["inconclusive"])))
    ran = [check for check in new["checks"] if check["id"] in ids and not check["waived"]]
    return ids == {check["id"] for check in ran} and all(check["outcome"] in ("pass", "skip") for check in ran)


def _key(row: Document) -> tuple[str, str, tuple[str, ...]]:
    return row["stage"], _KEY.sub("KEY", _NUMBER.sub("N", row["headline"])), tuple(row["nodes"])


def _alike(one: Document, other: Document) -> bool:
    """Whether two findings of different words have the same cause: the same stage, nodes and state."""
    return all(one[part] == other[part] for part in ("stage", "nodes")) and _states(one) == _states(other) != set()


def _states(row: Document) -> set[str]:
    return {_without_params(said["check"]) for said in row["state"]}


def _without_params(title: str) -> str:
    return title.partition("[")[0]


def _name(row: Document) -> str:
    nodes = ", ".join(row["nodes"]) or "the cluster"
    return f"{nodes} [{row['stage']}]" if row["stage"] else nodes
