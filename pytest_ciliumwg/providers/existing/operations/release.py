"""Cilium's Helm release: the values that its user has set, and its upgrade to another version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect.helm import oldest_helm
from pytest_ciliumwg.expect.translation import translated
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext
from pytest_ciliumwg.providers.existing.operations.rollout import Rollout, held_back
from pytest_ciliumwg.providers.existing.operations.upgrade_path import check_versions
from pytest_ciliumwg.providers.existing.snapshot import RELEASE_ANNOTATION
from pytest_ciliumwg.providers.programs import QUICK_SECONDS, Done, check_version, find, reason, run, scratch_folder

_INSTEAD = "give --ciliumwg-upgrade-command, or --ciliumwg-observe"


@dataclass(frozen=True, slots=True)
class HelmUpgrader:
    """Upgrades Cilium's Helm release, with the values that its user has set translated for each version."""

    context: ContainerContext

    def check(self, versions: Sequence[str]) -> None:
        """Refuse a row of versions, the present one first, that Helm cannot go through.

        Raises:
            ProviderError: a version is unknown or does not run, Helm or the release is missing, or a value has no
                translation for one of the versions.
        """
        check_versions(self.context, versions)
        helm = self._helm()
        check_version(helm, ["version", "--short"], oldest_helm(), "Cilium's chart")
        if why := held_back(self.context):
            raise ProviderError(f"Cilium cannot be upgraded with Helm alone{why}, or {_INSTEAD}")
        if refused := self.context.spec.charts.refusals(versions[1:]):
            raise ProviderError("; ".join(refused))
        values = self._values()
        for version in versions[1:]:
            values = _translated(values, version)

    def go(self, version: str) -> None:
        """Bring the release to a version, and wait until every agent runs it and is ready.

        Raises:
            ProviderError: Helm refuses or takes too long, or an agent does not get ready.
        """
        self._upgrade(version)
        Rollout(self.context, version).await_end()

    def _upgrade(self, version: str) -> None:
        release, spec = self._release(), self.context.spec
        values = _translated(self._values(), version)
        self.context.progress(f"existing: helm brings {release} to Cilium {version}")
        # Values may hold secrets: the folder is ours alone, and goes at once.
        with scratch_folder("helm") as folder:
            file = folder / "values.json"
            file.write_text(json.dumps(values), encoding="utf-8")
            arguments = ["upgrade", release, *spec.charts.arguments(version), "--reset-values"]
            arguments += ["--values", str(file), "--timeout", f"{spec.command_timeout:.0f}s"]
            done = self._run(arguments, spec.command_timeout)
        if not done.ok:
            raise ProviderError(
                f"Helm cannot bring the release {release} to Cilium {version}: {reason(done, spec.command_timeout)}"
            )

    def _helm(self) -> Path:
        return find("helm", who="an upgrade of Cilium", instead=f"or {_INSTEAD}")

    def _release(self) -> str:
        namespace, name = self.context.cilium.namespace, self.context.cilium.names.workload
        workload = self.context.kube.get("daemonsets", name, namespace=namespace)
        annotations = (workload or {"metadata": {}})["metadata"].get("annotations") or {}
        if RELEASE_ANNOTATION not in annotations:
            raise ProviderError(
                f"the DaemonSet {name} in namespace {namespace} belongs to no Helm release, so Helm cannot "
                f"upgrade it: {_INSTEAD}"
            )
        return str(annotations[RELEASE_ANNOTATION])

    def _values(self) -> Mapping[str, Any]:
        """What the release's user has set."""
        release = self._release()
        done = self._run(["get", "values", release, "--output", "json"], QUICK_SECONDS)
        try:
            values = json.loads(done.output) if done.ok else None
        except ValueError:
            values = done.output
        if not done.ok or not isinstance(values, Mapping | None):
            raise ProviderError(
                f"Helm does not tell the values of the release {release}: {reason(done, QUICK_SECONDS)}"
            )
        return values or {}

    def _run(self, arguments: Sequence[str], timeout: float) -> Done:
        spec = self.context.spec
        argv: list[str | Path] = [self._helm(), *arguments, "--namespace", self.context.cilium.namespace]
        argv += ["--kubeconfig", spec.kubeconfig] if spec.kubeconfig is not None else []
        argv += ["--kube-context", spec.context] if spec.context is not None else []
        return run(argv, timeout=timeout)


def _translated(values: Mapping[str, Any], version: str) -> dict[str, Any]:
    try:
        return translated(values, version)
    except ValueError as error:
        raise ProviderError(str(error)) from None
