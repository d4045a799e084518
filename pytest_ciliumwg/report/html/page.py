"""The page: one file that needs nothing else, no network and no script."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.report.html import charts, checks, pairs, timelines

NAME = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"
_MISSING = "report.html is not written, because jinja2 is not installed: pip install 'pytest-ciliumwg[report]' has it"


def render(document: Mapping[str, Any]) -> str:
    """The page of a report.

    Args:
        document: What report.json holds.

    Raises:
        CiliumwgError: the template library is not installed, or the document is no report.
    """
    try:
        import jinja2
    except ImportError as error:
        raise CiliumwgError(_MISSING) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"moment": _moment, "hexdump": _hexdump, "date": _date}
    try:
        return environment.get_template("page.html.j2").render(_values(document))
    except (KeyError, TypeError, ValueError, AttributeError, jinja2.TemplateError) as error:
        why = f"{type(error).__name__}: {error}"
        raise CiliumwgError(f"report.html is not written: a field is not as its schema says ({why})") from error


def _values(document: Mapping[str, Any]) -> dict[str, Any]:
    nodes: list[str] = document["cluster"]["nodes"]
    table = pairs.table(document)
    tests = checks.Checks(document)
    return {
        "report": document,
        "nodes": nodes,
        "pairs": table,
        "panels": charts.panels(document, table),
        "findings": [checks.finding(row, tests, table) for row in document["findings"]],
        "areas": tests.areas(),
        "changes": [timelines.change(row, table) for row in document["changes"]],
        "by_design": list(pairs.by_design(document)),
    }


def _moment(at: float) -> str:
    """A time of day in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def _date(iso: str) -> str:
    """A date and a time of day, in UTC."""
    return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _hexdump(text: str) -> str:
    """Hexadecimal digits as 16 bytes a line, with what of them can be read."""
    data = bytes.fromhex(text)
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:04x}  {row.hex(' '):<47}  {shown}")
    return "\n".join(lines)
