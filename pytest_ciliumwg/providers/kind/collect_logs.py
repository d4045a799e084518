"""What a cluster that failed leaves in the report: kind's logs and Cilium's state, before the cluster goes."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.providers.kind.cluster_state import Kubectl
from pytest_ciliumwg.providers.kind.name_lock import NameLock
from pytest_ciliumwg.providers.kind.tools import Tools
from pytest_ciliumwg.providers.programs import run

_EXPORT_SECONDS = 180.0
_LISTINGS = {
    "nodes.txt": ("get", "nodes", "-o", "wide"),
    "pods.txt": ("get", "pods", "--all-namespaces", "-o", "wide"),
    "events.txt": ("get", "events", "--all-namespaces"),
    "cilium-config.yaml": ("get", "configmap", "cilium-config", "--namespace", "kube-system", "-o", "yaml"),
    "ciliumnodes.yaml": ("get", "ciliumnodes", "-o", "yaml"),
}


def collect_logs(tools: Tools, name_lock: NameLock, report: Path) -> Path:
    """Write everything that may explain a failure into the report; what cannot be had is left out.

    Returns:
        The folder that was written.
    """
    folder = report / f"kind-{name_lock.name}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("kind.json", "values.json", "create.log"):
        with contextlib.suppress(OSError):
            shutil.copy(name_lock.folder / name, folder / name)
    run([tools.kind, "export", "logs", folder / "logs", "--name", name_lock.name], timeout=_EXPORT_SECONDS)
    if name_lock.stands:
        _state(Kubectl(tools.kubectl, name_lock.kubeconfig), folder)
    return folder


def _state(kubectl: Kubectl, folder: Path) -> None:
    for name, arguments in _LISTINGS.items():
        folder.joinpath(name).write_text(kubectl.run(*arguments).output, encoding="utf-8")
    with contextlib.suppress(ObservationError):
        for agent in kubectl.agents():
            # `status` names public keys alone; `debuginfo` and bugtool may hold the private one.
            said = kubectl.in_agent(agent.name, "status --verbose")
            folder.joinpath(f"cilium-status-{agent.node}.txt").write_text(said.output + said.errors, encoding="utf-8")
