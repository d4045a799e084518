"""A cluster of our own: made with kind, with Cilium installed by Helm, then handed to the provider `existing`."""

from __future__ import annotations

from pytest_ciliumwg.providers.kind.cluster import KindProvider, create_kind
from pytest_ciliumwg.providers.kind.leftovers import remove_kind_leftovers
from pytest_ciliumwg.providers.kind.spec import KindSpec

__all__ = ["KindProvider", "KindSpec", "create_kind", "remove_kind_leftovers"]
