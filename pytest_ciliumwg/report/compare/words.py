"""A comparison as Markdown for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import get_args

from pytest_ciliumwg.report.compare.difference import Difference, Kind
from pytest_ciliumwg.report.compare.differences import Comparison
from pytest_ciliumwg.report.markdown import cell, table

_TITLES: Mapping[Kind, str] = {
    "regressed": "Regressed",
    "fixed": "Fixed",
    "changed": "Changed",
    "appeared": "Appeared",
    "disappeared": "Disappeared",
}
_HEADLINES = {
    "equal": "The two runs are equal.",
    "regressed": "The later run is worse.",
    "not worse": "The later run is not worse.",
}
_SHOWN = 50


def as_markdown(comparison: Comparison) -> str:
    """For a person, a step summary or an issue."""
    return "\n".join([*_lines(comparison), ""])


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"## {_HEADLINES[comparison.result]}"
    yield ""
    rows = (("earlier", comparison.old), ("later", comparison.new))
    yield from table(("run", "finished", "verdict"), [(name, run["finished"], run["verdict"]) for name, run in rows])
    for kind in get_args(Kind):
        differences = comparison.of(kind)
        if differences:
            yield f"\n### {_TITLES[kind]}\n"
            yield from _table(differences)


def _table(differences: Sequence[Difference]) -> Iterator[str]:
    rows = [(one.subject, one.name, one.before or "–", one.after or "–", one.why) for one in differences[:_SHOWN]]
    yield from table(("what", "", "before", "after", ""), rows)
    if len(differences) > _SHOWN:
        yield f"\n{cell(f'and {len(differences) - _SHOWN} more')}"


def as_json(comparison: Comparison) -> str:
    """For a program: the result, and the differences of each kind."""
    kinds = {kind: [_row(one) for one in comparison.of(kind)] for kind in get_args(Kind)}
    return json.dumps({"result": comparison.result, **kinds}, indent=1, ensure_ascii=False) + "\n"


def _row(difference: Difference) -> dict[str, str]:
    row: dict[str, str] = asdict(difference)
    del row["kind"]
    return row
