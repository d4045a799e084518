"""What a kubelet says of images that it cannot have. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

_NEVER = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_WRONG_IMAGE = re.compile(
    r"not found|manifest unknown|unauthorized|denied|forbidden|no match for platform", re.IGNORECASE
)
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class ImageTrouble:
    """An image that a node has not, and cannot get now."""

    image: str
    reason: str
    """As `ErrImagePull`."""
    message: str
    permanent: bool
    """Whether trying again cannot help."""

    def __str__(self) -> str:
        said = f"{self.reason} ({self.message})" if self.message else self.reason
        return f"the node has not the image {self.image}: {said}"


def image_troubles(pod: Object) -> Iterator[ImageTrouble]:
    """The images that keep containers of a pod from being started."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    for kind in ("initContainer", "container"):
        images = {container.get("name"): container.get("image") for container in spec.get(f"{kind}s") or ()}
        for container in status.get(f"{kind}Statuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            trouble = image_trouble(waiting, images.get(container.get("name")) or container.get("image") or "?")
            if trouble is not None:
                yield trouble


def image_trouble(waiting: Object, image: str) -> ImageTrouble | None:
    """What a container that waits says of its image; None where it waits for something else."""
    reason = waiting.get("reason") or ""
    if reason not in _NEVER | _PULL:
        return None
    message = " ".join(str(waiting.get("message") or "").split())
    permanent = reason in _NEVER or bool(_WRONG_IMAGE.search(message))
    return ImageTrouble(image, reason, message[:_LONGEST], permanent)
