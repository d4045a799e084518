"""Whatever change is under way when a run is interrupted: the cluster is as it was, and nothing of ours is in it."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.lab import Lab
from tests.apidouble import ApiDouble, LabBackend
from tests.existing.conftest import MakeDouble

pytestmark = pytest.mark.slow(first=True)

CHANGES = {
    "agent-restart": "1.13.18",
    "agent-restart-all": "1.18.3",
    "pod-churn": "1.13.18",
    "key-replaced": "1.18.3",
    "device-down": "1.13.18",
    "port-blocked": "1.18.3",
}
"""Each change, with the version in which it is interrupted."""
LONGEST = 4.0
"""Seconds from the beginning of a change within which it is interrupted."""
SETTLE_SECONDS = 20.0
_LOOKS = (
    "ip -br link; ip -4 rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all; "
    "nft list tables | grep -v ' proxy$' | while read -r _ family name; do nft -s list table $family $name; done"
    " | { grep -vE '^[[:space:]]*(table|chain|type|})' || true; }; "
    "tc filter show dev eth0 egress; wg show cilium_wg0 allowed-ips; wg show cilium_wg0 fwmark"
)


def picture(lab: Lab) -> dict[str, set[str]]:
    """Node → a line for everything that a change could have left on it; keys by the node they belong to."""
    shown = {}
    for node in lab.layout:
        text = lab.run_in(node, _LOOKS)
        for owner, key in lab.keys.items():
            text = text.replace(key, owner)
        # A device that is made anew has another index, a filter another handle, and a set no order.
        text = re.sub(r"(@if\d+|fh \S+|used \d+|expires \d+\w+|dev lxc\d+ proto \S+)", "", text)
        shown[node.name] = {" ".join(sorted(line.split())) for line in text.splitlines()}
    return shown


def lab_of(double: ApiDouble) -> Lab:
    assert isinstance(double.backend, LabBackend)
    return double.backend.lab


@pytest.fixture
def begin(tmp_path: Path) -> Callable[[ApiDouble, str], subprocess.Popen[str]]:
    def run(double: ApiDouble, change: str) -> subprocess.Popen[str]:
        tmp_path.joinpath("conftest.py").write_text(
            "from pytest_ciliumwg.providers.existing import ExistingSpec, RetryPolicy, connect_existing\n"
            "def pytest_ciliumwg_cluster(settings, progress):\n"
            "    return connect_existing(ExistingSpec(timeout=30, retry_policy=RetryPolicy(poll=0.05)), progress)\n"
        )
        environment = os.environ | {
            "KUBECONFIG": str(double.kubeconfig(tmp_path / "kubeconfig")),
            "PYTHONUNBUFFERED": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # of others': it takes half of the start
        }
        options = [
            "-p",
            "pytest_ciliumwg.plugin",
            "--ciliumwg-provider=existing",
            "--ciliumwg-profile=disruptive",
            f"--ciliumwg-change={change}",
        ]
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "--ciliumwg", *options, "-k", "test_change", "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return run


@pytest.mark.thorough
@pytest.mark.parametrize(("change", "version"), CHANGES.items())
def test_interrupted(
    lab_double: MakeDouble, begin: Callable[[ApiDouble, str], subprocess.Popen[str]], change: str, version: str
) -> None:
    double = lab_double(version, nodes=2, families=frozenset({IPFamily.V4}))
    lab = lab_of(double)
    before = picture(lab)
    moment = random.uniform(0.0, LONGEST)  # noqa: S311 - no secret
    with begin(double, change) as run:
        assert run.stdout is not None
        said = ""
        for line in run.stdout:
            said += line
            if "watching 2 nodes continuously" in line:
                break
        time.sleep(2.5 + moment)  # the watch itself takes so long until the change begins
        run.send_signal(signal.SIGINT)
        said += run.communicate(timeout=60)[0]
    assert run.returncode in (2, 0), said
    assert double.ours() == [], said
    deadline = time.monotonic() + SETTLE_SECONDS
    while (after := picture(lab)) != before and time.monotonic() < deadline:
        time.sleep(0.2)
    for node in before:
        left = after[node] ^ before[node]
        assert not left, f"interrupted after {moment:.2f} s\n{said}"
    agents = double.store.select("pods", "kube-system", {"k8s-app": "cilium"})
    assert len(agents) == 2
    assert all(agent["status"]["containerStatuses"][0]["ready"] for agent in agents)
