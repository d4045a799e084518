"""What this release has: its checks, and the versions that a night runs."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pytest_ciliumwg.errors import CiliumwgError


def add(commands: Any) -> None:
    """Add the commands to a parser's."""
    checks = commands.add_parser("checks", help="list all checks", description="List all checks of the suite.")
    checks.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
    checks.set_defaults(does=_checks)
    what = "Print a matrix for fromJSON() in a GitHub workflow: what a night runs on kind."
    matrix = commands.add_parser("matrix", help="what a night runs, for a workflow", description=what)
    which = matrix.add_mutually_exclusive_group()
    which.add_argument("--upgrades", action="store_true", help="the upgrades in place of the combinations")
    which.add_argument("--pairs", metavar="'FROM,TO …'", help="these upgrades")
    which.add_argument("--known", action="store_true", help="the newest versions that this release knows")
    matrix.set_defaults(does=_matrix)


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
        return json.dumps(rows, indent=1, ensure_ascii=False) + "\n", 0
    return "".join(f"{check.id} ({check.profile}): {check.statement}\n" for check in checks.values()), 0


def _matrix(asked: argparse.Namespace) -> tuple[str, int]:
    from pytest_ciliumwg.expect.night import known, night, upgrades

    try:
        found = upgrades(asked.pairs or "") if asked.upgrades or asked.pairs is not None else night()
    except ValueError as error:
        raise CiliumwgError(str(error)) from None
    return json.dumps(known() if asked.known else found) + "\n", 0
