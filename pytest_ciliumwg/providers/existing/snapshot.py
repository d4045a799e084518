"""What the API shows at one moment of all that may change: a few short requests, each tried once."""

from __future__ import annotations

from dataclasses import replace

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.model.timeline import Snapshot
from pytest_ciliumwg.observe.kubernetes import node_facts
from pytest_ciliumwg.providers.existing.cilium import Cilium
from pytest_ciliumwg.providers.kubernetes.errors import KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.kubernetes.retry import RetryPolicy

HURRY = RetryPolicy(attempts=1, request=3.0)
"""Each request is tried once: an API server that is restarting is reported, not waited for."""
RELEASE_ANNOTATION = "meta.helm.sh/release-name"
"""What Helm writes on everything that it installs."""
_FORBIDDEN = 403


class SnapshotReader:
    """Reads snapshots of one cluster."""

    def __init__(self, kube: Kube, cilium: Cilium) -> None:
        self._kube = kube.hurried(HURRY)
        self._cilium = replace(cilium, kube=self._kube)
        self._may_see_releases = True

    def read(self) -> Snapshot:
        """What the cluster shows now.

        Raises:
            ProviderError: the API server does not answer, or with something that is not understood.
        """
        agents = self._cilium.agents()
        try:
            ready = {facts.name: facts.ready for facts in map(node_facts, self._kube.list("nodes"))}
        except ObservationError as error:
            raise ProviderError(f"what the API server shows is not understood: {error}") from None
        published = self._cilium.nodes()
        pods = self._cilium.pods(published)
        return Snapshot(
            agents={node: agent.pod for node, agent in agents.items()},
            nodes=ready,
            keys={node.name: node.public_key for node in published if node.public_key},
            pods={pod.key: pod.node for pod in pods},
            addresses={pod.key: pod.addresses for pod in pods},
            revision=self._revision(),
        )

    def _revision(self) -> str:
        """Helm's revision of Cilium; of an installation without Helm the generation of its DaemonSet."""
        workload = self._kube.get("daemonsets", self._cilium.names.workload, namespace=self._cilium.namespace)
        if workload is None:
            return ""
        metadata = workload["metadata"]
        release = (metadata.get("annotations") or {}).get(RELEASE_ANNOTATION)
        revisions = self._helm_revisions(str(release)) if release else []
        return f"Helm revision {max(revisions)}" if revisions else f"generation {metadata.get('generation', 0)}"

    def _helm_revisions(self, release: str) -> list[int]:
        if not self._may_see_releases:
            return []
        labels = {"owner": "helm", "name": release}
        try:
            kept = self._kube.list("secrets", namespace=self._cilium.namespace, labels=labels, metadata_only=True)
        except KubeError as error:
            if error.status != _FORBIDDEN:
                raise
            self._may_see_releases = False
            return []
        found = [str((secret["metadata"].get("labels") or {}).get("version", "")) for secret in kept]
        return [int(revision) for revision in found if revision.isdigit()]
