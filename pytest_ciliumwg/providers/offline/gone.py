"""What a cluster cannot do of which there is but a record: nothing can be asked, sent or changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import IPAddress, Pod
from pytest_ciliumwg.model.drops import Drops
from pytest_ciliumwg.providers.targets import NO_TARGETS, Targets


class GoneCluster:
    """The part of `Cluster` that is the same for all records."""

    provider = "offline"
    untouched = None
    settle_seconds = 0.0
    crowding = 1.0

    @property
    def changes(self) -> Sequence[str]:
        """None that are known."""
        return ()

    def test_pods(self) -> tuple[Pod, ...]:
        """None: nothing of ours was there."""
        return ()

    def services(self) -> Mapping[str, tuple[IPAddress, ...]]:
        """None likewise."""
        return {}

    def targets(self) -> Targets:
        """None likewise."""
        return NO_TARGETS

    def drops(self, node: str) -> Drops | None:
        """Nothing tells that."""
        del node
        return None

    def policies(self) -> Sequence[str]:
        """Of no matter where nothing is sent."""
        return ()

    def node_agent(self, node: str) -> NoReturn:
        """There is none."""
        raise _gone(f"node {node}")

    def pod_agent(self, pod: Pod) -> NoReturn:
        """There is none."""
        raise _gone(f"pod {pod.key}")

    def snapshot(self) -> NoReturn:
        """There is none."""
        raise _gone("the API")

    @property
    def operations(self) -> NoReturn:
        """Nothing can be changed."""
        raise _gone("the cluster")

    def keep(self) -> str:
        """There is nothing to keep."""
        return "nothing was made, so nothing is kept"

    def close(self) -> None:
        """Nothing was opened."""


def _gone(what: str) -> ProviderError:
    return ProviderError(f"{what} cannot be asked: of this cluster there is but a record (--ciliumwg-provider=offline)")
