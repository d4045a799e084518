"""A user's command in a pod: run once, in its default container, and what it complains of is told."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import Pod
from tests.existing.conftest import Connect, MakeDouble


def cilium_pod(double: Any) -> Pod:
    raw = double.store.select("pods", "kube-system", {"k8s-app": "cilium"})[0]["metadata"]
    return Pod(name=raw["name"], namespace="kube-system", node="a", addresses=())


def execs(double: Any, pod: Pod) -> list[str]:
    return [line for line in double.journal if f"/pods/{pod.name}/exec" in line and "our-program" in line]


def test_a_command_is_run_once_without_naming_a_container(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster, pod = connect(double), cilium_pod(double)
    double.trouble("our-program", status={"status": "Success"})
    assert cluster.run_in_pod(pod, ["our-program", "--fast"], timeout=10.0) == ""
    (line,) = execs(double, pod)
    assert "container=" not in line
    assert "command=our-program&command=--fast" in line


def test_a_command_that_breaks_is_not_run_again(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster, pod = connect(double), cilium_pod(double)
    double.trouble("our-program", mute=True, times=10)
    with pytest.raises(ProviderError, match="the connection ended before the command did"):
        cluster.run_in_pod(pod, ["our-program"], timeout=10.0)
    assert len(execs(double, pod)) == 1
