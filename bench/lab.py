"""Whole labs by number of nodes: time, processor time, memory, verdict, and how they grow.

`python -m bench lab` as root; `python -m bench.lab 3 8 16` for other numbers of nodes. The processor time is that of
pytest, of what it has run, and of all that runs in the lab at the end; so is the memory, without the rings that the
kernel holds.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.results import Result, Row, exponent

NODES = (3, 8, 16, 32, 64)
_TICKS = os.sysconf("SC_CLK_TCK")


def _in_the_lab(init: int) -> tuple[float, float]:
    """(processor seconds, megabytes) of all processes of a kept lab."""
    mine = Path(f"/proc/{init}/ns/pid").readlink()
    seconds = kilobytes = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(process, "ns/pid").readlink() == mine:
                times = Path(process, "stat").read_text().rpartition(")")[2].split()[11:15]
                seconds += sum(map(int, times)) / _TICKS
                found = re.search(r"^Pss: +(\d+)", Path(process, "smaps_rollup").read_text(), re.MULTILINE)
                kilobytes += int(found[1]) if found else 0
        except OSError:
            continue  # it has ended
    return seconds, kilobytes / 1024


def _measure(nodes: int) -> tuple[float, float, float, str]:
    """(seconds, processor seconds, megabytes, verdict) of one lab."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ciliumwg", "--ciliumwg-provider=lab"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run = subprocess.run(
        [*command, f"--ciliumwg-nodes={nodes}", "--ciliumwg-keep"], check=False, capture_output=True, text=True
    )
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    kept = re.search(r"remove the lab with `kill (\d+)`", run.stdout)
    if kept is None:
        raise SystemExit(
            f"the lab with {nodes} nodes did not come to its end:\n{run.stdout[-2000:]}{run.stderr[-500:]}"
        )
    seconds, megabytes = _in_the_lab(int(kept[1]))
    os.kill(int(kept[1]), signal.SIGTERM)
    seconds += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    verdict = re.search(r"^(conformant|INCONCLUSIVE|NOT CONFORMANT|partial)\b.*", run.stdout, re.MULTILINE)
    return took, seconds, megabytes, verdict[0] if verdict else "no verdict"


def main(sizes: Sequence[int] = NODES) -> Result:
    """One lab after the other."""
    result, cpu, memory = Result("lab"), [], []
    for nodes in sizes:
        took, seconds, megabytes, verdict = _measure(nodes)
        cpu.append(seconds)
        memory.append(megabytes)
        result.rows += [
            Row(f"{nodes} nodes: time", [took], "s", verdict),
            Row(f"{nodes} nodes: processor time", [seconds], "s"),
            Row(f"{nodes} nodes: memory", [megabytes], "MB"),
        ]
        print(
            f"{nodes} nodes: {took:.1f} s, {seconds:.1f} s of processor time, {megabytes:.0f} MB, {verdict}", flush=True
        )
    result.rows.append(Row("processor time grows with nodes to the power of", [exponent(sizes, cpu)], ""))
    result.rows.append(Row("memory grows with nodes to the power of", [exponent(sizes, memory)], ""))
    return result


if __name__ == "__main__":
    print(main([int(argument) for argument in sys.argv[1:]]).markdown())
