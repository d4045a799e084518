"""A report.json as it was stored, refused in one sentence where it is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.report.json_report import NAME, SCHEMA

_FIELDS: Mapping[str, type] = {
    "tool": dict,
    "outcome": str,
    "verdict": str,
    "cluster": dict,
    "profiles": list,
    "checks": list,
    "not_run": list,
    "findings": list,
    "pairs": list,
    "sizes": list,
}
"""What no report is without."""


def read_report(path: Path) -> dict[str, Any]:
    """The report in a file, or in the directory that a run wrote.

    Raises:
        CiliumwgError: it cannot be read, or is no report of this schema.
    """
    file = path / NAME if path.is_dir() else path
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CiliumwgError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CiliumwgError(f"{file} is no report: it is not JSON ({error})") from None
    if not isinstance(document, dict) or "schema" not in document:
        raise CiliumwgError(f"{file} is no report: it has no field `schema`")
    if document["schema"] != SCHEMA:
        made = f"schema {document['schema']!r}, and this version of pytest-ciliumwg reads {SCHEMA}"
        raise CiliumwgError(f"{file} has {made}: write it anew with this version, or use the one that wrote it")
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(document.get(name), kind)]
    if wrong:
        raise CiliumwgError(f"{file} is no whole report: the field `{wrong[0]}` is missing or no {_FIELDS[wrong[0]]}")
    return document
