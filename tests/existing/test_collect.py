"""`pytest-ciliumwg collect` reads a cluster, leaves nothing in it, and its archive says what the cluster said."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from pytest_ciliumwg.cli import main
from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.offline.collect import Collected, collect, write_archive
from tests.apidouble import ApiDouble
from tests.apidouble.recorded import NODE
from tests.existing.conftest import MakeDouble, spec_for
from tests.offline.conftest import opened


def archived(double: ApiDouble, tmp_path: Path, *nodes: str) -> tuple[Collected, Path]:
    collected = collect(spec_for(double, tmp_path), nodes, lambda _: None)
    write_archive(collected, path := tmp_path / "collected.tar.gz")
    return collected, path


@pytest.mark.parametrize("state", ["v1.13/dual", "v1.15/vxlan"])
def test_what_was_collected_is_read_as_the_cluster_is(recorded: MakeDouble, tmp_path: Path, state: str) -> None:
    double = recorded(state)
    collected, path = archived(double, tmp_path)
    assert not collected.problems
    assert double.ours() == []
    cluster = opened(path)
    assert cluster.problems == ()
    assert len(cluster.nodes()) == 3
    assert all(node.public_key for node in cluster.nodes())
    assert cluster.actual_config().routing_mode == ("vxlan" if "vxlan" in state else "native")
    seen = cluster.state(NODE)
    assert set(seen.unread) == {"fwmark"}
    assert {peer.public_key for peer in seen.peers} == {n.public_key for n in cluster.nodes() if n.name != NODE}
    assert seen.rp_filter == 0
    assert any(rule.table == "201" for rule in seen.rules) is ("1.13" in state)


def test_a_fault_is_in_the_archive_as_it_is_in_the_cluster(lab_double: MakeDouble, tmp_path: Path) -> None:
    double = lab_double("1.20", ["redirect-removed@lab-worker"], nodes=2)
    collected, path = archived(double, tmp_path)
    assert not collected.problems
    states = opened(path).reading().states
    assert {name for name, state in states.items() if not state.redirects} == {"lab-worker"}
    assert all(state.peers and not state.unread for state in states.values())


def test_the_archive_has_checksums_and_only_what_is_read(recorded: MakeDouble, tmp_path: Path) -> None:
    _, path = archived(recorded("v1.15/on"), tmp_path, NODE)
    with tarfile.open(path) as archive:
        files = {entry.name.partition("/")[2]: archive.extractfile(entry) or io.BytesIO() for entry in archive}
        contents = {name: file.read() for name, file in files.items()}
    rows = (line.split("  ") for line in contents.pop("SHA256SUMS").decode().splitlines())
    sums = {name: digest for digest, name in rows}
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    of_nodes = {name for name in contents if name.startswith("nodes/")}
    assert of_nodes == {f"nodes/{NODE}/observed.txt", f"nodes/{NODE}/version.txt"}
    assert all(word not in content for content in contents.values() for word in (b"managedFields", b"subsystem"))


def test_mistakes_are_one_sentence(recorded: MakeDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    double = recorded("v1.15/on")
    with pytest.raises(ProviderError, match=r"there is no CiliumNode rig-9: there are rig-control-plane, rig-worker"):
        collect(spec_for(double, tmp_path), ["rig-9"], lambda _: None)
    config = f"--kubeconfig={double.kubeconfig(tmp_path / 'kubeconfig')}"
    assert main(["collect", config, f"--output={tmp_path}/dump.zip"]) == 2
    assert "the archive is a tar.gz" in capsys.readouterr().err
    assert main(["collect", config, f"--node={NODE}", f"--output={tmp_path}/dump.tar.gz"]) == 0
    assert f"--ciliumwg-input={tmp_path}/dump.tar.gz" in capsys.readouterr().out
