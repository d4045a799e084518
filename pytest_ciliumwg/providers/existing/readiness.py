"""Why a pod is not ready yet, in words, and whether waiting can help. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ciliumwg.providers.existing.images import image_trouble
from pytest_ciliumwg.providers.existing.manifests import CONTAINER

Object = Mapping[str, Any]

_NEVER = frozenset({"CreateContainerConfigError", "RunContainerError", "CrashLoopBackOff"})
_REFUSED = re.compile(r"violates PodSecurity|is forbidden|denied the request|exceeded quota", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NotReady:
    """Why a pod is not ready."""

    where: str
    why: str
    permanent: bool = False
    pull: bool = False
    """Whether the image cannot be pulled: an error once it lasts for `RetryPolicy.pull` seconds."""
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


Warnings = Mapping[str, str]
"""The name of an object → the last warning of it, in words."""
NO_WARNINGS: Warnings = {}


def warnings_of(events: Iterable[Object]) -> Warnings:
    """The last warnings among events, found once: there are as many events as pods, and more."""
    warnings = (event for event in events if event.get("type") == "Warning")
    return {
        (event.get("involvedObject") or {}).get("name") or "": _said(event.get("reason") or "", event.get("message"))
        for event in warnings
    }


def not_ready_of(pod: Object, warnings: Warnings = NO_WARNINGS) -> NotReady | None:
    """What keeps a pod from being ready; None when it is ready."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    node = (pod.get("spec") or {}).get("nodeName")
    where = f"{(metadata.get('labels') or {}).get('ciliumwg/role', 'pod')} on {node or 'no node yet'}"
    if metadata.get("deletionTimestamp"):
        return NotReady(where, "the pod is being deleted")
    if status.get("phase") == "Failed":
        return NotReady(where, _said(status.get("reason") or "Failed", status.get("message")))
    container = next(
        (container for container in status.get("containerStatuses") or () if container.get("name") == CONTAINER), None
    )
    if container is None:
        return NotReady(where, _scheduling(status) or warnings.get(metadata["name"]) or "is not started yet")
    if container.get("ready"):
        return None
    wanted = {made.get("name"): made.get("image") for made in (pod.get("spec") or {}).get("containers") or ()}
    image = container.get("image") or wanted.get(CONTAINER) or "that was asked for"
    return _container_not_ready(where, container, image, warnings.get(metadata["name"], ""))


def _container_not_ready(where: str, container: Object, image: str, event: str) -> NotReady:
    state = container.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if ended is not None:
        return NotReady(where, _ending(ended))
    if waiting is None:
        return NotReady(where, "is running, but not ready")
    reason, message = waiting.get("reason") or "", waiting.get("message") or ""
    if (trouble := image_trouble(waiting, image)) is not None:
        advice = "check --ciliumwg-image, the pull secret and the node's way to the registry"
        return NotReady(where, str(trouble), permanent=trouble.permanent, pull=True, advice=advice)
    if reason in _NEVER:
        last = (container.get("lastState") or {}).get("terminated")
        why = _said(reason, _ending(last) if last is not None else message)
        return NotReady(where, why, permanent=True, advice="the image must have python3, see --ciliumwg-image")
    return NotReady(where, _said(reason or "waiting", message or event))


def not_made(role: str, node: str, warnings: Warnings) -> NotReady:
    """That a DaemonSet's pod is not there, and what its controller complains of, if it does."""
    complaint = warnings.get(role, "")
    return NotReady(f"{role} on {node}", f"its pod has not been made yet{complaint and f': {complaint}'}")


def refusals(events: Iterable[Object]) -> Iterator[NotReady]:
    """Pods that the API server refused to make: admission control, Pod Security, quotas."""
    for event in events:
        message = str(event.get("message") or "")
        if event.get("reason") == "FailedCreate" and _REFUSED.search(message):
            name = (event.get("involvedObject") or {}).get("name") or "a DaemonSet"
            advice = "exempt namespaces that start with ciliumwg-, or ask the cluster's administrator"
            yield NotReady(f"the pods of {name}", _said("refused", message), permanent=True, advice=advice)


def _scheduling(status: Object) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _said(condition.get("reason") or "Pending", condition.get("message"))
    return ""


def _ending(ended: Object) -> str:
    said = (ended.get("message") or "").strip().splitlines()
    text = f"ended with status {ended.get('exitCode')}"
    return f"{text} ({said[-1].strip()})" if said else text


def _said(reason: str, message: str | None) -> str:
    text = " ".join((message or "").split())
    return f"{reason} ({text[:300]})" if text else reason
