"""What a request does, as Kubernetes authorises it, and whether rules of Roles and ClusterRoles allow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.apidouble.store import Refusal

USER = "system:serviceaccount:ciliumwg:ciliumwg"
_VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Attributes:
    """One request."""

    verb: str
    group: str
    resource: str
    """With its subresource, such as `pods/exec`."""
    namespace: str | None
    name: str | None

    @classmethod
    def of(cls, method: str, path: str) -> Attributes:
        """Read a request's line; `path` is without its query."""
        words = path.strip("/").split("/")
        group = "" if words[0] == "api" else words[1]
        words = words[2:] if words[0] == "api" else words[3:]
        namespace = None
        if len(words) > 2 and words[0] == "namespaces":
            namespace, words = words[1], words[2:]
        resource, name, sub = (*words, None, None)[:3]
        assert resource is not None
        verb = _VERBS.get(method) or ("get" if name else "list")
        return cls(verb, group, f"{resource}/{sub}" if sub else resource, namespace, name)

    @property
    def refusal(self) -> Refusal:
        """How an API server refuses it."""
        place = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        named = f' "{self.name}"' if self.name else ""
        return Refusal(
            403,
            "Forbidden",
            f'{self.resource.partition("/")[0]}{named} is forbidden: User "{USER}" cannot {self.verb} resource '
            f'"{self.resource}" in API group "{self.group}" {place}',
        )


class Rbac:
    """The rules that are bound to one service account."""

    def __init__(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Take ClusterRoles, which hold everywhere, and Roles, which hold in their namespaces, out of manifests."""
        self._rules = [
            (made["metadata"].get("namespace"), rule)
            for made in objects
            if made["kind"] in ("ClusterRole", "Role")
            for rule in made["rules"]
        ]
        self.asked: set[Attributes] = set()

    def check(self, request: Attributes) -> None:
        """Refuse what no rule allows.

        Raises:
            Refusal: 403, in an API server's words.
        """
        self.asked.add(request)
        if not any(_allows(namespace, rule, request) for namespace, rule in self._rules):
            raise request.refusal

    def unused(self) -> list[str]:
        """What is granted and was never asked for, as `verb resource in namespace`."""
        return [
            f"{verb} {resource} in {namespace or 'the cluster'}"
            for namespace, rule in self._rules
            for resource in rule["resources"]
            for verb in rule["verbs"]
            if not any(_uses(namespace, rule, resource, verb, request) for request in self.asked)
        ]


def _allows(namespace: str | None, rule: Mapping[str, Any], request: Attributes) -> bool:
    return any(
        _uses(namespace, rule, resource, verb, request) for resource in rule["resources"] for verb in rule["verbs"]
    )


def _uses(namespace: str | None, rule: Mapping[str, Any], resource: str, verb: str, request: Attributes) -> bool:
    names = rule.get("resourceNames")
    return (
        (verb, resource) == (request.verb, request.resource)
        and request.group in rule["apiGroups"]
        and namespace in (None, request.namespace)
        and (not names or request.name in names)
    )
