"""What every operation is given, and the wait for what it started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import CiliumConfig
from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.existing.cilium import Cilium
from pytest_ciliumwg.providers.existing.installation import Installation
from pytest_ciliumwg.providers.existing.spec import ExistingSpec
from pytest_ciliumwg.providers.existing.test_agents import TestAgents
from pytest_ciliumwg.providers.kubernetes.errors import KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.waiting import wait_for


@dataclass(frozen=True, slots=True)
class ContainerContext:
    """One cluster, as operations need it."""

    kube: Kube
    cilium: Cilium
    spec: ExistingSpec
    installation: Installation
    test_agents: TestAgents
    progress: Progress
    config: Callable[[], CiliumConfig]
    """What Cilium was configured to do when it was looked at last."""
    follow: Callable[[str | None], None]
    """Told the version that Cilium was brought to, or None after others may have changed it."""

    def wait(self, missing: Callable[[], str], failing: str) -> None:
        """Wait until nothing is missing, at most the time that agents have to get ready.

        Args:
            missing: What is still missing, in words; empty for nothing.
            failing: The start of the error's sentence, which goes on with the time and what is missing.

        Raises:
            ProviderError: time is up, or the API server refuses for good.
        """

        def asked() -> str:
            """An API server that does not answer now is one more thing that is missing."""
            try:
                return missing()
            except KubeError as error:
                if not error.passing:
                    raise
                return str(error)

        if why := wait_for(asked, seconds=self.spec.timeout, poll=self.spec.retry_policy.poll):
            raise ProviderError(f"{failing} within {self.spec.timeout:g} s: {why}")
