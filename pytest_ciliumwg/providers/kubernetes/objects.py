"""What is done with objects of the API, over any way to send it one request. No I/O of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pytest_ciliumwg.providers.kubernetes.errors import CONFLICT, GONE, NOT_FOUND, ApiServer, KubeError
from pytest_ciliumwg.providers.kubernetes.resources import in_words, path_of

Object = Mapping[str, Any]

JSON = "application/json"
_MERGE = "application/merge-patch+json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Asks for lists without anything but the objects' metadata."""
_PAGE = 500


class Objects(ABC):
    """The objects of one API server."""

    api_server: ApiServer

    @abstractmethod
    def request(
        self,
        doing: str,
        method: str,
        where: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Object | None = None,
        accept: str = JSON,
        content: str = JSON,
    ) -> Object:
        """Send one request, and return the decoded answer."""

    def list(
        self,
        resource: str,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        node: str | None = None,
        metadata_only: bool = False,
    ) -> list[Object]:
        """All objects of a resource, in one namespace or all; of pods, those on one node or all.

        With `metadata_only` nothing else of them is sent, because secrets are large and confidential.

        Raises:
            KubeError: they cannot be read.
        """
        doing = f"list {resource}" + (f" in namespace {namespace}" if namespace else "")
        query = [("limit", str(_PAGE))]
        if labels:
            query.append(("labelSelector", ",".join(f"{name}={value}" for name, value in labels.items())))
        if node is not None:
            query.append(("fieldSelector", f"spec.nodeName={node}"))
        accept = _METADATA if metadata_only else JSON
        try:
            return list(self._pages(doing, path_of(resource, namespace), query, accept))
        except KubeError as error:
            if error.status != GONE:
                raise
            # The list changed so much that its next page is gone: take it in one piece.
            return list(self._pages(doing, path_of(resource, namespace), query[1:], accept))

    def _pages(self, doing: str, where: str, query: Sequence[tuple[str, str]], accept: str) -> Iterator[Object]:
        following = ""
        while True:
            whole = [*query, *([("continue", following)] if following else [])]
            page = self.request(doing, "GET", where, query=whole, accept=accept)
            items = page.get("items")
            if not isinstance(items, Sequence):
                raise self.api_server.nonsense(doing)
            yield from items
            following = (page.get("metadata") or {}).get("continue") or ""
            if not following:
                return

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> Object | None:
        """One object; None where there is none.

        Raises:
            KubeError: it cannot be read.
        """
        return self._unless_missing(
            lambda: self.request(
                f"read {in_words(resource, name, namespace)}", "GET", path_of(resource, namespace, name)
            )
        )

    def create(self, resource: str, body: Object, *, namespace: str | None = None) -> Object:
        """Create an object.

        Raises:
            KubeError: the API server refuses it.
        """
        name = body["metadata"]["name"]
        doing = f"create {in_words(resource, name, namespace)}"
        try:
            return self.request(doing, "POST", path_of(resource, namespace), body=body)
        except KubeError as error:
            # An answer may have been lost after the object was made: then the one that is there is ours.
            found = self.get(resource, name, namespace=namespace) if error.status == CONFLICT else None
            if found is None or (found["metadata"].get("labels") or {}) != body["metadata"].get("labels"):
                raise
            return found

    def patch(self, resource: str, name: str, change: Object, *, namespace: str | None = None) -> Object:
        """Merge a change into an object: what it does not name stays, and None takes away.

        Raises:
            KubeError: the API server refuses, or there is no such object.
        """
        doing = f"change {in_words(resource, name, namespace)}"
        return self.request(doing, "PATCH", path_of(resource, namespace, name), body=change, content=_MERGE)

    def delete(
        self,
        resource: str,
        name: str,
        *,
        namespace: str | None = None,
        grace: int | None = None,
        uid: str | None = None,
    ) -> None:
        """Delete an object, if it is there; what belongs to it follows later.

        Args:
            resource: What it is, such as `pods`.
            name: Its name.
            namespace: Its namespace.
            grace: Seconds that a pod has to end; None: its own.
            uid: Which object of that name; another one stays.

        Raises:
            KubeError: the API server refuses.
        """
        doing = f"delete {in_words(resource, name, namespace)}"
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        body |= {} if grace is None else {"gracePeriodSeconds": grace}
        body |= {} if uid is None else {"preconditions": {"uid": uid}}
        try:
            self._unless_missing(lambda: self.request(doing, "DELETE", path_of(resource, namespace, name), body=body))
        except KubeError as error:
            if error.status != CONFLICT:  # it is being deleted already
                raise

    def _unless_missing(self, ask: Callable[[], Object]) -> Object | None:
        try:
            return ask()
        except KubeError as error:
            if error.status == NOT_FOUND:
                return None
            raise
