"""Other paths than pod to pod: what this version and configuration promises to encrypt, and what it does not."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.checks.helpers import assert_encrypted
from pytest_ciliumwg.checks.paths import promised_of
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations, source
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.traffic import Path
from pytest_ciliumwg.verdict.judge import Judge

HOST_PATHS: tuple[Path, ...] = ("pod-to-node", "node-to-pod", "node-to-node")


@pytest.mark.ciliumwg_check("paths.hosts", source=source("encrypted_paths"))
@pytest.mark.parametrize("path", HOST_PATHS)
def test_host_paths(judge: Judge, verify: Verify, expected: Expectations, path: Path) -> None:
    """Traffic of nodes' own networks is encrypted where this is promised and neither node opted out."""
    flows = [flow for flow in judge.judgements if flow.flow.path == path]
    for flow in promised_of(flows, path, expected, verify):
        assert_encrypted(verify, flow)


@pytest.mark.ciliumwg_check("paths.service", source='documentation, "Which traffic is encrypted": pod to ClusterIP')
def test_service_path(judge: Judge, verify: Verify) -> None:
    """Traffic of a pod to a pod on another node by the ClusterIP of a Service is encrypted."""
    flows = [flow for flow in judge.judgements if flow.flow.path == "pod-to-service"]
    if not flows:
        verify.unsupported(Place.of_path("pod-to-service"), "the cluster has no Services for the test pods")
    for flow in flows:
        assert_encrypted(verify, flow)
