"""What is done by machines and clusters without a run of the suite: the self-test, and removing what runs left."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the commands to a parser's."""
    what = "Run the healthy lab and every fault: passes if each is caught by its check. More arguments go to pytest."
    selftest = commands.add_parser("selftest", help="let the suite prove itself", description=what)
    selftest.set_defaults(does=_selftest, passes_on=True)
    what = "Remove what runs that were killed, or told to keep it, left in a cluster, or on this machine with kind."
    cleanup = commands.add_parser("cleanup", help="remove what runs left behind", description=what)
    cleanup.add_argument("--provider", choices=("existing", "kind"), default="existing", help="default: %(default)s")
    cleanup.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: $KUBECONFIG, ~/.kube/config")
    cleanup.add_argument("--context", metavar="NAME", help="context of the kubeconfig")
    cleanup.set_defaults(does=_cleanup)


def _selftest(asked: argparse.Namespace) -> tuple[str, int]:
    import pytest

    arguments = ["--ciliumwg", "--ciliumwg-provider=lab", "--ciliumwg-selftest", *asked.more]
    return "", int(pytest.main(arguments))


def _cleanup(asked: argparse.Namespace) -> tuple[str, int]:
    if asked.provider == "kind":
        from pytest_ciliumwg.providers.kind import KindSpec
        from pytest_ciliumwg.providers.kind.leftovers import remove_kind_leftovers
        from pytest_ciliumwg.providers.kind.tools import find_tools

        remove_kind_leftovers(find_tools(KindSpec()), _tell)
        return "", 0
    from pytest_ciliumwg.providers.existing import ExistingSpec, find_leftovers, remove_leftovers

    spec = ExistingSpec(kubeconfig=asked.kubeconfig, context=asked.context)
    left = find_leftovers(spec)
    remove_leftovers(spec, left, _tell)
    return "" if left else "nothing was left behind\n", 0


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
