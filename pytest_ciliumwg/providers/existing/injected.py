"""What admission control has made of our pods: a proxy in them sends other bytes than ours. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_ciliumwg.providers.existing.manifests import CONTAINER, Role

Object = Mapping[str, Any]

_PROXY = re.compile(r"proxy|envoy|istio|linkerd|kuma|consul|mesh", re.IGNORECASE)
_AMBIENT = "ambient.istio.io/redirection"
"""What Istio's ambient mode writes on a pod whose traffic it leads into its own tunnel, from outside of the pod."""
_RAW = frozenset({"NET_RAW", "CAP_NET_RAW", "ALL"})


def proxies(pod: Object) -> list[str]:
    """What leads a pod's traffic through a service mesh: such containers, by name, or Istio's ambient mode."""
    ambient = (pod["metadata"].get("annotations") or {}).get(_AMBIENT) == "enabled"
    found = [str(container.get("name")) for container in _injected(pod) if _is_proxy(container)]
    return [*found, *(["Istio's ambient mode"] if ambient else [])]


def others(pod: Object) -> list[str]:
    """All other containers that we have not asked for, by name."""
    return [str(container.get("name")) for container in _injected(pod) if not _is_proxy(container)]


def lacking(pod: Object, role: Role) -> list[str]:
    """What was taken away from a pod of ours that it cannot do without."""
    spec = pod.get("spec") or {}
    ours: list[Object] = [made for made in spec.get("containers") or () if made.get("name") == CONTAINER]
    context: Object = (ours[0].get("securityContext") if ours else None) or {}
    added, dropped = ({*((context.get("capabilities") or {}).get(way) or ())} for way in ("add", "drop"))
    # Most container runtimes give it to who neither asks for it nor does without.
    raw = context.get("privileged") or added & _RAW or not dropped & _RAW
    return [
        what
        for what, is_there in (
            ("the capability NET_RAW", raw),
            ("the user 0", not context.get("runAsUser")),
            ("the node's network", role == "test-pod" or spec.get("hostNetwork")),
        )
        if not is_there
    ]


def _injected(pod: Object) -> Iterator[Object]:
    spec = pod.get("spec") or {}
    containers: Iterable[Object] = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return (container for container in containers if container.get("name") != CONTAINER)


def _is_proxy(container: Object) -> bool:
    """By its name or its image's, or because it may change the pod's network, as what redirects to a proxy has to."""
    context = container.get("securityContext") or {}
    added = (context.get("capabilities") or {}).get("add") or ()
    mighty = bool(context.get("privileged")) or bool({"NET_ADMIN", "ALL"} & set(added))
    image = str(container.get("image") or "").rpartition("/")[2]  # a registry's name says nothing
    return mighty or any(map(_PROXY.search, (str(container.get("name")), image)))
