"""What a run costs its controller by number of nodes, in a cluster that answers without packets.

`python -m bench cluster`; `python -m bench.cluster 3 60 200` for other numbers of nodes, `1000/4` for a sample of 4
others for each node. The API server with all that stands behind it is a process of its own and does not count. With
the usual numbers one more run has one broken pair of nodes, which must be found and named.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.packetless.network import Network
from bench.results import Result, Row, exponent

SIZES = ("3", "16", "30", "60", "200", "1000/4")
BROKEN_AT = 200
"""The number of nodes of the run with one broken pair."""
_ROOT = Path(__file__).parents[1]
_VERDICT = re.compile(r"^(conformant|INCONCLUSIVE|NOT CONFORMANT|partial)\b.*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cost:
    """One run."""

    nodes: int
    pairs: int
    seconds: float
    cpu: float
    """Seconds of processor time of the controller."""
    memory: float
    """Its largest size, in megabytes."""
    calls: int
    """Requests and execs that the API server got."""
    verdict: str
    output: str


def measure(nodes: int, others: int | None = None, leak: Sequence[str] = ()) -> Cost:
    """Run the suite once.

    Args:
        nodes: How many nodes the cluster has.
        others: With how many others each node is tested; None: with all.
        leak: The names of two nodes; what the first sends to the other leaves in cleartext.
    """
    with tempfile.TemporaryDirectory(prefix="bench-cluster-") as scratch:
        directory = Path(scratch)
        environment = os.environ | {"PYTHONPATH": str(_ROOT), "KUBECONFIG": f"{directory}/kubeconfig"}
        serve = [sys.executable, "-m", "bench.packetless.server", f"{directory}/kubeconfig", str(nodes), *leak]
        with subprocess.Popen(
            serve, cwd=_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            server.stdout.readline()
            try:
                cost = _controlled(nodes, others, directory, environment)
            finally:
                counted = server.communicate("")[0]
    return Cost(nodes, cost[0], *cost[1:4], sum(json.loads(counted).values()), *cost[4:])


def _controlled(
    nodes: int, others: int | None, directory: Path, environment: dict[str, str]
) -> tuple[int, float, float, float, str, str]:
    """(pairs, seconds, processor seconds, megabytes, verdict, output) of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ciliumwg"]
    command += ["--ciliumwg-provider=existing", f"--ciliumwg-report={directory}/report", "--ciliumwg-timeout=600"]
    command += [f"--ciliumwg-pairs=sample:{others}"] if others else []
    output, began = directory / "output", time.monotonic()
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took, said = time.monotonic() - began, output.read_text(encoding="utf-8")
    verdict = _VERDICT.search(said)
    if verdict is None:
        raise SystemExit(f"the run with {nodes} nodes did not come to its end:\n{said[-3000:]}")
    tested = re.search(r"on ([\d,]+) of [\d,]+ pairs", said)
    pairs = int(tested[1].replace(",", "")) if tested else nodes * (nodes - 1)
    return pairs, took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, verdict[0], said


def _rows(cost: Cost, name: str) -> list[Row]:
    return [
        Row(f"{name}: processor time", [cost.cpu], "s", cost.verdict),
        Row(f"{name}: time", [cost.seconds], "s"),
        Row(f"{name}: memory", [cost.memory], "MB"),
        Row(f"{name}: calls", [cost.calls], ""),
    ]


def main(sizes: Sequence[str] = SIZES) -> Result:
    """One cluster after the other."""
    result, full = Result("cluster"), list[Cost]()
    for size in sizes:
        count, _, others = size.partition("/")
        cost = measure(int(count), int(others) if others else None)
        name = f"{count} nodes, {cost.pairs:,} pairs"
        result.rows += _rows(cost, name)
        full += [] if others else [cost]
        print(f"{name}: {cost.cpu:.1f} s of processor time, {cost.seconds:.1f} s, {cost.memory:.0f} MB", flush=True)
        print(f"  {cost.calls} calls; {cost.verdict}", flush=True)
    if len(full) > 1:
        pairs, nodes = [cost.pairs for cost in full], [cost.nodes for cost in full]
        result.rows += [
            Row("processor time grows with pairs to the power of", [exponent(pairs, [c.cpu for c in full])], ""),
            Row("memory grows with pairs to the power of", [exponent(pairs, [c.memory for c in full])], ""),
            Row("calls grow with nodes to the power of", [exponent(nodes, [c.calls for c in full])], ""),
        ]
    if sizes is SIZES:
        result.rows += broken(BROKEN_AT).rows
    return result


def broken(nodes: int) -> Result:
    """One pair of nodes whose traffic leaves in cleartext, among all; it must be found, and no other."""
    first, second = (Network(nodes).nodes[index].name for index in (nodes // 3, nodes // 2))
    cost = measure(nodes, leak=(first, second))
    every = nodes * (nodes - 1)
    counted = f"{every - 1} of {every} directed node pairs encrypted" in cost.output  # below a matrix of many nodes
    alone = counted or cost.output.count(" CLEAR") == 1
    named = cost.verdict.startswith("NOT CONFORMANT") and first in cost.output and second in cost.output
    found = "found and named, and no other" if named and alone else "NOT FOUND ALONE"
    return Result("cluster", _rows(cost, f"{nodes} nodes, {first} to {second} in cleartext: {found}"))


if __name__ == "__main__":
    print(main(sys.argv[1:] or SIZES).markdown())
