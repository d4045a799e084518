"""Errors for a mistyped command line or environment; loaded only where they name an option of ours."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from pytest_ciliumwg.options.table import ENABLE, OPTIONS

PREFIX = "CILIUMWG_"
_TOLD = ("CILIUMWG_UPGRADE_FROM", "CILIUMWG_UPGRADE_TO")
"""Variables that this package sets for an upgrade command, which may run pytest itself."""


def refuse_options(arguments: Iterable[str]) -> None:
    """Refuse options of ours on a command line that does not ask for the suite.

    Raises:
        pytest.UsageError: always.
    """
    option = next(argument.partition("=")[0] for argument in arguments if argument.startswith(f"{ENABLE.cli}-"))
    raise pytest.UsageError(f"{option} does nothing without {ENABLE.cli}: add {ENABLE.cli}, or leave it out")


def refuse_variables(environ: Mapping[str, str]) -> None:
    """Refuse an environment variable that looks like one of ours and is none.

    Raises:
        pytest.UsageError: there is one.
    """
    known = [option.env for option in OPTIONS]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in (*known, *_TOLD):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise pytest.UsageError(f"environment variable {name}: there is no such option; the nearest is {near}")


def refuse_swallowed_path(known: argparse.Namespace) -> None:
    """Refuse a path that was taken for the optional value of the option before it.

    Raises:
        pytest.UsageError: there is one.
    """
    debug, shown = getattr(known, "debug", None), getattr(known, "cacheshow", None) or ()
    swallowed = [("--debug", debug)] if isinstance(debug, str) and Path(debug).is_dir() else []
    swallowed += [("--cache-show", glob) for glob in shown if glob and Path(glob).is_absolute()]
    for option, value in swallowed:
        raise pytest.UsageError(f"{option} takes {value!r} for its own value: put the path before {option}")


def names_part_of(suites: Path, paths: Sequence[str], directory: Path) -> bool:
    """Whether one of the paths is the suite's folder, or a file or a test in it.

    Args:
        suites: The suite's folder.
        paths: Paths and node ids, as on a command line.
        directory: What they are relative to.
    """
    absolute = [(directory / path.partition("::")[0]).resolve() for path in paths]
    return any(suites.resolve() in (path, *path.parents) for path in absolute)
