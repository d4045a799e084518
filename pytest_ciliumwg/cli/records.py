"""What can be done for a verdict elsewhere: the state of a cluster, and captures, collected into one archive."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ciliumwg.agent.capture.headers import LONGEST
from pytest_ciliumwg.errors import CiliumwgError, ProviderError
from pytest_ciliumwg.options.clusters import EXISTING
from pytest_ciliumwg.options.values import duration

if TYPE_CHECKING:
    from pytest_ciliumwg.providers.existing import ExistingSpec
    from pytest_ciliumwg.providers.offline.collect import Collected

OK, IN_PART = 0, 2
_PREFIX = "ciliumwg-"
_OF_CILIUM = ("cilium-namespace", "cilium-labels", "cilium-container", "cilium-config")
_OF_AGENTS = ("image", "image-pull-policy", "image-pull-secret")
_SHARED = frozenset(f"{_PREFIX}{name}" for name in (*_OF_CILIUM, *_OF_AGENTS))
"""The options of a live run that are the same here."""

_WHAT = """Read what the checks of the state need from a cluster, into one archive. Nothing is created or changed.
With --capture the headers of all frames on the nodes' native devices are captured too, on all nodes at the same time.
That takes an agent on each node: a namespace ciliumwg-* with a DaemonSet is created, and removed afterwards, also after
an interruption."""


def add(commands: Any) -> None:
    """Add the command to a parser's."""
    collect = commands.add_parser("collect", help="read the state of a cluster, and capture", description=_WHAT)
    collect.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: as kubectl's")
    collect.add_argument("--context", metavar="NAME", help="default: the kubeconfig's own")
    collect.add_argument("--node", action="append", default=[], metavar="NODE", help="repeatable; default: all nodes")
    collect.add_argument(
        "--capture",
        type=_duration,
        metavar="TIME",
        help="capture for a time such as 60s, by agents in a namespace that is made for it and removed; the headers in "
        "the first 128 bytes of each frame, at most 64 MiB of each device; default: nothing is captured or created",
    )
    for option in EXISTING:
        if option.name in _SHARED:
            name, told = f"--{option.name.removeprefix(_PREFIX)}", f"{option.help[0].lower()}{option.help[1:]}"
            collect.add_argument(name, type=_parsed(option.parse), metavar=option.metavar, help=told)
    collect.add_argument("--output", type=Path, default=None, metavar="FILE", help="default: a name with the time")
    collect.set_defaults(does=_collect)


def _parsed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not accepted: {error}") from None

    return parsed


def _duration(text: str) -> float:
    try:
        seconds = duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds > LONGEST:
        raise argparse.ArgumentTypeError(f"a capture may last {LONGEST / 60:g}m at most")
    return seconds


def _collect(asked: argparse.Namespace) -> tuple[str, int]:
    from pytest_ciliumwg.providers.existing import ExistingSpec, Hints
    from pytest_ciliumwg.providers.offline.collect import collect, told, write_archive

    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = asked.output or Path(f"ciliumwg-collected-{stamp}.tar.gz")
    if not path.name.endswith(".tar.gz"):
        raise CiliumwgError(f"{path}: the archive is a tar.gz, so let its name end with .tar.gz")
    cilium = Hints(
        namespace=asked.cilium_namespace,
        labels=asked.cilium_labels or {},
        container=asked.cilium_container,
        config=asked.cilium_config,
    )
    given = {name.replace("-", "_"): getattr(asked, name.replace("-", "_")) for name in _OF_AGENTS}
    agents = {name: value for name, value in given.items() if value is not None}
    spec = ExistingSpec(kubeconfig=asked.kubeconfig, context=asked.context, cilium=cilium, **agents)
    collected = collect(spec, asked.node, _tell)
    if asked.capture is not None:
        try:
            capture(spec, collected, asked.capture)
        except ProviderError as error:  # what was read is worth keeping
            collected.problems.append(f"the capture failed: {error}")
    write_archive(collected, path)
    return "".join(f"{line}\n" for line in told(collected, path)), IN_PART if collected.problems else OK


def capture(spec: ExistingSpec, collected: Collected, seconds: float) -> None:
    """Add captures of all native devices of the nodes that were looked at; what is missing is among the problems.

    Raises:
        ProviderError: the agents cannot be put there, or not be removed.
    """
    from pytest_ciliumwg.providers.existing.node_agents import node_agents
    from pytest_ciliumwg.watch.headers import capture_headers

    devices = {node: found for node, found in collected.devices.items() if found}
    collected.problems += [
        f"nothing was captured on node {node}: which devices lead to other nodes is not known"
        for node in collected.devices
        if node not in devices
    ]
    if not devices:
        return
    with node_agents(spec, list(devices), _tell) as agents:
        captures, problems = capture_headers(agents, devices, seconds, _tell)
        collected.captures |= captures
        collected.problems += problems


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
