"""A run is judged again without its names: neither its report nor its evidence has one of them, or an address."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.layers.inet import IP
from scapy.utils import rdpcap

from .conftest import SuiteRun

NAMES = re.compile(r"lab-[a-z0-9-]+|(?:test|idle)-pod[a-z0-9-]*|idle-lab")
ADDRESSES = re.compile(r"\b(?:10\.244|172\.\d+)\.\d+\.\d+\b|\bfd00:[0-9a-f:]+::[0-9a-f]+\b(?!:)")


@pytest.mark.thorough
@pytest.mark.slow
def test_a_run_is_judged_again_without_its_names(
    run_lab: Callable[..., SuiteRun], judge_again: Callable[..., SuiteRun], pytester: pytest.Pytester
) -> None:
    live = run_lab("--ciliumwg-fault=leak-vxlan", "--ciliumwg-nodes=2")
    run = judge_again("--ciliumwg-anonymise", "-rA")
    folder = Path(pytester.path, "again")
    texts = {path.name: path.read_bytes() for path in folder.iterdir()}
    evidence = {name: texts.pop(name) for name in list(texts) if name.endswith(".pcapng")}
    texts["record.json.gz"] = gzip.decompress(texts["record.json.gz"])
    texts["terminal"] = (run.result.stdout.str() + run.result.stderr.str()).encode()
    real = set(ADDRESSES.findall(str(live.report)))
    assert len(real) > 5
    for name, content in texts.items():
        assert not NAMES.findall(content.decode()), name
        assert not real & set(ADDRESSES.findall(content.decode())), name
    assert evidence
    packed = [ip_address(address).packed for address in real]
    for content in evidence.values():
        assert not [address for address in packed if address in content]
    frames = [frame for name in evidence for frame in rdpcap(str(folder / name))]
    assert all(frame.haslayer(IP) for frame in frames)
    assert [finding["failed"] for finding in run.report["findings"]] == [
        finding["failed"] for finding in live.report["findings"]
    ]


def test_what_a_run_did_not_ask_for_is_not_taken_for_switched_off(
    run_lab: Callable[..., SuiteRun], judge_again: Callable[..., SuiteRun]
) -> None:
    part = run_lab("--ciliumwg-nodes=2", "-k", "test_no_cleartext or test_main_table")
    assert part.report["outcome"] == "partial"
    run = judge_again()
    assert run.report["outcome"] == "inconclusive", run.outcome("fail")
    assert "it ran in part" in run.outcome("inconclusive")["config.encryption"]
    assert run.report["summary"]["pass"] > 80


def test_a_run_that_made_changes_is_judged_again_in_part(
    run_lab: Callable[..., SuiteRun], judge_again: Callable[..., SuiteRun]
) -> None:
    changing = ("--ciliumwg-profile=disruptive", "--ciliumwg-change=agent-restart", "--ciliumwg-nodes=2")
    leaks = ("--ciliumwg-cilium-version=1.13", "--ciliumwg-userspace-fallback=on")
    assert run_lab(*changing, *leaks).report["outcome"] == "not-conformant"
    for how in ((), ("--ciliumwg-anonymise",)):
        run = judge_again(*how)
        assert run.report["outcome"] == "partial", "what leaked while the agent was restarted is not in its record"
        (left_out,) = (row for row in run.report["not_run"] if row["id"] == "change.no-cleartext")
        assert left_out["params"] == {"stage": "agent-restart"}
        run.result.stdout.fnmatch_lines(
            ["*not in its record: what was seen while something was changed (agent-restart)"]
        )
