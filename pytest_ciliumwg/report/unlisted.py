"""What is known of flows that a report of a large cluster does not list: the verdict of their pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from pytest_ciliumwg.model.traffic import Protocol

LEFT_OUT = "flows_left_out"


def pairs_of_each_kind(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(Family, protocol, row of `pairs`) of all pairs where flows are left out of the report, else nothing.

    Between two tested nodes run flows of each protocol and of each family that the cluster has.
    """
    declared = document["cluster"]["declared"]
    if document.get(LEFT_OUT) and declared:
        kinds = list(product(declared["families"], (protocol.value for protocol in Protocol)))
        yield from ((family, protocol, pair) for pair in document["pairs"] for family, protocol in kinds)
