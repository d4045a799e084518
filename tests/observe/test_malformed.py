"""Output that is cut off, or of another kind, is a value or an ObservationError, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.observe import cilium, iproute, kubernetes, tc, wireguard

from . import recordings
from .test_cilium import debuginfo
from .test_tc import U32_TEXT, bpf, u32
from .test_wireguard import SHOW

Parser = Callable[[str], object]
DUAL, ON = "v1.13/dual", "v1.15/on"

PARSERS: dict[str, tuple[Parser, str]] = {
    "links": (iproute.links_from_ip, recordings.node(DUAL, "ip-addr.json")),
    "rules": (lambda text: iproute.rules_from_ip(text, IPFamily.V4), recordings.node(DUAL, "ip-rule.json")),
    "routes": (
        lambda text: iproute.routes_from_ip(text, IPFamily.V4, "201"),
        recordings.node(DUAL, "ip-route-table-201.json"),
    ),
    "tc": (lambda text: tc.redirects_from_tc(text, "eth0", "egress"), f"[{u32('ip')},{bpf('cil_to_netdev')}]"),
    "tc text": (lambda text: tc.redirects_from_tc_text(text, "eth0", "egress"), U32_TEXT),
    "bpftool": (tc.redirects_from_bpftool, recordings.node(ON, "bpftool-net.json")),
    "wg show": (wireguard.wireguard_from_show, SHOW),
    "wg dump": (wireguard.wireguard_from_dump, recordings.agent(DUAL, "wg-show-all-dump.txt")),
    "status": (cilium.encryption_from_status_json, recordings.agent(ON, "status.json")),
    "status text": (cilium.encryption_from_status_text, recordings.agent(ON, "status.txt")),
    "encrypt status": (cilium.encryption_from_encrypt_status, recordings.agent(ON, "encrypt-status.txt")),
    "debuginfo": (cilium.wireguard_from_debuginfo, debuginfo()),
    "version": (cilium.version_from_agent, recordings.agent(ON, "version.json")),
    "version text": (cilium.version_from_agent, recordings.agent(ON, "version.txt")),
    "ipcache": (cilium.ipcache_from_agent, recordings.agent(ON, "bpf-ipcache.json")),
}
WITHOUT_AN_END = {"tc text", "wg dump", "status text", "version text"}
"""Text of lines, which nothing tells to be whole; an empty `tc filter show` even means that there is no filter."""


def outcome(parse: Callable[[Any], object], given: Any) -> object:
    """What a parser returns; None where it raises the error that it may raise."""
    try:
        return parse(given)
    except ObservationError:
        return None


@pytest.mark.parametrize("name", PARSERS)
def test_output_that_is_cut_off_anywhere(name: str) -> None:
    parse, text = PARSERS[name]
    body = text.rstrip()
    assert parse(text) is not None
    whole = [end for end in range(0, len(body), 7) if outcome(parse, body[:end]) is not None]
    assert not whole or name in WITHOUT_AN_END


@pytest.mark.parametrize("name", [name for name in PARSERS if name != "tc text"])
@pytest.mark.parametrize("text", ["", "\n", "null", "true", "7", '"x"', "[]", "{}", "[[]]", "[7]", "[" * 100_000, "¯"])
def test_output_of_another_kind(name: str, text: str) -> None:
    parse, _ = PARSERS[name]
    legitimately_empty = name in {"routes", "tc"} and text == "[]"
    assert outcome(parse, text) == (() if legitimately_empty else None)


def damaged(value: Any) -> Iterator[Any]:
    """The document with one value of it at a time replaced by something else, or missing."""
    if isinstance(value, dict):
        for key in value:
            yield {kept: value[kept] for kept in value if kept != key}
            for worse in damaged(value[key]):
                yield value | {key: worse}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for worse in damaged(item):
                yield [*value[:index], worse, *value[index + 1 :]]
    yield from (None, 7, -1.5, "x", "", True, [], {}, [7])


@pytest.mark.parametrize("name", ["CiliumNode", "CiliumEndpoint", "Node", "Pod"])
def test_objects_with_any_one_value_wrong(name: str) -> None:
    nodes = kubernetes.nodes_from_ciliumnodes(recordings.objects(ON, "ciliumnodes.json"))
    files: dict[str, tuple[Callable[[Any], object], str]] = {
        "CiliumNode": (kubernetes.node_from_ciliumnode, "ciliumnodes.json"),
        "CiliumEndpoint": (lambda raw: kubernetes.pods_from_ciliumendpoints([raw], nodes), "ciliumendpoints.json"),
        "Node": (kubernetes.node_facts, "nodes.json"),
        "Pod": (kubernetes.pod_facts, "pods.json"),
    }
    parse, file = files[name]
    raw = dict(copy.deepcopy(recordings.objects(ON, file)[0]))
    raw["metadata"].pop("managedFields", None)
    for worse in damaged(raw):
        outcome(parse, worse)
