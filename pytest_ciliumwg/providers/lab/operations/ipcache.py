"""A node's ipcache without its entries of other nodes' test pods: nothing leads their packets into cilium_wg0."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.steering import steering_script


def delete_ipcache(lab: Lab, name: str) -> None:
    """Take the IPv4 redirects for them away."""
    node = lab.node(name)
    lab.undo_log.add(_ipcache(name), partial(restore_ipcache, lab, name))
    without = [_without_test_pod(peer) for peer in lab.layout]
    lab.run_in(node, steering_script(lab.spec, without, node, lab.running[name]))


def restore_ipcache(lab: Lab, name: str) -> None:
    """Put them back."""
    node = lab.node(name)
    lab.run_in(node, steering_script(lab.spec, lab.layout, node, lab.running[name]))
    lab.undo_log.done(_ipcache(name))


def _without_test_pod(node: LabNode) -> LabNode:
    kept = tuple(ip for ip in node.test_pod.pod.addresses if IPFamily.of(ip) is not IPFamily.V4)
    pod = replace(node.test_pod, pod=replace(node.test_pod.pod, addresses=kept))
    return replace(node, pods=tuple(pod if other == node.test_pod else other for other in node.pods))


def _ipcache(name: str) -> str:
    return f"ipcache of {name}"
