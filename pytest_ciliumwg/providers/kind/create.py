"""Making and removing a cluster with kind, and Cilium in it with Helm."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.kind.follow_log import followed
from pytest_ciliumwg.providers.kind.name_lock import NameLock
from pytest_ciliumwg.providers.kind.spec import NAMESPACE, RELEASE, KindSpec
from pytest_ciliumwg.providers.kind.tools import Tools
from pytest_ciliumwg.providers.programs import QUICK_SECONDS, Done, reason, run, running, scratch_folder

_DELETE_SECONDS = 180.0
_DELETE_ATTEMPTS = 3
_STEPS = {"•": "", "✓": ": done", "✗": ": failed"}
_PROCESS = Path(__file__).with_name("pytest_kind_process.py")


def clusters(kind: Path) -> frozenset[str]:
    """The names of all kind clusters.

    Raises:
        ProviderError: kind does not tell.
    """
    done = run([kind, "get", "clusters"], timeout=QUICK_SECONDS)
    if not done.ok:
        raise ProviderError(f"`{done.command}` failed: {reason(done, QUICK_SECONDS)}")
    return frozenset(done.output.split())


@dataclass(frozen=True, slots=True)
class ClusterCreator:
    """Makes the cluster of one run."""

    spec: KindSpec
    tools: Tools
    name_lock: NameLock
    progress: Progress

    def create(self) -> None:
        """Make the cluster.

        Raises:
            ProviderError: it could not be made.
        """
        spec, name_lock = self.spec, self.name_lock
        config = name_lock.write("kind.json", spec.kind_config())
        image = spec.image.partition("@")[0]
        self.progress(f"kind: creating the cluster {spec.name}: {spec.nodes} nodes of {image}, which takes minutes")
        # -P: the driver's own folder has modules whose names are those of others.
        argv: list[str | Path] = [sys.executable, "-P", _PROCESS, spec.name]
        argv += [self.tools.kind, self.tools.kubectl, name_lock.kubeconfig, config]
        with scratch_folder("kind") as folder, followed(name_lock.log, self._creating):
            done = run(argv, timeout=spec.timeout, folder=folder, log=name_lock.log)
        if not done.ok:
            raise ProviderError(self._not_created(done))

    def _creating(self, line: str) -> None:
        """Tell a step of kind's: ` • Preparing nodes 📦 …` when it begins, with `✓` or `✗` when it has ended."""
        sign, _, step = line.partition(" ")
        if sign in _STEPS and step:
            self.progress(f"kind: creating {self.spec.name}: {step.rstrip(' .…')}{_STEPS[sign]}")

    def _not_created(self, done: Done) -> str:
        if "already exist for a cluster with the name" in done.errors:
            return taken(self.spec.name)
        return f"kind could not create the cluster {self.spec.name}: {reason(done, self.spec.timeout)}"

    def load_images(self) -> None:
        """Load the user's images into all nodes.

        Raises:
            ProviderError: one could not be loaded.
        """
        archives = [image for image in self.spec.load_images if Path(image).is_file()]
        images = [image for image in self.spec.load_images if image not in archives]
        # Of archives kind takes one at a time; of images it takes all, and copies layers that they share once.
        loads = [("docker-image", images)] if images else []
        for what, names in [*loads, *(("image-archive", [archive]) for archive in archives)]:
            said = ", ".join(names)
            self.progress(f"kind: loading {said} into all nodes")
            argv: list[str | Path] = [self.tools.kind, "load", what, *names, "--name", self.spec.name]
            self._must(argv, f"load {said} into the nodes")

    @contextmanager
    def fetching_chart(self, folder: Path) -> Iterator[Callable[[], Path | None]]:
        """Fetch the chart of Cilium into a folder while kind creates; gives what waits for it.

        None where it is on this machine, or cannot be fetched: then Helm says why when it has to be installed.
        """
        chart = self.spec.charts.chart(self.spec.cilium_version)
        if chart is not None and Path(chart).exists():
            yield lambda: None
            return
        argv: list[str | Path] = [self.tools.helm, "pull", *self.spec.chart_arguments(), "--destination", folder]
        with running(argv, timeout=QUICK_SECONDS) as done:
            yield lambda: next(folder.glob("*.tgz"), None) if done().ok else None

    def install(self, fetched: Path | None = None) -> None:
        """Install Cilium, or bring it to these values; from the chart that was fetched, if one was.

        Raises:
            ProviderError: Helm refused.
        """
        spec, name_lock = self.spec, self.name_lock
        chart = spec.charts.chart(spec.cilium_version) or "Cilium's Helm repository"
        self.progress(f"kind: installing Cilium {spec.cilium_version} ({spec.routing_mode}) from {chart}")
        which = spec.chart_arguments() if fetched is None else [fetched]
        argv: list[str | Path] = [self.tools.helm, "upgrade", "--install", RELEASE, *which]
        argv += ["--namespace", NAMESPACE, "--kubeconfig", name_lock.kubeconfig]
        for file in (name_lock.write("values.json", spec.values()), *spec.helm_values):
            argv += ["--values", file]
        for assignment in spec.helm_sets:
            argv += ["--set", assignment]
        self._must(argv, "install Cilium with Helm")

    def _must(self, argv: list[str | Path], what: str) -> None:
        done = run(argv, timeout=self.spec.timeout)
        if not done.ok:
            raise ProviderError(f"cannot {what}: {reason(done, self.spec.timeout)}")


def delete(kind: Path, name_lock: NameLock) -> None:
    """Remove a cluster of ours, and everything that is known about it.

    Raises:
        ProviderError: it cannot be removed.
    """
    last = None
    for _ in range(_DELETE_ATTEMPTS):
        argv: list[str | Path] = [
            kind,
            "delete",
            "cluster",
            "--name",
            name_lock.name,
            "--kubeconfig",
            name_lock.kubeconfig,
        ]
        last = run(argv, timeout=_DELETE_SECONDS)
        # The engine may still have been starting a node when kind was ended: look again.
        left = run([kind, "get", "nodes", "--name", name_lock.name], timeout=QUICK_SECONDS)
        if last.ok and left.ok and not left.output.strip():
            name_lock.free()
            return
    why = "nodes of it remain" if last is None or last.ok else reason(last, _DELETE_SECONDS)
    raise ProviderError(
        f"the cluster {name_lock.name} cannot be removed ({why}): remove it with "
        f"`kind delete cluster --name {name_lock.name}`"
    )


def taken(name: str) -> str:
    """The error's text for a cluster name that is in use."""
    return (
        f"there is a kind cluster {name} already, and this package has not made it: choose another "
        f"--ciliumwg-cluster-name, or use it with --ciliumwg-provider=existing --ciliumwg-context=kind-{name}"
    )
