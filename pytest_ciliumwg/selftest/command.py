"""`--ciliumwg-selftest`: run the healthy lab and every fault, print the matrix, and say whether the suite is proven."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import cache_from_source
from pathlib import Path

from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.faults import FAULTS
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.providers.lab import LabSpec
from pytest_ciliumwg.providers.programs import scratch_folder
from pytest_ciliumwg.report.files import require_writable
from pytest_ciliumwg.selftest.matrix import Summary, line, problems, write
from pytest_ciliumwg.selftest.runs import Ran, Runner, plan
from pytest_ciliumwg.session.opening import families_of

RULE_VERSION = "1.13"
"""The newest version that steers by ip rule."""
NODES = 3

Say = Callable[[str], None]


def selftest(settings: Settings, say: Say, extra: Sequence[str] = ()) -> Summary:
    """Run it.

    Args:
        settings: What was asked for; a version limits it to that one, faults to these.
        say: Prints a line.
        extra: Further arguments of every run, such as `-k` and what to leave out.

    Raises:
        CiliumwgError: a fault is unknown, or the results cannot be written.
    """
    if settings.report:
        require_writable(settings.report)
    versions = [settings.cilium_version] if settings.cilium_version else [RULE_VERSION, DEFAULT_VERSION]
    nodes, families = settings.nodes or NODES, families_of(settings)
    specs = [LabSpec(cilium_version=version, nodes=nodes, families=families) for version in versions]
    runs = plan(specs, list(FAULTS.values()), settings.faults)
    say(f"self-test: {len(runs)} labs, Cilium {' and '.join(versions)}")
    began = time.monotonic()

    def done(ran: Ran) -> None:
        say(line(ran))
        for problem in problems(ran):
            say(f"    {problem}")

    with scratch_folder("selftest") as scratch:
        directory = settings.report / "runs" if settings.report else scratch
        # Where Python keeps no compiled modules, all runs together keep them for this time.
        cache = None if Path(cache_from_source(__file__)).exists() else scratch / "cache"
        whose = [f"--ciliumwg-wireguard={settings.wireguard}"] if settings.wireguard else []
        ran = Runner(directory, nodes, families, [*whose, *extra], cache).run_all(runs, done)
    summary = Summary(tuple(ran), time.monotonic() - began)
    if settings.report:
        for path in write(summary, settings.report):
            say(f"wrote {path}")
    return summary


def main(settings: Settings, say: Say, extra: Sequence[str] = ()) -> int:
    """Run it and end with a verdict; returns the exit status."""
    try:
        summary = selftest(settings, say, extra)
    except CiliumwgError as error:
        say(f"ERROR: {error}")
        return 4
    bad = [ran for ran in summary.ran if not ran.outcome.good]
    if bad:
        say("")
        say("not as it has to be:")
    for ran in bad:
        say(line(ran))
        for problem in problems(ran):
            say(f"    {problem}")
    say(summary.verdict())
    return 0 if summary.good else 1
