"""Take out of the YAML of large objects what nobody here reads, before it is parsed, which takes most of the time."""

from __future__ import annotations

import re
from collections.abc import Iterator

_UNREAD = (
    *("managedFields", "ownerReferences", "containers", "initContainers", "volumes", "tolerations", "affinity"),
    *("initContainerStatuses", "securityContext", "images"),
)
_OF_PODS = ("annotations", "labels")
_OTHERS = re.compile(rf"( *)(?:{'|'.join(_UNREAD)}):\s*")
_PODS = re.compile(rf"( *)(?:{'|'.join((*_UNREAD, *_OF_PODS))}):\s*")


def slimmed(text: str, *, pods: bool) -> str:
    """A document in block style without the members that are not read, however deep they are."""
    return "\n".join(_lines(text, _PODS if pods else _OTHERS))


def _lines(text: str, unread: re.Pattern[str]) -> Iterator[str]:
    left_out = -1
    for line in text.split("\n"):
        if left_out >= 0:
            indent = len(line) - len(line.lstrip(" "))
            if indent > left_out or not line.strip() or (indent == left_out and line.startswith("- ", indent)):
                continue
            left_out = -1
        found = unread.fullmatch(line)
        if found is None:
            yield line
        else:
            left_out = len(found[1])
