"""What can be done for a verdict elsewhere: the state of a cluster collected into one archive."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import CiliumwgError

OK, IN_PART = 0, 2


def add(commands: Any) -> None:
    """Add the command to a parser's."""
    what = "Read what the checks of the state need from a cluster, into one archive. Nothing is created or changed."
    collect = commands.add_parser("collect", help="read the state of a cluster", description=what)
    collect.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: as kubectl's")
    collect.add_argument("--context", metavar="NAME", help="default: the kubeconfig's own")
    collect.add_argument("--node", action="append", default=[], metavar="NODE", help="repeatable; default: all nodes")
    collect.add_argument("--output", type=Path, default=None, metavar="FILE", help="default: a name with the time")
    collect.set_defaults(does=_collect)


def _collect(asked: argparse.Namespace) -> tuple[str, int]:
    from pytest_ciliumwg.providers.existing import ExistingSpec
    from pytest_ciliumwg.providers.offline.collect import collect, told, write_archive

    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = asked.output or Path(f"ciliumwg-collected-{stamp}.tar.gz")
    if not path.name.endswith(".tar.gz"):
        raise CiliumwgError(f"{path}: the archive is a tar.gz, so let its name end with .tar.gz")
    collected = collect(ExistingSpec(kubeconfig=asked.kubeconfig, context=asked.context), asked.node, _tell)
    write_archive(collected, path)
    return "".join(f"{line}\n" for line in told(collected, path)), IN_PART if collected.problems else OK


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
