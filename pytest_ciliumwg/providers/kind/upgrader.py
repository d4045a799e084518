"""Bring the Cilium of a kind cluster to another version: by Helm, with values made for that version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import contradictions
from pytest_ciliumwg.expect.helm import kubernetes_for, kubernetes_of
from pytest_ciliumwg.providers.existing.operations import ContainerContext, Rollout, check_versions
from pytest_ciliumwg.providers.kind.cluster_state import Kubectl, await_cilium
from pytest_ciliumwg.providers.kind.create import ClusterCreator
from pytest_ciliumwg.providers.kind.spec import KindSpec


@dataclass(slots=True)
class KindUpgrader:
    """Installs Cilium again, as the cluster's specification has it for each version."""

    context: ContainerContext
    creator: ClusterCreator
    spec: KindSpec
    """What the cluster is now."""

    def check(self, versions: Sequence[str]) -> None:
        """Refuse versions that cannot be as the cluster is, or that are not made for its Kubernetes.

        Raises:
            ProviderError: one sentence with everything that speaks against it.
        """
        check_versions(self.context, versions)
        refused: dict[str, None] = {}
        for version in versions:
            refused |= dict.fromkeys(self._refusals(version))
        if refused:
            raise ProviderError("; ".join(refused))

    def _refusals(self, version: str) -> list[str]:
        spec = self._at(version)
        try:
            found = list(contradictions(spec.config))
            if not found:
                spec.values()
        except ValueError as error:
            return [str(error)]
        tested, kubernetes = kubernetes_for(version), kubernetes_of(self.spec.image)
        # Who names an image knows better.
        if self.creator.spec.node_image is None and kubernetes not in tested:
            found.append(
                f"Cilium {version} is tested with Kubernetes {tested}, but the cluster has {kubernetes}: make it with "
                "another --ciliumwg-node-image, which is then taken as it is"
            )
        return found

    def go(self, version: str) -> None:
        """Install the version, and wait until every agent runs it and has all its peers.

        Raises:
            ProviderError: Helm refuses, or Cilium does not get ready.
        """
        spec = self._at(version)
        creator = replace(self.creator, spec=spec)
        creator.install()
        # From here on the cluster is not what it was, whether all agents get there or not.
        self.spec = spec
        Rollout(self.context, version).await_end()
        await_cilium(Kubectl(creator.tools.kubectl, creator.name_lock.kubeconfig), spec, creator.progress)

    def _at(self, version: str) -> KindSpec:
        return replace(self.spec, cilium_version=version, node_image=self.spec.image, upgrade_path=())
