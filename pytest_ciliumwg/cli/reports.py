"""What can be done with reports: two of them compared, those of two nights, a page made anew."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.report.json_report import NAME

OK, REGRESSED = 0, 1


def add(commands: Any) -> None:
    """Add the commands to a parser's."""
    what = "Compare two runs. Exit status: 0 the later run is equal or not worse, 1 something regressed, 2 bad input."
    compare = commands.add_parser("compare", help="what regressed, was fixed, appeared", description=what)
    old = "report.json of the earlier run, or its directory; or a directory that holds several such directories"
    compare.add_argument("old", type=Path, metavar="OLD", help=old)
    compare.add_argument("new", type=Path, metavar="NEW", help="that of the later run")
    compare.add_argument("--format", choices=("markdown", "json"), default="markdown", help="default: %(default)s")
    compare.set_defaults(does=_compare)
    what = "Make report.html anew from a run's report.json."
    report = commands.add_parser("report", help="make report.html anew", description=what)
    report.add_argument("directory", type=Path, metavar="DIR", help="what --ciliumwg-report was given")
    report.set_defaults(does=_report)


def _compare(asked: argparse.Namespace) -> tuple[str, int]:
    if asked.format == "markdown" and (several := _names(asked.new)):
        return _several(asked.old, asked.new, sorted(several | _names(asked.old)))
    return _two(asked.old, asked.new, asked.format)


def _two(old_path: Path, new_path: Path, form: str) -> tuple[str, int]:
    from pytest_ciliumwg.report.compare import as_json, as_markdown, compare, read_report

    old, new = read_report(old_path), read_report(new_path)
    try:
        comparison = compare(old, new)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise CiliumwgError(f"{old_path} and {new_path}: a row is not as its schema says ({why})") from None
    text = as_json(comparison) if form == "json" else as_markdown(comparison)
    return text, REGRESSED if comparison.result == "regressed" else OK


def _names(directory: Path) -> set[str]:
    """The directories with a report in a directory that has none itself."""
    if not directory.is_dir() or (directory / NAME).exists():
        return set()
    return {path.parent.name for path in directory.glob(f"*/{NAME}")}


def _several(old: Path, new: Path, names: list[str]) -> tuple[str, int]:
    """Each run of a night with that of the same name: one that did not come to a report has regressed."""
    parts, worst = [], OK
    for name in names:
        text, status = _one_of_several(old / name, new / name)
        parts.append(f"# {name}\n\n{text}")
        worst = max(worst, status)
    return "\n".join(parts), worst


def _one_of_several(old: Path, new: Path) -> tuple[str, int]:
    if not (new / NAME).exists():
        return "It came to no report; the earlier one did.\n", REGRESSED
    if (old / NAME).exists():
        return _two(old, new, "markdown")
    from pytest_ciliumwg.report.compare import read_report

    document = read_report(new)
    text = f"There is no earlier report of it. It is {document['verdict']}\n"
    return text, OK if document["outcome"] == "conformant" else REGRESSED


def _report(asked: argparse.Namespace) -> tuple[str, int]:
    from pytest_ciliumwg.report.compare import read_report
    from pytest_ciliumwg.report.html import page

    path = asked.directory / page.NAME
    text = page.render(read_report(asked.directory))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CiliumwgError(f"{path} cannot be written: {error.strerror}") from None
    return f"wrote {path}\n", OK
