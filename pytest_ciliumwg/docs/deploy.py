"""The Roles in `deploy/`, made from the table of what a run asks of a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_ciliumwg.providers.existing.rights import PUBLISHING, RIGHTS, Right, roles

NAME, NAMESPACE, CILIUM_NAMESPACE = "ciliumwg", "ciliumwg", "kube-system"
_HEADER = "# Made by `make docs` from pytest_ciliumwg/providers/existing/rights.py: do not edit.\n"


def pages() -> Mapping[str, str]:
    """File below `deploy/` → its content."""
    core = [right for right in RIGHTS if right.profile in ("core", "extended")]
    changes = [right for right in RIGHTS if right.profile == "disruptive"]
    publishing = [right for right in RIGHTS if right.profile == PUBLISHING]
    return {
        "base/rbac.yaml": _page(NAME, core),
        "disruptive/rbac.yaml": _page(f"{NAME}-disruptive", changes),
        "nightly/rbac.yaml": _page(f"{NAME}-publish", publishing),
    }


def write(directory: Path) -> None:
    """Write the files into a directory that has these folders."""
    for name, content in pages().items():
        directory.joinpath(name).write_text(content, encoding="utf-8")


def _page(name: str, granted: Iterable[Right]) -> str:
    return _HEADER + "".join(f"---\n{json.dumps(made, indent=2)}\n" for made in _with_bindings(name, granted))


def _with_bindings(name: str, granted: Iterable[Right]) -> Iterator[dict[str, Any]]:
    for role in roles(granted, name, CILIUM_NAMESPACE, NAMESPACE):
        yield role
        yield {
            "apiVersion": role["apiVersion"],
            "kind": f"{role['kind']}Binding",
            "metadata": role["metadata"],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        }
