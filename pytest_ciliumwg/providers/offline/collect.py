"""Read from a cluster what the checks of its state need, into one archive: nothing is created, nothing is changed.

Captures can be put into it as well; whoever takes them creates what that needs.

Of objects and outputs only those parts are kept that a check reads; no private key is read in the first place.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.observe.agent_history import AGENT_CONTAINER
from pytest_ciliumwg.observe.cilium_config import config_from_configmap
from pytest_ciliumwg.observe.kubernetes import KEY_ANNOTATIONS
from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.existing.cilium import Cilium, find_cilium
from pytest_ciliumwg.providers.existing.node_observer import observation_script, state_from
from pytest_ciliumwg.providers.existing.spec import ExistingSpec
from pytest_ciliumwg.providers.kubernetes.errors import NOT_FOUND, KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube, open_kube
from pytest_ciliumwg.providers.kubernetes.remote import run_in
from pytest_ciliumwg.providers.offline.contents import kept_of_debuginfo
from pytest_ciliumwg.redaction import names_a_secret
from pytest_ciliumwg.waiting import for_each

Object = Mapping[str, Any]
_EXEC_SECONDS = 60.0
_DEBUGINFO = re.compile(r"(?<=@@@ debuginfo\n).*?(?=\n@@@ debuginfo status\n)", re.DOTALL)


@dataclass(slots=True)
class Collected:
    """What was read."""

    files: dict[str, str] = field(default_factory=dict)
    """Path in the archive → content."""
    problems: list[str] = field(default_factory=list)
    """What could not be read, a sentence each."""
    devices: dict[str, list[str]] = field(default_factory=dict)
    """Node → its native devices, of those that were looked at."""
    captures: dict[str, bytes] = field(default_factory=dict)
    """`NODE.DEVICE.pcapng.gz` → a capture."""


def collect(spec: ExistingSpec, nodes: Sequence[str], progress: Progress) -> Collected:
    """Read the state of a cluster; of its nodes all, or only some.

    Raises:
        ProviderError: the cluster cannot be reached, has no Cilium, or lacks a node that was asked for.
    """
    spec.check()
    kube = open_kube(spec.kubeconfig, spec.context, spec.retry_policy)
    try:
        return _collect(kube, find_cilium(kube, spec.cilium), nodes, progress)
    finally:
        kube.close()


def _collect(kube: Kube, cilium: Cilium, nodes: Sequence[str], progress: Progress) -> Collected:
    collected = Collected()
    all_nodes = {node.name: node for node in cilium.nodes()}
    published = list(all_nodes)
    if unknown := [name for name in nodes if name not in published]:
        raise ProviderError(f"there is no CiliumNode {unknown[0]}: there are {', '.join(published)}")
    progress(f"collect: reading {len(nodes or published)} of {len(published)} nodes")
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    settings = cilium.settings()
    _keep(collected, f"cilium-configmap-{stamp}", {"data": _without_secrets(settings)})
    for resource, name, keep in (
        ("ciliumnodes", "ciliumnodes", _cilium_node),
        ("ciliumendpoints", "ciliumendpoints", _endpoint),
        ("ciliumendpointslices", "ciliumendpointslices", _slice),
        ("nodes", "k8s-nodes", _node),
        ("pods", "k8s-pods", _pod),
    ):
        _list(collected, kube, resource, f"{name}-{stamp}", keep)
    config = config_from_configmap(settings, "")
    script = observation_script(config.families, in_mesh=bool(config.cluster_id))
    wanted = list(nodes or published)
    for name, outcome in zip(wanted, for_each(lambda node: _observe(kube, cilium, node, script), wanted), strict=True):
        if isinstance(outcome, ProviderError):
            collected.problems.append(f"node {name} could not be looked at: {outcome}")
        else:
            version, observed = outcome
            collected.files[f"nodes/{name}/version.txt"] = json.dumps({"Daemon": {"Version": version}}) + "\n"
            collected.files[f"nodes/{name}/observed.txt"] = observed
            others = [node for node in all_nodes.values() if node.name != name]
            state = state_from(observed, all_nodes[name], others, config.families)
            collected.devices[name] = [link.name for link in state.native_devices]
    return collected


def _observe(kube: Kube, cilium: Cilium, node: str, script: str) -> tuple[str, str] | ProviderError:
    """The version of a node's agent, and what the script printed there."""
    try:
        place = cilium.agent(node)
        version = cilium.told.version_at(place.pod)
        done = run_in(kube, place, ["sh", "-c", script], timeout=_EXEC_SECONDS)
    except ProviderError as error:
        return error
    if done.status != 0:
        return ProviderError(done.complaint)
    return version, _DEBUGINFO.sub(lambda found: kept_of_debuginfo(found[0]), done.output)


def _list(collected: Collected, kube: Kube, resource: str, name: str, keep: Callable[[Object], Object]) -> None:
    try:
        items = kube.list(resource)
    except KubeError as error:
        if error.status != NOT_FOUND:
            collected.problems.append(f"{resource} could not be listed: {error}")
        return
    _keep(collected, name, {"items": [keep(item) for item in items]})


def _keep(collected: Collected, name: str, document: Object) -> None:
    collected.files[f"{name}.json"] = json.dumps(document, indent=1) + "\n"


def _without_secrets(settings: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in settings.items() if not names_a_secret(name)}


def _some(raw: Object, *names: str) -> dict[str, Any]:
    return {name: raw[name] for name in names if name in raw}


def _metadata(raw: Object, *names: str) -> dict[str, Any]:
    return _some(raw.get("metadata") or {}, "name", "namespace", *names)


def _cilium_node(raw: Object) -> Object:
    annotations = _some((raw.get("metadata") or {}).get("annotations") or {}, *KEY_ANNOTATIONS)
    spec = _some(raw.get("spec") or {}, "addresses", "encryption", "health", "ingress", "ipam")
    return {"metadata": {**_metadata(raw), "annotations": annotations}, "spec": spec}


def _endpoint(raw: Object) -> Object:
    return {"metadata": _metadata(raw), "status": _some(raw.get("status") or {}, "networking")}


def _slice(raw: Object) -> Object:
    endpoints = [_some(endpoint, "name", "networking") for endpoint in raw.get("endpoints") or ()]
    return {"metadata": _metadata(raw), "namespace": raw.get("namespace"), "endpoints": endpoints}


def _node(raw: Object) -> Object:
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    return {
        "metadata": _metadata(raw, "labels"),
        "spec": _some(spec, "taints", "unschedulable"),
        "status": _some(status, "conditions", "addresses"),
    }


def _pod(raw: Object) -> Object:
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    kept = _some(status, "phase", "podIPs", "startTime")
    kept["conditions"] = [_some(condition, "type", "status") for condition in status.get("conditions") or ()]
    agents = [one for one in status.get("containerStatuses") or () if one.get("name") == AGENT_CONTAINER]
    if agents:
        kept["containerStatuses"] = [_some(agent, "name", "restartCount", "lastState") for agent in agents]
    return {"metadata": _metadata(raw), "spec": _some(spec, "nodeName", "hostNetwork"), "status": kept}


def write_archive(collected: Collected, path: Path) -> None:
    """Write all of it, with checksums.

    Raises:
        ProviderError: it cannot be written.
    """
    files = {name: content.encode() for name, content in collected.files.items()}
    files |= {f"captures/{name}": content for name, content in collected.captures.items()}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    folder = path.name.removesuffix(".tar.gz")
    try:
        with tarfile.open(path, "w:gz") as archive:
            for name, content in (*files.items(), ("SHA256SUMS", sums.encode())):
                _add(archive, f"{folder}/{name}", content)
    except OSError as error:
        raise ProviderError(f"{path} cannot be written: {error.strerror}") from None


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    entry.mtime = int(datetime.now(UTC).timestamp())
    archive.addfile(entry, io.BytesIO(content))


def told(collected: Collected, path: Path) -> Iterable[str]:
    """What was written, and what could not be read."""
    nodes = sum(name.endswith("/observed.txt") for name in collected.files)
    yield f"wrote {path}: {nodes} nodes, {len(collected.captures)} captures; judge it with"
    yield f"  pytest --ciliumwg --ciliumwg-provider=offline --ciliumwg-input={path}"
    yield from collected.problems
