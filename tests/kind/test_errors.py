"""Everything that goes wrong with a kind cluster is one sentence, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.charts import Charts
from pytest_ciliumwg.providers.kind import KindSpec, cluster_state
from pytest_ciliumwg.providers.kind.name_lock import home
from tests.patience import PATIENCE

from .conftest import Machine

DELETE = "kind delete cluster --name ciliumwg --kubeconfig STATE/ciliumwg/kubeconfig"
CREATE = "kind create cluster"


def begins(machine: Machine, command: str) -> bool:
    return any(line.startswith(command) for line in machine.commands())


def refused(machine: Machine, **how: Any) -> str:
    """The sentence with which no cluster is made."""
    with pytest.raises(ProviderError) as caught:
        machine.create(**how)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("program", ["docker", "kind", "helm", "kubectl"])
def test_a_missing_program(stubbed: Machine, program: str) -> None:
    stubbed.without(program)
    assert f"a kind cluster needs {program}, which is not on PATH: install" in refused(stubbed)
    assert not begins(stubbed, CREATE)
    assert not stubbed.left_behind()


@pytest.mark.parametrize(
    ("scenario", "sentence"),
    [
        ({"docker": "stopped"}, "docker does not run (Cannot connect to the Docker daemon at unix:///var/run/docker"),
        ({"docker": "denied"}, "this user may not use docker: add him to the group docker"),
        ({"kind": "0.20.0"}, "is version v0.20.0, but the node image kindest/node:v1.35.8 needs 0.27.0 or newer"),
        ({"kind": "edge"}, "`kind version` does not tell its version"),
        ({"helm": "3.1.0"}, "is version v3.1.0, but Cilium's chart needs 3.8.0 or newer: update it"),
    ],
)
def test_a_program_that_will_not_do(stubbed: Machine, scenario: dict[str, str], sentence: str) -> None:
    stubbed.scenario(**scenario)
    assert sentence in refused(stubbed)
    assert not begins(stubbed, CREATE)
    assert not stubbed.left_behind()


def test_a_newer_node_image_needs_a_newer_kind(stubbed: Machine) -> None:
    stubbed.scenario(kind="0.31.0")
    spec = KindSpec(node_image="kindest/node:v1.37.0")
    assert spec.oldest_kind == "0.33.0"


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"node_image": "kindest/node:v1.28.0"}, "Cilium 1.20.3 is tested with Kubernetes 1.32 to 1.35, but the node"),
        ({"node_image": "my/node:latest"}, "the tag of the node image my/node:latest does not tell its Kubernetes"),
        ({"cilium_version": "1.12", "node_encryption": True}, "node encryption with WireGuard exists from Cilium 1.14"),
        ({"cilium_version": "1.14", "strict_egress": True}, "the strict mode for what leaves exists from Cilium 1.15"),
        ({"userspace_fallback": True}, "the userspace fallback exists in Cilium 1.11 to 1.16 only"),
        ({"load_images": ("gone.tar",)}, "the image archive gone.tar does not exist"),
        ({"load_images": ("no/such:1",)}, "--ciliumwg-load-image: there is no local image no/such:1"),
        ({"charts": Charts({"": "./gone"})}, "the chart ./gone does not exist"),
    ],
)
def test_a_combination_that_cannot_be_is_refused_before_anything_is_made(
    stubbed: Machine, how: dict[str, Any], sentence: str
) -> None:
    assert sentence in refused(stubbed, **how)
    assert not begins(stubbed, CREATE)
    assert not stubbed.left_behind()


@pytest.mark.parametrize("create", ["works", "raced"])
def test_a_name_that_is_taken_is_left_to_its_owner(stubbed: Machine, create: str) -> None:
    stubbed.scenario(create=create)
    theirs = stubbed.folder / "clusters" / "ciliumwg"
    if create == "works":
        theirs.write_text("ciliumwg-control-plane\n")
    assert "there is a kind cluster ciliumwg already, and this package has not made it" in refused(stubbed)
    assert theirs.exists()
    assert not begins(stubbed, "kind delete")
    theirs.unlink()
    assert not stubbed.left_behind()


@pytest.mark.parametrize(
    ("create", "sentence"),
    [
        ("port", "could not create the cluster ciliumwg: a port that it needs is taken by another program"),
        ("disk", "could not create the cluster ciliumwg: the disk is full (no space left on device): free some"),
        ("half", "could not create the cluster ciliumwg: failed to create cluster: failed to init node with kubeadm"),
    ],
)
def test_a_create_that_fails(stubbed: Machine, create: str, sentence: str, tmp_path: Path) -> None:
    stubbed.scenario(create=create)
    said = refused(stubbed, report=tmp_path / "report")
    assert sentence in said
    assert f"its logs are in {tmp_path}/report/kind-ciliumwg" in said
    assert "Creating cluster" in tmp_path.joinpath("report/kind-ciliumwg/create.log").read_text()
    assert DELETE in stubbed.commands()
    assert not stubbed.left_behind()


def test_a_create_that_takes_too_long(stubbed: Machine) -> None:
    stubbed.scenario(create="hangs")
    assert "it was not done after 3 s, see --ciliumwg-timeout; give --ciliumwg-report" in refused(stubbed, timeout=3.0)
    assert DELETE in stubbed.commands()
    assert not stubbed.left_behind()


NEVER = "Container image is not present with pull policy of Never"
NO_NETWORK = "failed to pull and unpack image: dial tcp: lookup registry.example: Temporary failure in name resolution"


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (("ErrImageNeverPull", NEVER), f"ErrImageNeverPull ({NEVER}); load it with --ciliumwg-load-image"),
        (("ImagePullBackOff", "manifest unknown"), "ImagePullBackOff (manifest unknown); load it"),
        (("ErrImagePull", NO_NETWORK), f"ErrImagePull ({NO_NETWORK}); load it with --ciliumwg-load-image"),
    ],
)
def test_a_node_that_has_not_the_image(
    stubbed: Machine, image: tuple[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_state, "_PULLING_SECONDS", 0.5)
    stubbed.scenario(image=image)
    began = time.monotonic()
    said = refused(stubbed)
    assert time.monotonic() - began < PATIENCE
    assert "cilium-ciliumwg-control-plane on ciliumwg-control-plane is not ready: the node has not the image" in said
    assert f"the image registry.example/cilium/cilium:v1.2.3: {sentence}" in said
    told = [line for line in stubbed.said if line.startswith("kind: waiting for Cilium: cilium-cil")]
    assert any(image[0] in line for line in told) == (image[0] == "ErrImagePull"), "who waits says for what"
    assert not stubbed.left_behind()


def test_an_image_that_comes_in_the_end(stubbed: Machine) -> None:
    stubbed.scenario(image=("ErrImagePull", NO_NETWORK), image_passes=True, early_looks=3)
    stubbed.create().close()
    assert not stubbed.left_behind()


def test_helm_that_fails(stubbed: Machine, tmp_path: Path) -> None:
    stubbed.scenario(install="fails")
    said = refused(stubbed, report=tmp_path / "report")
    assert 'cannot install Cilium with Helm: chart "cilium" matching 9.9.9 not found' in said
    saved = {path.name for path in tmp_path.joinpath("report/kind-ciliumwg").iterdir()}
    assert {"kind.json", "values.json", "create.log", "logs", "pods.txt", "cilium-status-ciliumwg-worker.txt"} <= saved
    assert not stubbed.left_behind()


@pytest.mark.parametrize(
    ("scenario", "sentence"),
    [
        (
            {"early_looks": 9999},
            "Cilium is not ready after 0.4 s: the agent on ciliumwg-control-plane is not ready (Pod",
        ),
        (
            {"missing_peers": 1},
            "is not ready after 0.4 s: encryption is not established: ciliumwg-control-plane has 1 of 2",
        ),
        (
            {"agents": "crash"},
            "Cilium does not start: the agent on ciliumwg-control-plane is not ready (CrashLoopBackOff",
        ),
        ({"api": "silent"}, "the API server does not answer: Unable to connect to the server: x509"),
    ],
)
def test_cilium_that_does_not_get_ready(
    stubbed: Machine, scenario: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_ciliumwg.providers.kind.cluster_state._CRASHING_SECONDS", 0.2)
    stubbed.scenario(**scenario)
    # kind and helm have their time; only the wait is short.
    from pytest_ciliumwg.providers.kind import cluster
    from pytest_ciliumwg.providers.kind.cluster_state import await_cilium

    monkeypatch.setattr(
        cluster, "await_cilium", lambda kubectl, spec, say: await_cilium(kubectl, KindSpec(timeout=0.4, poll=0.1), say)
    )
    said = refused(stubbed)
    assert sentence in said
    if "agents" in scenario:
        assert "operation not supported" in said
    assert not stubbed.left_behind()


def test_agents_that_cannot_be_placed_end_the_cluster(stubbed: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(spec: object, progress: object) -> None:
        raise ProviderError("the image cannot be pulled")

    monkeypatch.setattr("pytest_ciliumwg.providers.kind.cluster.connect_existing", refuse)
    assert refused(stubbed).startswith("the image cannot be pulled; give --ciliumwg-report=DIR")
    assert not stubbed.left_behind()


def test_a_cluster_that_cannot_be_removed_is_told(stubbed: Machine) -> None:
    provider = stubbed.create()
    stubbed.scenario(delete="fails")
    with pytest.raises(ProviderError, match="remove it with `kind delete cluster --name ciliumwg`"):
        provider.close()


SCRIPT = """
import sys
from pytest_ciliumwg.providers.existing import ExistingSpec
from pytest_ciliumwg.providers.charts import Charts
from pytest_ciliumwg.providers.kind import KindSpec, create_kind
create_kind(KindSpec(), ExistingSpec(), print)
"""


def hanging(machine: Machine) -> subprocess.Popen[bytes]:
    """A run in the middle of creating its cluster and of fetching its chart."""
    machine.scenario(create="hangs", pull="hangs")
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not machine.folder.joinpath("hanging").exists():
        assert process.poll() is None
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_during_create(stubbed: Machine, number: signal.Signals) -> None:
    process = hanging(stubbed)
    process.send_signal(number)
    assert process.wait(20) != 0
    assert DELETE in stubbed.commands()
    assert not stubbed.left_behind()


def test_a_run_that_was_killed_during_create_is_cleaned_up_by_the_next(stubbed: Machine) -> None:
    process = hanging(stubbed)
    group = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.kill()
    process.wait()
    for child in group:
        os.killpg(child, signal.SIGKILL)
    assert list(stubbed.clusters()) == ["ciliumwg"]
    stubbed.scenario()
    assert refused(stubbed) == ("a run that was killed left the cluster ciliumwg: remove it with --ciliumwg-cleanup")
    stubbed.create(cleanup=True).close()
    assert not stubbed.left_behind()


def test_a_cluster_that_is_perhaps_not_ours_any_more_is_not_removed(stubbed: Machine) -> None:
    kept = stubbed.create()
    kept.keep()
    kept.close()
    stubbed.scenario(api="silent")
    assert "may be somebody else's: look, and remove it with" in refused(stubbed, cleanup=True)
    assert "the kept cluster ciliumwg does not answer" in refused(stubbed)
    assert list(stubbed.clusters()) == ["ciliumwg"]


def test_a_state_folder_that_cannot_be_written(stubbed: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    assert "set XDG_STATE_HOME to a folder" in refused(stubbed)
    assert not home().exists()
