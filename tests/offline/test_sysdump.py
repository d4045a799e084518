"""Real sysdumps: read as a live cluster is; what is not in one makes exactly that unknown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from tests.offline.conftest import DETACHED, HEALTHY, Changed, opened

WORKER = "cilium-bugtool-cilium-jtwnp"
NOT_IN_A_SYSDUMP = {"fwmark", "rp_filter"}


def test_a_sysdump_is_read_as_a_live_cluster_is() -> None:
    cluster = opened(HEALTHY)
    assert cluster.problems == ()
    config = cluster.actual_config()
    assert (config.version, config.encryption, config.routing_mode) == ("1.21.0-dev", True, "native")
    assert config.families == frozenset({IPFamily.V4})
    reading = cluster.reading()
    assert [node.name for node in reading.nodes] == ["rig-control-plane", "rig-worker", "rig-worker2"]
    assert {pod.key: pod.node for pod in reading.pods} == {
        "default/pod-a": "rig-worker",
        "default/pod-b": "rig-worker2",
    }
    for node in reading.nodes:
        state = reading.states[node.name]
        assert set(state.unread) == NOT_IN_A_SYSDUMP
        assert state.link is not None
        assert (state.link.kind, state.link.mtu) == ("tun", 1405)
        assert state.wireguard is not None
        assert (state.wireguard.public_key, state.wireguard.listen_port) == (node.public_key, 51871)
        assert {peer.public_key for peer in state.peers} == {n.public_key for n in reading.nodes if n is not node}
        assert [rule.table for rule in state.rules] == ["local", "main", "default"]
        assert [link.name for link in state.native_devices] == ["eth0"]
        assert {(redirect.device, redirect.direction) for redirect in state.redirects} == {("eth0", "egress")}
        assert state.selected == ("eth0",)
        assert {str(route.destination) for route in state.routes} > {"0.0.0.0/0", "172.18.0.0/16"}


def test_the_program_that_is_gone_is_missing_on_its_node_alone() -> None:
    states = opened(DETACHED).reading().states
    assert [name for name, state in states.items() if not state.redirects] == ["rig-worker"]


@pytest.mark.parametrize(
    ("file", "unknown"),
    [
        ("ip-a.md", {"link", "native_devices"}),
        ("ip--d--s--s-l.md", {"link", "native_devices"}),
        ("ip--d-rule.md", {"rules"}),
        ("ip--4-r.md", {"routes", "native_devices"}),
        ("ip--4-route-show-.md", {"routes", "other_routes", "native_devices"}),
        ("bpftool-net-show.md", {"redirects"}),
        ("cilium-debuginfo-20261126-215249.142+0000-UTC.json", {"wireguard", "peers", "selected"}),
        ("cilium-dbg-node-list--o-json.md", set()),
    ],
)
def test_a_file_that_is_missing_or_cut_off_makes_exactly_its_fields_unknown(
    changed: Changed, file: str, unknown: set[str]
) -> None:
    def without(name: str, content: bytes) -> Iterable[tuple[str, bytes]]:
        return [] if WORKER in name and name.endswith(f"/{file}") else [(name, content)]

    states = opened(changed(without)).reading().states
    assert set(states["rig-worker2"].unread) == NOT_IN_A_SYSDUMP
    unread = states["rig-worker"].unread
    assert set(unread) == NOT_IN_A_SYSDUMP | unknown
    for field in unknown:
        assert unread[field].endswith("of rig-worker: `pytest-ciliumwg collect --node rig-worker` reads it") or (
            field == "redirects" and "bpftool net show" in unread[field]
        )


def test_a_node_without_any_output_is_unknown(changed: Changed) -> None:
    path = changed(lambda name, content: [] if WORKER in name else [(name, content)])
    states = opened(path).reading().states
    assert "the input has nothing that was read on rig-worker" in states["rig-worker"].unread["link"]
    assert states["rig-worker2"].link is not None


@pytest.mark.parametrize(
    ("file", "missing"),
    [
        ("ciliumnodes-", "nodes"),
        ("ciliumendpoints-", ""),
        ("k8s-pods-", ""),
        ("k8s-nodes-", ""),
        ("cilium-configmap", ""),
    ],
)
def test_objects_that_are_missing_are_known_otherwise_or_said_to_be_missing(
    changed: Changed, file: str, missing: str
) -> None:
    cluster = opened(changed(lambda name, content: [] if f"/{file}" in name else [(name, content)]))
    assert len(cluster.nodes()) == 3
    assert {what for what in ("nodes", "pods") if cluster.missing(what)} == ({missing} - {""})
    assert cluster.actual_config().encryption
    assert {pod.key for pod in cluster.pods()} >= {"default/pod-a", "default/pod-b"}


def test_without_endpoints_and_pods_no_pod_is_known(changed: Changed) -> None:
    gone = ("/ciliumendpoints-", "/k8s-pods-")
    cluster = opened(changed(lambda name, content: [] if any(file in name for file in gone) else [(name, content)]))
    assert "has neither CiliumEndpoints nor pods" in cluster.missing("pods")


def test_an_empty_list_of_endpoints_is_no_proof_that_there_are_no_pods(changed: Changed) -> None:
    def emptied(name: str, content: bytes) -> Iterable[tuple[str, bytes]]:
        yield name, b"apiVersion: v1\nitems: []\n" if "/ciliumendpoints-" in name else content

    cluster = opened(changed(emptied))
    assert cluster.pods() == ()
    assert "knows of no pod with an address of its own" in cluster.missing("pods")


def test_without_any_configuration_nothing_is_made_up(changed: Changed) -> None:
    gone = ("/cilium-configmap", "debuginfo")
    cluster = opened(changed(lambda name, content: [] if any(file in name for file in gone) else [(name, content)]))
    with pytest.raises(ObservationError, match="the input has no agent's version"):
        cluster.actual_config()
    with pytest.raises(ProviderError, match="or say with --ciliumwg-cilium-version which one it was"):
        _ = cluster.declared


def test_different_versions_are_told(changed: Changed) -> None:
    def older(name: str, content: bytes) -> Iterable[tuple[str, bytes]]:
        of_worker = WORKER in name and "debuginfo" in name
        yield name, content.replace(b'"1.21.0-dev ', b'"1.20.3 ') if of_worker else content

    cluster = opened(changed(older))
    (problem,) = cluster.problems
    assert problem.startswith("the nodes ran different versions of Cilium (")
    assert "1.20.3 on 1 nodes" in problem
    assert cluster.node_configs()["rig-worker"].version == "1.20.3"


def test_two_sysdumps_are_not_mixed() -> None:
    assert len(opened(HEALTHY, HEALTHY).nodes()) == 3
    assert opened(HEALTHY, HEALTHY).problems == ()
    both = opened(HEALTHY, DETACHED)
    assert both.nodes() == opened(HEALTHY).nodes()
    assert both.reading().states["rig-worker"].redirects
    assert len([problem for problem in both.problems if "is of another time or cluster than another" in problem]) == 1
    assert len([problem for problem in both.problems if "is in it more than once" in problem]) == 3


def test_a_damaged_file_is_told_and_the_rest_judged(changed: Changed) -> None:
    def damaged(name: str, content: bytes) -> Iterable[tuple[str, bytes]]:
        yield name, b"items: [" + content[:99] if "/k8s-nodes-" in name else content

    cluster = opened(changed(damaged))
    (problem,) = cluster.problems
    assert problem.endswith("is cut off or damaged, and was left out")
    assert len(cluster.nodes()) == 3


def test_a_truncated_sysdump_is_judged_as_far_as_it_goes(tmp_path: Path) -> None:
    whole, path = HEALTHY.read_bytes(), tmp_path / "cilium-sysdump.zip"
    for size, unread in ((len(whole) - 3000, False), (len(whole) // 2, True)):
        path.write_bytes(whole[:size])
        cluster = opened(path)
        (problem,) = [problem for problem in cluster.problems if "damaged" in problem]
        assert problem.startswith("cilium-sysdump.zip is cut off or damaged (")
        assert len(cluster.nodes()) == 3
        states = cluster.reading().states.values()
        assert any(set(state.unread) - NOT_IN_A_SYSDUMP for state in states) is unread
    path.write_bytes(whole[:200])
    with pytest.raises(ProviderError, match=r"tells of 0 nodes.*cilium-sysdump.zip is cut off or damaged"):
        opened(path)


def test_what_is_no_record_is_refused_in_one_sentence(tmp_path: Path) -> None:
    other = tmp_path / "holiday.jpg"
    other.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ProviderError, match=r"holiday.jpg tells of 0 nodes.*neither a sysdump nor an archive"):
        opened(other)
