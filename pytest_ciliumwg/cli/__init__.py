"""The console script `pytest-ciliumwg`: what can be done with reports, the catalogue and leftovers beside a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pytest_ciliumwg import __version__
from pytest_ciliumwg.cli import catalogue, records, reports, runs
from pytest_ciliumwg.errors import CiliumwgError

OK, BAD_INPUT, INTERRUPTED = 0, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for; returns the exit status."""
    asked, more = _parser().parse_known_args(arguments)
    if more and not asked.passes_on:
        _parser().error(f"unrecognized arguments: {' '.join(more)}")
    asked.more = more
    try:
        text, status = asked.does(asked)
        sys.stdout.write(text)
        sys.stdout.flush()
    except CiliumwgError as error:
        sys.stderr.write(f"pytest-ciliumwg: {error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("pytest-ciliumwg: interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # whoever reads has enough; Python would complain of it once more at the end
        return OK
    return int(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pytest-ciliumwg", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(passes_on=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (reports, catalogue, runs, records):
        group.add(commands)
    return parser
