"""The runs of a self-test: one `pytest --ciliumwg` with its own lab for each fault, several at once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.faults import Fault, parse
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.spec import LabNode, LabSpec, plan_nodes
from pytest_ciliumwg.selftest.verdict import Declared, Outcome, broken, judge, judge_healthy

COLUMNS = 80
RUN_SECONDS = 90.0
"""Seconds after which a run is given up; a fault adds the time that its injection takes."""
LABS_PER_CPU = 6
BUSY_PER_CPU = 2
BUSY_SECONDS = 5.0
"""A run is busy in its first seconds at most; after that it waits for packets that do not come. Many may wait, but so
few be busy at once that packets which do come are not late."""
HEALTHY = "healthy"
_IN_CI = ("CI", "BUILD_NUMBER")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One lab to raise."""

    version: str
    name: str
    """The fault, as `--ciliumwg-fault` takes it, or `healthy`."""
    declared: Declared | None
    """None for the healthy lab."""
    seconds: float = 0.0
    """Seconds that the fault's injection takes."""
    extended: bool = False
    """Whether the profile extended runs as well as core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One lab that ran."""

    run: Run
    outcome: Outcome
    seconds: float
    lines: int = 0
    """What the run wrote to a terminal of 80 columns."""
    again: bool = False
    """Whether it was run a second time, alone, because the machine had disturbed the first measurement."""


def plan(specs: Sequence[LabSpec], faults: Sequence[Fault], only: Sequence[str] = ()) -> list[Run]:
    """The healthy lab and all faults that exist, for each of these labs; the longest first.

    Faults that act during a change are left out, since these labs stand still, and those that only real root can inject
    where this process is not.

    Args:
        specs: The labs, one for each version.
        faults: The catalogue.
        only: Faults to limit this to, as `NAME`, `NAME@NODE` or `NAME@all`.
    """
    runs = []
    for spec in specs:
        runs.append(Run(version=spec.cilium_version, name=HEALTHY, declared=None, extended=True))
        for name in only or [fault.name for fault in faults]:
            injection = parse(name, spec.nodes)
            fault = injection.fault
            if fault.during or (fault.privileged and os.geteuid()):
                continue
            lab = replace(spec, extended=fault.extended)
            if fault.exists_with(lab.expectations()) and fault.families <= spec.families:
                runs.append(
                    Run(
                        version=spec.cilium_version,
                        name=name,
                        declared=declare(lab, fault, injection.node),
                        seconds=fault.seconds,
                        extended=fault.extended,
                    )
                )
    return sorted(runs, key=lambda run: -run.seconds)


def declare(spec: LabSpec, fault: Fault, node: str | None) -> Declared:
    """What a fault has to bring about in a lab."""
    layout = plan_nodes(spec)
    targets = fault.targets(layout, node)
    groups = [group for target in targets for group in _suspects(fault, target, layout)]
    return Declared(
        catcher=fault.catcher,
        check_id=fault.check_id,
        also=fault.also,
        leaks=spec.expectations().steering in fault.leaks,
        names=fault.names,
        suspects=tuple(tuple(_known_as(node) for node in group) for group in groups),
        nodes=tuple(tuple(node.name for node in group) for group in groups),
    )


def _suspects(fault: Fault, target: LabNode, layout: Sequence[LabNode]) -> list[tuple[LabNode, ...]]:
    """Groups of nodes; a finding has to name all nodes of any one of them."""
    following = layout[(target.index + 1) % len(layout)]
    if fault.names == "pair":
        return [(target, following)]
    return [(target,), (following,)] if fault.names == "either" else [(target,)]


def _known_as(node: LabNode) -> frozenset[str]:
    addresses = [*node.addresses, *node.cilium_addresses, *(ip for pod in node.pods for ip in pod.pod.addresses)]
    return frozenset([node.name, *map(str, addresses)])


class Runner:
    """Runs each lab in a process of its own, and ends them all when it ends itself, also after an error or Ctrl-C."""

    def __init__(
        self,
        directory: Path,
        nodes: int,
        families: frozenset[IPFamily],
        extra: Sequence[str] = (),
        cache: Path | None = None,
    ) -> None:
        """Set what all runs have in common.

        Args:
            directory: Where each run leaves its report.
            nodes: How many nodes the labs have.
            families: Their IP families.
            extra: More arguments of pytest for every run.
            cache: Where Python keeps compiled modules, so that not every run compiles them again.
        """
        self._directory = directory
        self._cache = cache
        self._nodes = nodes
        self._family = "dual" if len(families) > 1 else next(iter(families)).value
        self._extra = list(extra)
        self._children: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._busy = threading.Semaphore(BUSY_PER_CPU * (os.cpu_count() or 1))
        self._ended = False

    def run_all(self, runs: Sequence[Run], done: Callable[[Ran], None], labs: int | None = None) -> list[Ran]:
        """Run them, several at once, and report each as it ends; in the order given.

        What the machine disturbed by having too much to do is run once more at the end, each alone.
        """
        waiting = sum(run.seconds > 0 for run in runs)
        workers = (labs or LABS_PER_CPU * (os.cpu_count() or 1)) + waiting
        with ThreadPoolExecutor(workers) as pool:
            futures = {pool.submit(self.run, run): run for run in runs}
            try:
                results = {}
                for future in as_completed(futures):
                    ran = future.result()
                    results[ran.run.version, ran.run.name] = ran
                    if not ran.outcome.disturbed:
                        done(ran)
            except BaseException:
                self._end()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        for key, ran in results.items():
            if ran.outcome.disturbed:
                results[key] = replace(self.run(ran.run), again=True)
                done(results[key])
        return [results[run.version, run.name] for run in runs]

    def run(self, run: Run) -> Ran:
        """One lab, from its start to its verdict."""
        directory = self._directory / run.version / run.name
        directory.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        output = self._pytest(run, directory)
        seconds = time.monotonic() - began
        return Ran(run=run, outcome=_outcome(run, directory, output), seconds=seconds, lines=_lines(output))

    def _pytest(self, run: Run, directory: Path) -> str:
        ini = directory / "pytest.ini"
        ini.write_text("[pytest]\n", encoding="utf-8")  # nobody's settings but ours
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-c", str(ini), "--rootdir", str(directory)),
            *("--assert=plain", "-p", "no:cacheprovider", "-p", "pytest_ciliumwg.plugin"),
            *("--ciliumwg", "--ciliumwg-provider=lab", f"--ciliumwg-cilium-version={run.version}"),
            *(f"--ciliumwg-nodes={self._nodes}", f"--ciliumwg-ip-family={self._family}"),
            f"--ciliumwg-report={directory}",
            *([f"--ciliumwg-fault={run.name}"] if run.declared else []),
            *(["--ciliumwg-profile=core,extended"] if run.extended else []),
            *self._extra,
        ]
        output = self._wait(command, directory, RUN_SECONDS + run.seconds)
        (directory / "output.txt").write_text(output, encoding="utf-8")
        return output

    def _wait(self, command: Sequence[str], directory: Path, seconds: float) -> str:
        with self._busy:
            child = self._start(command, directory)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(BUSY_SECONDS)
        try:
            return child.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            _kill(child)
            return f"{child.communicate()[0]}\nit did not end within {seconds:.0f} s"
        finally:
            with self._lock:
                self._children.discard(child)

    def _start(self, command: Sequence[str], directory: Path) -> subprocess.Popen[str]:
        with self._lock:
            if self._ended:
                raise CiliumwgError("the self-test was ended")
            child = subprocess.Popen(
                command,
                cwd=directory,
                env=_environment(self._cache),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
                errors="replace",
            )
            self._children.add(child)
        return child

    def _end(self) -> None:
        """End all running processes; a lab ends with the process that owns it, even if that is killed."""
        with self._lock:
            self._ended = True
            for child in self._children:
                _kill(child)


def _kill(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _environment(cache: Path | None) -> dict[str, str]:
    """This process's environment without what would change the runs, and with this package on PYTHONPATH.

    Where one of the names is set by which pytest knows that it runs in CI, it cuts no line of its summary.
    """
    others = ("CILIUMWG", "PYTEST_", "GITHUB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others) and name not in _IN_CI}
    home = str(Path(__file__).parents[2])
    path = os.pathsep.join([home, *filter(None, [kept.get("PYTHONPATH")])])
    if cache is not None:
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        kept["PYTHONPYCACHEPREFIX"] = str(cache)
    return kept | {"COLUMNS": str(COLUMNS), "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _lines(output: str) -> int:
    return sum(max(1, -(-len(line) // COLUMNS)) for line in output.splitlines())


def _outcome(run: Run, directory: Path, output: str) -> Outcome:
    try:
        report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
        return judge(run.declared, report, lines=_lines(output)) if run.declared else judge_healthy(report)
    except (OSError, ValueError, CiliumwgError) as error:
        said = [line for line in output.splitlines() if line.strip()]
        blamed = [line for line in said if "error" in line.lower() and "usage:" not in line]
        return broken((blamed or said[-1:] or [str(error)])[0].strip())
