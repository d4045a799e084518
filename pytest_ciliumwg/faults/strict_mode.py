"""Faults of the strict mode for what leaves, which only show when something is not encrypted."""

from __future__ import annotations

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.faults.catalogue import fault
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.strict_mode import STRICT_PREFERENCE, drop_script, no_strict_mode_script


def _can_be_strict(expected: Expectations) -> bool:
    return not expected.without_strict_egress()


@fault(
    "strict-missing",
    description="the strict mode is declared and configured, and the node's datapath drops nothing",
    shows="all well until an ipcache entry is missing on the node; then its packets leave in cleartext",
    source="a datapath that an agent did not build anew after its configuration changed",
    catcher="change.no-cleartext",
    also=["change.strict"],
    leaks=["redirect"],
    needs=_can_be_strict,
    strict_egress=True,
    during="delete_ipcache",
)
def strict_missing(lab: Lab, node: LabNode) -> None:
    """Remove the filter that drops."""
    lab.run_in(node, no_strict_mode_script(lab.spec))


@fault(
    "strict-untested",
    description="something else than the strict mode drops what the node's pods send in cleartext",
    shows="nothing in cleartext, and no packet that Cilium counts as `Traffic is unencrypted`",
    source="design: a drop by a firewall of the node is no proof of the strict mode",
    catcher="change.strict",
    needs=_can_be_strict,
    strict_egress=True,
    during="delete_ipcache",
)
def strict_untested(lab: Lab, node: LabNode) -> None:
    """Drop it before the strict mode sees it."""
    lab.run_in(node, drop_script(lab.spec, STRICT_PREFERENCE - 1))
