"""The console script `pytest-ciliumwg`: what can be done with reports and with the catalogue, without a run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_ciliumwg import __version__
from pytest_ciliumwg.errors import CiliumwgError

OK, REGRESSED, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for; returns the exit status."""
    asked = _parser().parse_args(arguments)
    try:
        text, status = asked.does(asked)
        sys.stdout.write(text)
        sys.stdout.flush()
    except CiliumwgError as error:
        sys.stderr.write(f"pytest-ciliumwg: {error}\n")
        return BAD_INPUT
    except BrokenPipeError:
        sys.stdout = None  # whoever reads has enough; Python would complain of it once more at the end
        return OK
    return int(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pytest-ciliumwg", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    what = "Compare two runs. Exit status: 0 the later run is equal or not worse, 1 something regressed, 2 bad input."
    compare = commands.add_parser("compare", help="what regressed, was fixed, appeared", description=what)
    compare.add_argument("old", type=Path, metavar="OLD", help="report.json of the earlier run, or its directory")
    compare.add_argument("new", type=Path, metavar="NEW", help="that of the later run")
    compare.add_argument("--format", choices=("markdown", "json"), default="markdown", help="default: %(default)s")
    compare.set_defaults(does=_compare)
    what = "Make report.html anew from a run's report.json."
    report = commands.add_parser("report", help="make report.html anew", description=what)
    report.add_argument("directory", type=Path, metavar="DIR", help="what --ciliumwg-report was given")
    report.set_defaults(does=_report)
    checks = commands.add_parser("checks", help="list all checks", description="List all checks of the suite.")
    checks.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
    checks.set_defaults(does=_checks)
    return parser


def _compare(asked: argparse.Namespace) -> tuple[str, int]:
    from pytest_ciliumwg.report.compare import as_json, as_markdown, compare, read_report

    old, new = read_report(asked.old), read_report(asked.new)
    try:
        comparison = compare(old, new)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise CiliumwgError(f"{asked.old} and {asked.new}: a row is not as its schema says ({why})") from None
    text = as_json(comparison) if asked.format == "json" else as_markdown(comparison)
    return text, REGRESSED if comparison.result == "regressed" else OK


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


def _checks(asked: argparse.Namespace) -> tuple[str, int]:
    from pytest_ciliumwg.checks.check import Check
    from pytest_ciliumwg.session.collected import collect

    checks = {check.id: check for item in collect() if (check := Check.of(item))}
    if not checks:
        raise CiliumwgError("the suite could not be collected: does `pytest --ciliumwg --ciliumwg-plan` work?")
    if asked.format == "json":
        rows = [
            {"id": check.id, "profile": check.profile, "statement": check.statement, "source": check.source}
            for check in checks.values()
        ]
        return json.dumps(rows, indent=1, ensure_ascii=False) + "\n", OK
    return "".join(f"{check.id} ({check.profile}): {check.statement}\n" for check in checks.values()), OK
