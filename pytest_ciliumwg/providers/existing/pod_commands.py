"""Run a user's command in a pod of the cluster."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.kubernetes.remote import Place, run_in


def run_in_pod(kube: Kube, pod: Pod, command: Sequence[str], timeout: float) -> str:
    """Run a command once: nothing tells whether it is safe to run twice. Several containers: in the pod's default one.

    Raises:
        ProviderError: it cannot be run, or failed.
    """
    once = kube.hurried(replace(kube.retry_policy, attempts=1))
    done = run_in(once, Place(pod.namespace, pod.name, ""), command, timeout=timeout)
    if done.status:
        raise ProviderError(f"pod {pod.key}: {shlex.join(command)}: {done.complaint}")
    return done.output
