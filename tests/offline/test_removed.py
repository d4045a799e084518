"""A file that is not in a sysdump makes exactly those checks inconclusive that are told by it."""

from __future__ import annotations

import pytest

from tests.offline.conftest import HEALTHY, RECORDINGS, Changed, Judge

WORKER = "cilium-bugtool-cilium-jtwnp"
ALLOWED = frozenset(f"allowed-ips.{name}" for name in ("pods", "disjoint", "not-own", "nodes", "foreign", "known"))
OF_PEERS = ALLOWED | {
    *("peers.own-key", "peers.weak-keys", "peers.count", "peers.keys", "peers.not-self"),
    *("peers.unique-endpoints", "peers.endpoint", "device.listen-port", "device.fwmark"),
}
WATCHED = frozenset({"capture.whole-frames", "wire.other-pods"})
"""What cannot be told where it is not known which devices lead to other nodes."""
REDIRECTED = frozenset({"steering.redirect[v4]", "steering.other-ways"})
ROUTES = WATCHED | REDIRECTED | {"steering.table[v4]", "steering.main-table", "steering.no-loop"}
LINKS = OF_PEERS | WATCHED | REDIRECTED
LINKS |= {f"device.{name}" for name in ("present", "up", "noarp", "no-address", "mtu")}
RULES = frozenset({"steering.rule[v4]", "steering.no-loop"})
# File, of one node if it is one's → the checks that it decides, beside those that nothing in a sysdump tells.
FILES: dict[str, frozenset[str]] = {
    "ip-a.md": LINKS,
    "ip--d--s--s-l.md": LINKS,
    "ip--d-rule.md": RULES,
    "ip--4-r.md": ROUTES,
    "ip--4-route-show-.md": ROUTES,
    "bpftool-net-show.md": frozenset({"steering.redirect[v4]"}),
    "cilium-debuginfo-": OF_PEERS,
    "cilium-dbg-node-list--o-json.md": frozenset(),
    "tc-filter-show-dev-eth0-egress.md": frozenset(),
    "hostname.md": frozenset(),
    "": LINKS | RULES | ROUTES,
    "ciliumendpoints-": frozenset(),
    "k8s-pods-": frozenset({"config.nodes", "capture.restarts"}),
    "k8s-nodes-": frozenset({"config.nodes"}),
    "cilium-configmap-": frozenset(),
    "ciliumnodes-": (LINKS | ROUTES) - {"peers.not-self", *(f"device.{name}" for name in ("present", "up", "noarp"))}
    - {"device.no-address", "device.listen-port", "device.fwmark", "steering.other-ways", "steering.no-loop"}
    | {"capture.restarts", "config.node-encryption", "peers.published", "peers.unique-published", "handshake.answered"}
    | {"steering.table[v6]", "steering.redirect[v6]", "wire.outer-addresses", "wire.framing"},
}  # fmt: skip

_WHOLE: dict[str, str] = {}
"""The outcomes with all files, found out once."""


@pytest.mark.thorough(but=("cilium-debuginfo-", "k8s-nodes-"))
@pytest.mark.parametrize("file", FILES, ids=lambda file: file or "all of a node")
def test_a_file_that_is_removed(changed: Changed, judge: Judge, file: str) -> None:
    def is_removed(name: str) -> bool:
        return f"/{file}" in name and (WORKER in name if "/cmd/" in name else bool(file))

    captures = RECORDINGS / "healthy"
    whole = _WHOLE or judge(HEALTHY, captures).outcomes()
    _WHOLE.update(whole)
    less = judge(changed(lambda name, content: [] if is_removed(name) else [(name, content)]), captures).outcomes()
    assert less.keys() == whole.keys()
    assert {title: outcome for title, outcome in less.items() if outcome != whole[title]} == dict.fromkeys(
        FILES[file], "inconclusive"
    )
