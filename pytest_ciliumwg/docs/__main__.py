"""Generate the pages of checks, faults and options, so that what they list cannot differ from what there is."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from pytest_ciliumwg.checks.check import Check
from pytest_ciliumwg.docs import deploy
from pytest_ciliumwg.docs.faults_page import faults_page
from pytest_ciliumwg.options.option import PROVIDERS, Option
from pytest_ciliumwg.options.table import GROUPS
from pytest_ciliumwg.session.collected import collect

HEADER = """# Checks

This page is made from the suite by `make docs`. A check's id is stable; pytest's node ids are not.
"""


OPTIONS_HEADER = """# Options

This page is made from the options by `make docs`. Each is also an ini setting with the environment variable's name in
lower case (`ciliumwg_nodes = 5`). The command line wins over the environment, the environment over the ini file. What
can be repeated has one value on each line there. An option that does not go with the chosen provider is an error.
"""


def checks_page(items: list[pytest.Item]) -> str:
    """The page as it should be."""
    return "\n".join([HEADER, *_rows(items)])


def _rows(items: list[pytest.Item]) -> Iterator[str]:
    seen: set[str] = set()
    module = ""
    for item in items:
        check = Check.of(item)
        if check is None or check.id in seen:
            continue
        seen.add(check.id)
        if item.path.stem != module:
            module = item.path.stem
            subject = (getattr(getattr(item, "module", None), "__doc__", None) or "").strip()
            yield f"\n## {module.removeprefix('test_').replace('_', ' ')}\n\n{subject}\n"
            yield "| check | profile | what must hold | source |\n|---|---|---|---|"
        cells = (f"`{check.id}`", check.profile, check.statement, check.source)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield f"\n{len(seen)} checks.\n"


def options_page() -> str:
    """The page of all options."""
    rows = (_group(title, options) for title, options in GROUPS.items())
    return "\n".join([OPTIONS_HEADER, *itertools.chain.from_iterable(rows), ""])


def _group(title: str, options: Iterable[Option]) -> Iterator[str]:
    yield f"\n## {title}\n\n| option | environment | what it does | provider |\n|---|---|---|---|"
    for option in options:
        provider = "all" if option.providers == PROVIDERS else ", ".join(option.providers)
        cells = (f"`{option.usage}`", f"`{option.env}`", option.help, provider)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(directory: Path) -> None:
    """Write the pages into a directory."""
    items = collect()
    ids = dict.fromkeys(check.id for item in items if (check := Check.of(item)))
    directory.joinpath("checks.md").write_text(checks_page(items), encoding="utf-8")
    directory.joinpath("faults.md").write_text(faults_page(list(ids)), encoding="utf-8")
    directory.joinpath("options.md").write_text(options_page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        deploy.write(Path(sys.argv[2]))
