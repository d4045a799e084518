"""Healthy labs of every kind: `python -m bench.healthy [RUNS] [SEED]`.

Each run is `pytest --ciliumwg` with a lab of 2 to 16 nodes, of either steering kind, with IPv4 or both families, with
or without other pods' traffic in the tunnel; half of the runs have four busy processes beside them. None may be NOT
CONFORMANT; fewer than one in a hundred may be inconclusive, each with its true reason.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_ciliumwg.faults.tools.foreign_traffic import start_foreign_traffic
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab import LabCluster, LabSpec, create_lab

VERSIONS = ("1.13", "1.20.3")
NODES = (2, 3, 3, 4, 5, 6, 8, 12, 16)
FAMILIES = {"v4": frozenset({IPFamily.V4}), "dual": frozenset(IPFamily)}
BUSY_PROCESSES = 4
SPEC = "BENCH_LAB"
"""The variable that tells the plugin of this module which lab to raise."""
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of lab."""

    version: str
    nodes: int
    family: str
    foreign: bool
    busy: bool

    def __str__(self) -> str:
        beside = [word for word, on in (("foreign traffic", self.foreign), ("busy", self.busy)) if on]
        return f"{self.version:7} {self.nodes:2} nodes {self.family:4} {', '.join(beside)}"


@pytest.hookimpl
def pytest_ciliumwg_cluster() -> LabCluster | None:
    """As a plugin of the runs: a lab in which other pods use the tunnel."""
    if SPEC not in os.environ:
        return None
    version, nodes, family = os.environ[SPEC].split(",")
    spec = LabSpec(cilium_version=version, nodes=int(nodes), families=FAMILIES[family])
    cluster = create_lab(spec, lambda _: None)
    for node, peer in itertools.combinations(cluster.lab.layout[:4], 2):
        start_foreign_traffic(cluster.lab, node, peer)
    return cluster


@contextmanager
def busy_machine(busy: bool) -> Iterator[None]:
    """Processes that do nothing but compute."""
    count = BUSY_PROCESSES if busy else 0
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def outcome_of(kind: Kind, directory: Path) -> tuple[str, str]:
    """(Outcome, why it is not conformant) of one run."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "bench.healthy", "--ciliumwg"]
    command += ["--ciliumwg-provider=lab", f"--ciliumwg-report={directory}", f"--ciliumwg-nodes={kind.nodes}"]
    command += [f"--ciliumwg-cilium-version={kind.version}", f"--ciliumwg-ip-family={kind.family}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if kind.foreign:
        environment[SPEC] = f"{kind.version},{kind.nodes},{kind.family}"
    with busy_machine(kind.busy):
        run = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    try:
        report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "no report", run.stdout[-300:] + run.stderr[-300:]
    bad = [check for check in report["checks"] if check["outcome"] in ("fail", "inconclusive")]
    return str(report["outcome"]), "; ".join(f"{check['title']}: {check['message'][:200]}" for check in bad[:3])


def main() -> int:
    """Run them; returns the exit status."""
    runs, seed = (int(sys.argv[n]) if len(sys.argv) > n else default for n, default in ((1, 300), (2, 1)))
    dice = random.Random(seed)  # noqa: S311 - which labs are raised is no secret
    began, outcomes = time.monotonic(), Counter[str]()
    for number in range(runs):
        version, family = VERSIONS[number % 2], "dual" if number // 2 % 2 else "v4"
        kind = Kind(version, dice.choice(NODES), family, foreign=number // 4 % 2 == 1, busy=number // 8 % 2 == 1)
        with tempfile.TemporaryDirectory(prefix="bench-healthy-") as directory:
            outcome, why = outcome_of(kind, Path(directory))
        outcomes[outcome] += 1
        if why:
            print(f"{kind}: {outcome}: {why}", flush=True)
        if number % 20 == 19:
            print(f"{number + 1} of {runs} after {time.monotonic() - began:.0f} s: {dict(outcomes)}", flush=True)
    print(f"{runs} healthy runs in {time.monotonic() - began:.0f} s: {dict(outcomes)}")
    inconclusive = outcomes["inconclusive"]
    return 0 if outcomes["conformant"] + inconclusive == runs and inconclusive < runs / 100 else 1


if __name__ == "__main__":
    sys.exit(main())
