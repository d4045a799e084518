"""A lab whose API shows what others have made of their clusters: objects that were edited, and others besides."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pytest_ciliumwg.providers.lab.lab import Lab
from tests.apidouble.lab_backend import LabBackend
from tests.apidouble.store import Object

Edit = Callable[[str, Object], None]
"""Told the resource and the object, which it changes in place."""


class EditedBackend(LabBackend):
    """A lab behind an API whose objects were edited."""

    def __init__(self, lab: Lab, edit: Edit, more: Iterable[tuple[str, Object]] = ()) -> None:
        super().__init__(lab)
        self._edit = edit
        self._more = tuple(more)

    def objects(self) -> list[tuple[str, Object]]:
        """The lab's objects, edited, and more."""
        return [*self._edited(super().objects()), *self._more]

    def refresh(self) -> list[tuple[str, Object]]:
        """What may have changed, edited."""
        return self._edited(super().refresh())

    def endpoint(self, pod: Object, addresses: list[str]) -> Object | None:
        """A pod's endpoint, edited."""
        made = super().endpoint(pod, addresses)
        if made is not None:
            self._edit("ciliumendpoints", made)
        return made

    def _edited(self, objects: list[tuple[str, Object]]) -> list[tuple[str, Object]]:
        for resource, value in objects:
            self._edit(resource, value)
        return objects


def configured(**settings: str) -> Edit:
    """Entries of the ConfigMap cilium-config, with `_` for `-` in their names."""

    def edit(resource: str, value: Object) -> None:
        if resource == "configmaps" and value["metadata"]["name"] == "cilium-config":
            value["data"] |= {key.replace("_", "-"): text for key, text in settings.items()}

    return edit
