"""Faults make the run fail at the right check, name the right node or pair, and blame nothing else.

Here are those that end soon; the self-test goes through all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

import pytest
from scapy.layers.inet import IP, UDP
from scapy.utils import rdpcap

from tests.report.html import reader

from .conftest import SuiteRun

PAIR, TO_THIRD = "lab-worker → lab-control-plane", "lab-worker → lab-worker2"
SILENT = (
    "*.no-cleartext*", "wire.first-packet", "wire.sustained*", "wire.nothing-else", "wire.tunnelled", "wire.counters",
    "steering.other-ways",
)  # fmt: skip
UDP_ONLY = ("*.no-cleartext[[]v?-udp]", "wire.sustained*", "wire.nothing-else")

# fault, Cilium version → (catching check, what its message names, checks that may fail or doubt as a consequence)
FAULTS: dict[tuple[str, str], tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    ("encryption-off", "1.20"): (
        "config.encryption", ("disabled",),
        ("device.*", "peers.*", "allowed-ips.*", "handshake.*", "steering.redirect*", "wire.*", *SILENT, "size.*"),
    ),
    ("encryption-off@lab-worker", "1.20"): (
        "device.present", ("lab-worker: expected the device cilium_wg0",),
        ("device.*", "peers.*", "allowed-ips.*", "handshake.*", "steering.redirect*", *SILENT),
    ),
    ("rule-deleted", "1.13"): (
        "steering.rule[v4]", ("lab-worker IPv4", "fwmark 0xe00/0xf00"), ("steering.rule*", *SILENT),
    ),
    ("table-emptied", "1.13"): ("steering.table[v6]", ("lab-worker IPv6", "no route"), ("steering.table*", *SILENT)),
    ("redirect-removed-v6", "1.20"): (
        "steering.redirect[v6]", ("lab-worker eth0 IPv6",),
        ("*.no-cleartext[[]v6*", "wire.sustained[[]v6]", "wire.nothing-else"),
    ),
    ("leak-udp-pair", "1.20"): ("wire.no-cleartext[v4-udp]", (TO_THIRD, "leaving lab-worker eth0"), UDP_ONLY),
    ("leak-udp-pair", "1.13"): ("wire.no-cleartext[v6-udp]", (PAIR, "leaving lab-worker eth0"), UDP_ONLY),
    ("leak-snat", "1.20"): ("wire.no-cleartext[v4-tcp]", (PAIR, "leaving lab-worker eth0"), SILENT),
    ("leak-eth1", "1.20"): (
        "wire.no-cleartext[v4-icmp]", (PAIR, "leaving lab-worker eth1"), (*SILENT, "steering.redirect*"),
    ),
    ("leak-vxlan", "1.20"): ("wire.no-cleartext[v4-udp]", (PAIR, "udp:8472/vxlan/eth/ipv4/udp"), SILENT),
    ("node-without-cilium", "1.13"): ("config.nodes", ("lab-worker-bare: expected a CiliumNode",), ()),
    ("node-opted-out", "1.20"): (
        "config.node-encryption", ("lab-worker: expected encryption key 255", "all nodes: expected two nodes"), (),
    ),
    ("node-redirect-missing", "1.20"): (
        "paths.hosts[node-to-node]", (TO_THIRD, "leaving lab-worker eth0"),
        ("paths.hosts*", "wire.nothing-else"),
    ),
    ("watch-late", "1.20"): ("capture.window", ("before the watch on lab-worker",), ("capture.control-*",)),
    ("tiny-ring", "1.20"): ("capture.no-drops", ("lab-worker eth0", "frames dropped"), ()),
}  # fmt: skip
ALL = frozenset({"ICMP", "TCP", "UDP"})
BOTH = frozenset({"v4", "v6"})
# Fault → what leaks: pairs (a star is any other node), protocols, families, and the device where it can be seen.
LEAKS: dict[str, tuple[tuple[str, ...], frozenset[str], frozenset[str], str]] = {
    "encryption-off": (("* → *",), ALL, BOTH, "eth0"),
    "encryption-off@lab-worker": (("lab-worker → *", "* → lab-worker"), ALL, BOTH, "eth0"),
    "rule-deleted": (("lab-worker → *",), ALL, BOTH, "eth0"),
    "table-emptied": (("lab-worker → *",), ALL, BOTH, "eth0"),
    "redirect-removed-v6": (("lab-worker → *",), ALL, frozenset({"v6"}), "eth0"),
    "leak-udp-pair": (("lab-worker → NEXT",), frozenset({"UDP"}), BOTH, "eth0"),
    "leak-snat": (("lab-worker → NEXT", "NEXT → lab-worker"), ALL, BOTH, "eth0"),
    "leak-eth1": (("lab-worker → *",), ALL, BOTH, "eth1"),
    "leak-vxlan": (("lab-worker → NEXT",), ALL, BOTH, "eth0"),
    "node-redirect-missing": (("lab-worker → NEXT",), ALL, BOTH, "eth0"),
}
THREE_NODES = {"encryption-off@lab-worker", "leak-udp-pair", "node-opted-out", "node-redirect-missing"}
"""Faults that a third node must not be blamed for, or that need one; the others are found in a lab of two as well."""

DOUBTS = (*SILENT, "wire.*", "handshake.*", "device.*", "peers.*", "allowed-ips.*", "size.*", "capture.*")
"""Checks that cannot measure may say so in any faulty lab; none of them may fail for it."""


@pytest.mark.thorough(but=("leak-udp-pair-1.20",))
@pytest.mark.parametrize(("fault", "version"), list(FAULTS), ids=lambda value: value.replace("@", "-at-"))
def test_fault_is_found(
    run_lab: Callable[..., SuiteRun], judge_again: Callable[[], SuiteRun], fault: str, version: str
) -> None:
    catcher, names, consequences = FAULTS[fault, version]
    nodes = 3 if fault in THREE_NODES and version == "1.20" else 2
    run = run_lab(f"--ciliumwg-fault={fault}", f"--ciliumwg-cilium-version={version}", f"--ciliumwg-nodes={nodes}")
    failed, doubtful = run.outcome("fail"), run.outcome("inconclusive")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    caught = doubtful if catcher.startswith("capture.") else failed
    assert catcher in caught
    for name in names:
        assert name in caught[catcher]
    unrelated = [title for title in failed if title != catcher and not _any(title, consequences)]
    assert not unrelated, {title: failed[title] for title in unrelated}
    assert not [title for title in doubtful if not _any(title, DOUBTS)]
    again = judge_again()
    assert [finding["headline"] for finding in again.report["findings"]] == [
        finding["headline"] for finding in run.report["findings"]
    ]
    live = {check["title"]: (check["outcome"], check["message"]) for check in run.report["checks"]}
    offline = {check["title"]: (check["outcome"], check["message"]) for check in again.report["checks"]}
    assert live.items() - offline.items() <= {item for item in live.items() if item[0].startswith("size.route-mtu")}
    if fault in LEAKS:
        assert_the_page_tells(run, fault, "lab-worker2" if nodes == 3 else "lab-control-plane")


def assert_the_page_tells(run: SuiteRun, fault: str, following: str) -> None:
    """Somebody who sees only the page can say which node sends what to whom in cleartext, and when."""
    pairs, protocols, families, device = LEAKS[fault]
    patterns = [pair.replace("NEXT", following) for pair in pairs]
    told = list(reader.leaks(run.page))
    began, ended = reader.when(run.report)
    assert {pattern for pattern in patterns if any(fnmatchcase(one.title, pattern) for one in told)} == set(patterns)
    assert frozenset[str]().union(*(leak.protocols for leak in told)) == protocols
    for leak in told:
        assert _any(leak.title, tuple(patterns))
        assert leak.families == families
        assert f"{leak.sender} {device}" in leak.places.split(", ")
        assert began <= leak.first <= leak.last <= ended
        assert any(leak.first <= at <= leak.last for at in reader.frames(run.page, leak))
        assert all(name in reader.headline(run.page) for name in {leak.sender} & {"lab-worker"})


def test_a_blind_watch_makes_everything_that_it_did_not_see_inconclusive(run_lab: Callable[..., SuiteRun]) -> None:
    run = run_lab("--ciliumwg-fault=tiny-ring@lab-worker2")
    doubtful = run.outcome("inconclusive")
    verdicts = {(pair["source"], pair["destination"]): pair["verdict"] for pair in run.report["pairs"]}
    assert "the kernel dropped" in doubtful["wire.no-cleartext[v4-icmp]"]
    assert verdicts["lab-worker", "lab-control-plane"] == "encrypted"
    assert {v for pair, v in verdicts.items() if "lab-worker2" in pair} == {"inconclusive"}


def test_the_leak_is_kept_as_evidence(
    run_lab: Callable[..., SuiteRun], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "value-of-the-environment")
    run = run_lab(
        "--ciliumwg-fault=leak-udp-pair", "--ciliumwg-nodes=2", "-vvv", "--showlocals", "--junitxml=junit.xml"
    )
    files = {row["file"]: row["frames"] for row in run.report["evidence"]}
    assert sorted(files) == ["lab-control-plane.eth0.pcapng", "lab-worker.eth0.pcapng"]
    assert not run.report["evidence_missing"]
    frames = rdpcap(str(pytester.path / "report" / "lab-worker.eth0.pcapng"))
    assert len(frames) == len(files["lab-worker.eth0.pcapng"]) > 0
    assert {frame[IP].src for frame in frames if IP in frame} == {"10.244.1.10"}
    assert all(UDP in frame or frame[IP].frag for frame in frames if IP in frame)
    artifacts = [path for path in pytester.path.rglob("*") if path.is_file()]
    assert {"report.html", "junit.xml", *files} <= {path.name for path in artifacts}
    assert not [path.name for path in artifacts if b"value-of-the-environment" in path.read_bytes()]
    assert "value-of-the-environment" not in run.result.stdout.str() + run.result.stderr.str()


@pytest.mark.thorough
def test_silence_of_a_blocked_network_is_no_pass(run_lab: Callable[..., SuiteRun]) -> None:
    run = run_lab("--ciliumwg-fault=blackhole", "--ciliumwg-nodes=2")
    assert {flow["verdict"] for flow in run.report["flows"] if flow["promised"]} == {"unreachable"}
    assert not [title for title, _ in run.outcome("pass").items() if "cleartext" in title]


def _any(title: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(title, pattern) for pattern in patterns)


@pytest.mark.thorough(but=("report",))
@pytest.mark.parametrize("choice", ["report", "off"])
def test_other_pods_are_told_or_left_alone_where_that_is_asked_for(
    run_lab: Callable[..., SuiteRun], choice: str
) -> None:
    options = "--ciliumwg-fault=leak-dns", f"--ciliumwg-other-pods={choice}", "--ciliumwg-nodes=2"
    run = run_lab(*options, "-k", "other_pods")
    assert run.result.ret == 0
    told = run.outcome("skip")["wire.other-pods"]
    assert ("→ 53 leaving lab-worker eth0 in cleartext" in told) is (choice == "report")
    assert f"--ciliumwg-other-pods={choice}" in told
