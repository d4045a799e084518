"""docs/report.schema.json, held against reports: what it does not describe is wrong as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

PATH = Path(__file__).parents[2] / "docs" / "report.schema.json"
_MOST = 10


def problems(report: Mapping[str, Any]) -> list[str]:
    """What of a report is not as the schema says; of each list a few rows are looked at, those that differ first."""
    return [f"{error.json_path}: {error.message[:200]}" for error in _validator().iter_errors(_fewer(report))][:_MOST]


@cache
def _validator() -> Any:
    schema = json.loads(PATH.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(_closed(schema))


def _closed(schema: Any) -> Any:
    """The schema, with nothing allowed that it does not describe."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    return {"additionalProperties": False, **closed} if isinstance(schema.get("properties"), dict) else closed


def _fewer(value: Any) -> Any:
    """A document with one row of each shape in each of its lists: a large one takes seconds."""
    if isinstance(value, dict):
        return {name: _fewer(item) for name, item in value.items()}
    if isinstance(value, list) and not _is_span(value):
        return list({_shape(item): _fewer(item) for item in value}.values())
    return value


def _is_span(value: list[Any]) -> bool:
    return len(value) == 3 and [type(item) for item in value] == [str, float, float]


def _shape(value: Any) -> str:
    """Which fields a value has, of which types; words of a set number, as outcomes are, by themselves."""
    if isinstance(value, dict):
        return repr([(name, _shape(item)) for name, item in value.items()])
    if isinstance(value, list):
        return repr(sorted({_shape(item) for item in value}))
    return value if isinstance(value, str) and value.isalpha() and value.islower() else type(value).__name__
