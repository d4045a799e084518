"""The profile extended in the lab: everything delivered, and encrypted where it is promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.session.conftest import SuiteRun

AREAS = {"dns", "nodeport", "hostport", "health", "north-south"}


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (
            ["--ciliumwg-cilium-version=1.13", "--ciliumwg-ip-family=v4"],
            {"nodeport", "hostport", "health", "north-south"},
        ),
        (
            ["--ciliumwg-node-encryption=on", "--ciliumwg-node-encryption-opt-out=none", "--ciliumwg-ip-family=v4"],
            set(),
        ),
        (["--ciliumwg-routing=vxlan", "--ciliumwg-ip-family=v4"], {"hostport"}),
    ],
)
def test_a_healthy_lab_is_conformant(
    run_lab: Callable[..., SuiteRun], arguments: list[str], reported: set[str]
) -> None:
    run = run_lab("--ciliumwg-profile=extended", "--ciliumwg-nodes=2", *arguments)
    assert run.result.ret == 0
    assert run.report["outcome"] == "conformant"
    assert {title.partition(".")[0] for title in run.outcome("skip")} == reported
    assert all(why.endswith("cleartext") or "health" in why for why in run.outcome("skip").values())
    verified = Counter(title.partition(".")[0] for title in run.outcome("pass"))
    assert verified.keys() == AREAS
    assert all(count == 3 * (1 if area == "health" else 2) for area, count in verified.items() if area not in reported)


def test_a_fault_of_such_a_path_is_refused_without_the_profile(run_lab: Callable[..., SuiteRun]) -> None:
    run = run_lab("--ciliumwg-fault=leak-questions")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    run.result.stderr.fnmatch_lines(["*leak-questions is of a path that the profile extended tests: choose *"])
