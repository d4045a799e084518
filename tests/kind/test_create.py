"""A kind cluster that works: what is run, what is written, what is left."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.expect.helm import default_node_image_for, oldest_kind
from pytest_ciliumwg.providers.charts import Charts
from pytest_ciliumwg.providers.existing import ExistingSpec
from pytest_ciliumwg.providers.kind import KindSpec, create_kind

from .charts_made import chart_archive
from .conftest import Machine

EXPECTED = Path(__file__).with_name("expected")
VERSIONS = ("1.10", "1.13", "1.15", "1.18", "1.20.3")
ROUTINGS = ("native", "vxlan", "geneve")


def made(machine: Machine) -> dict[str, Any]:
    """What was run and rendered, in a form to review."""
    journal = machine.journal()
    (config,) = [call["--config"][0] for call in journal if call["--config"]]
    (values,) = [call["--values"][0] for call in journal if call["program"] == "helm" and call["--values"]]
    commands = [line for line in machine.commands() if not line.startswith("kubectl")]
    # The chart is fetched while kind is at it, so its place among the commands is not certain.
    (fetched,) = [line for line in commands if line.startswith("helm pull")]
    commands.remove(fetched)
    return {"commands": commands, "fetched": fetched, "kind": config, "values": values}


def reviewed(version: str, routing: str) -> Any:
    # After a change that is meant: write what is shown as the difference into the file, and review it.
    return json.loads(EXPECTED.joinpath(f"{version}-{routing}.json").read_text("utf-8"))


@pytest.mark.thorough(but=("native-1.15", "vxlan-1.20.3"))
@pytest.mark.parametrize(
    ("routing", "version"),
    [("vxlan", "1.10"), ("geneve", "1.13"), ("native", "1.15"), ("native", "1.18"), ("vxlan", "1.20.3")],
)
def test_commands_and_rendered_files_are_those_reviewed(stubbed: Machine, version: str, routing: Any) -> None:
    stubbed.create(cilium_version=version, routing_mode=routing).close()
    assert made(stubbed) == reviewed(version, routing)
    assert not stubbed.left_behind()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("routing", ROUTINGS)
def test_the_files_of_every_routing_are_those_reviewed(version: str, routing: Any) -> None:
    spec = KindSpec(cilium_version=version, routing_mode=routing)
    spec.check()
    expected = reviewed(version, routing)
    assert (spec.kind_config(), spec.values()) == (expected["kind"], expected["values"])
    # What is run is the same for every routing.
    assert expected["commands"] == reviewed(version, "native")["commands"]


def test_every_option_reaches_kind_and_helm(stubbed: Machine, tmp_path: Path) -> None:
    stubbed.scenario(images=["local/agent:1", "local/cilium:2"])
    mine, archive, chart = tmp_path / "mine.json", tmp_path / "images.tar", tmp_path / "cilium-1.15.3.tgz"
    mine.write_text('{"debug": {"enabled": true}}')
    archive.touch()
    chart_archive(chart, "1.15.3")
    stubbed.create(
        name="other",
        nodes=5,
        cilium_version="1.15.3",
        routing_mode="vxlan",
        kube_proxy="none",
        node_encryption=True,
        strict_egress=True,
        userspace_fallback=True,
        node_image="kindest/node:v1.28.0",
        charts=Charts({"": str(chart)}),
        helm_sets=("bpf.masquerade=true", "extraArgs={a,b}"),
        helm_values=(mine,),
        load_images=(str(archive), "local/agent:1", "local/cilium:2"),
    ).close()
    (create,) = [call for call in stubbed.journal() if call["argv"][:2] == ["create", "cluster"]]
    assert "ciliumwg-kind-" in create["folder"], "pytest-kind's own folder must not be in the user's"
    config = create["--config"][0]
    assert config["networking"]["kubeProxyMode"] == "none"
    assert [node["role"] for node in config["nodes"]] == ["control-plane", *["worker"] * 4]
    assert {node["image"] for node in config["nodes"]} == {"kindest/node:v1.28.0"}
    (install,) = [call for call in stubbed.journal() if call["argv"][:2] == ["upgrade", "--install"]]
    assert install["argv"][2:4] == ["cilium", str(chart)]
    assert install["argv"][-4:] == ["--set", "bpf.masquerade=true", "--set", "extraArgs={a,b}"]
    values, own = install["--values"]
    assert own == {"debug": {"enabled": True}}
    assert values["encryption"] == {
        "enabled": True,
        "type": "wireguard",
        "nodeEncryption": True,
        "wireguard": {"userspaceFallback": True},
        "strictMode": {"enabled": True, "cidr": "10.244.0.0/16", "allowRemoteNodeIdentities": True},
    }
    assert (values["k8sServiceHost"], values["k8sServicePort"]) == ("other-control-plane", 6443)
    assert values["kubeProxyReplacement"] == "true"
    assert values["image"] == {"useDigest": False}
    loads = [line for line in stubbed.commands() if line.startswith("kind load")]
    assert loads == [
        "kind load docker-image local/agent:1 local/cilium:2 --name other",
        f"kind load image-archive {archive} --name other",
    ]


def test_agents_go_into_the_new_cluster_and_what_it_waited_for_was_shown(stubbed: Machine) -> None:
    stubbed.scenario(early_looks=2)
    provider = stubbed.create()
    ((spec, agents),) = stubbed.agents
    assert spec.kubeconfig is not None
    assert "server" in spec.kubeconfig.read_text()
    assert any(
        "waiting for Cilium: the agent on ciliumwg-control-plane is not ready (Pod" in line for line in stubbed.said
    )
    assert stubbed.said[-2] == "kind: Cilium runs on 3 nodes"
    took = r"ready after \d+ s: creating the nodes \d+ s, installing Cilium \d+ s, waiting for Cilium \d+ s"
    assert re.fullmatch(f"kind: {took}", stubbed.said[-1])
    assert re.fullmatch(took, provider.description[1])
    assert provider.provider == "kind"
    assert provider.description[0].startswith("a kind cluster ciliumwg: 3 nodes of kindest/node:v1.")
    provider.close()
    provider.close()
    assert agents.closed == 1
    assert stubbed.commands().count("kind delete cluster --name ciliumwg --kubeconfig STATE/ciliumwg/kubeconfig") == 1


def test_a_kept_cluster_is_used_again_and_removed_by_the_next_run(stubbed: Machine) -> None:
    kept = stubbed.create()
    assert "--ciliumwg-cleanup" in kept.keep()
    kept.close()
    assert list(stubbed.clusters()) == ["ciliumwg"]
    with pytest.raises(ProviderError, match="kept cluster ciliumwg was made with other options"):
        stubbed.create(routing_mode="vxlan")
    assert list(stubbed.clusters()) == ["ciliumwg"], "what is kept stays, whatever happens"
    stubbed.create().close()
    assert len([call for call in stubbed.journal() if call["argv"][:2] == ["create", "cluster"]]) == 1
    assert not stubbed.left_behind()


def test_images_are_loaded_into_a_kept_cluster_too(stubbed: Machine) -> None:
    kept = stubbed.create()
    kept.keep()
    kept.close()
    stubbed.scenario(images=["local/agent:1"])
    stubbed.create(load_images=("local/agent:1",)).close()
    assert "kind load docker-image local/agent:1 --name ciliumwg" in stubbed.commands()
    assert len([call for call in stubbed.journal() if call["argv"][:2] == ["create", "cluster"]]) == 1
    assert not stubbed.left_behind()


def test_the_steps_of_kind_are_shown_while_it_creates(stubbed: Machine) -> None:
    stubbed.scenario(create="slow")
    said = stubbed.said.append
    early: list[str] = []

    def tell(line: str) -> None:
        said(line)
        if not stubbed.folder.joinpath("created").exists():
            early.append(line)

    create_kind(KindSpec(poll=0.01, timeout=20.0), ExistingSpec(), tell).close()
    steps = [line for line in stubbed.said if line.startswith("kind: creating ciliumwg: ")]
    assert steps[0].startswith("kind: creating ciliumwg: Ensuring node image (kindest/node:")
    assert steps[-1] == "kind: creating ciliumwg: Joining worker nodes 🚜: done"
    assert steps[0] in early, "while kind was still at it"


def test_the_chart_is_fetched_while_kind_creates(stubbed: Machine) -> None:
    stubbed.scenario(create="slow")
    stubbed.create().close()
    created, fetched = (stubbed.folder.joinpath(name).stat().st_mtime for name in ("created", "fetched"))
    assert fetched < created
    (install,) = [line for line in stubbed.commands() if line.startswith("helm upgrade")]
    assert "cilium SCRATCH/cilium.tgz --namespace" in install
    assert not stubbed.left_behind()


def test_a_chart_that_cannot_be_fetched_is_left_to_helm(stubbed: Machine) -> None:
    stubbed.scenario(pull="fails")
    stubbed.create().close()
    (install,) = [line for line in stubbed.commands() if line.startswith("helm upgrade")]
    assert "cilium cilium --repo https://helm.cilium.io" in install


def test_a_kept_cluster_that_its_user_removed_is_made_anew(stubbed: Machine) -> None:
    kept = stubbed.create()
    kept.keep()
    kept.close()
    stubbed.folder.joinpath("clusters", "ciliumwg").unlink()
    stubbed.create(routing_mode="vxlan").close()
    assert not stubbed.left_behind()


def test_a_kept_cluster_is_removed_on_request(stubbed: Machine) -> None:
    kept = stubbed.create()
    kept.keep()
    kept.close()
    stubbed.create(name="next", cleanup=True).close()
    assert "kind: removing the cluster ciliumwg that an earlier run left" in stubbed.said
    assert not stubbed.left_behind()


def test_a_cluster_that_is_in_use_is_not_for_a_second_run(stubbed: Machine) -> None:
    first = stubbed.create()
    with pytest.raises(ProviderError, match="another run uses the cluster ciliumwg now"):
        stubbed.create(cleanup=True)
    assert list(stubbed.clusters()) == ["ciliumwg"]
    first.close()
    assert not stubbed.left_behind()


def test_encryption_that_is_off_is_handed_over_for_the_suite_to_tell(stubbed: Machine) -> None:
    stubbed.scenario(mode="Disabled")
    stubbed.create(helm_sets=("encryption.enabled=false",)).close()
    assert len(stubbed.agents) == 1


def test_the_defaults_go_together() -> None:
    spec = KindSpec()
    spec.check()
    assert spec.image == default_node_image_for([DEFAULT_VERSION])
    assert "@sha256:" in spec.image
    assert oldest_kind(spec.image) == "0.27.0"


def test_the_plugin_of_pytest_kind_can_be_left_out() -> None:
    """`-p no:pytest-kind` keeps it from being imported at each start of pytest; the cluster is made all the same."""
    assert "pytest_kind.plugin" in [point.value for point in entry_points(group="pytest11", name="pytest-kind")]
    test = f"{Path(__file__).resolve()}::{test_commands_and_rendered_files_are_those_reviewed.__name__}[native-1.18]"
    options = ["-p", "no:pytest-kind", "-p", "no:cacheprovider", "--trace-config"]
    command = [sys.executable, "-m", "pytest", *options, test]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert "pytest_ciliumwg" in done.stdout
    assert "pytest_kind" not in done.stdout.partition("1 passed")[0].replace("pytest-kind", "")
