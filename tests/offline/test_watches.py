"""Whose captures are, and what they show of pods: also of wrong, foreign and strange ones, a sentence for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_ciliumwg.agent.capture.frames import header_sum
from pytest_ciliumwg.model.watch import MessageKind
from pytest_ciliumwg.providers.offline import OfflineCluster
from pytest_ciliumwg.verdict.captured import apart, captured_in_words, captured_pairs
from pytest_ciliumwg.verdict.judge import Judge
from pytest_ciliumwg.verdict.other_pods import in_clear
from tests.offline.conftest import HEALTHY, opened
from tests.offline.frames import echo, ethernet, ip, pcap, pcapng, udp, vlan, vxlan, wireguard

POD_A, POD_B = "10.0.0.225", "10.0.2.59"
WORKER, WORKER2, CONTROL = "172.18.0.3", "172.18.0.4", "172.18.0.2"
MACS = {ip: bytes.fromhex(f"0242ac12000{ip[-1]}") for ip in (WORKER, WORKER2, CONTROL)}
AT = 1795730100.0
"""While the pods of the recording were there."""

With = Callable[..., OfflineCluster]


def between(packet: bytes, source: str = WORKER, destination: str = WORKER2) -> bytes:
    """A frame from one node to another."""
    return ethernet(packet, MACS[source], MACS[destination])


ENCRYPTED = [between(wireguard(WORKER, WORKER2)), between(wireguard(WORKER2, WORKER), WORKER2, WORKER)]
CLEAR = between(echo(POD_A, POD_B))


@pytest.fixture
def with_captures(tmp_path: Path) -> With:
    """The healthy sysdump with captures, by file name."""

    def make(files: dict[str, bytes]) -> OfflineCluster:
        folder = tmp_path / "captures"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return opened(HEALTHY, folder)

    return make


def captures(frames: Sequence[bytes], at: float = AT) -> bytes:
    return pcap(frames, at=at)


def judge(cluster: OfflineCluster) -> Judge:
    return Judge(cluster.captured(), cluster.nodes())


def pods_in_clear(cluster: OfflineCluster) -> dict[tuple[str, str], int]:
    return {(pods.source.key, pods.destination.key): pods.frames for pods in in_clear(cluster.captured())}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rig-worker.eth0.pcap", ""),
        ("2026-11-26_rig-worker_eth0.pcap", ""),
        ("rig-worker.pcap", ""),
        ("customer.pcap", "is from rig-worker eth0, as the addresses in it show"),
        ("rig-worker2.eth0.pcap", "its name says rig-worker2, but its frames are those of rig-worker"),
    ],
)
def test_whose_a_capture_is(with_captures: With, name: str, told: str) -> None:
    others = [between(echo(WORKER, CONTROL), WORKER, CONTROL)] * 3
    cluster = with_captures({name: captures([CLEAR, *ENCRYPTED, *others])})
    assert [node for node, watch in cluster.captured().watches.items() if watch.devices] == ["rig-worker"]
    assert not cluster.problems
    assert [untold.partition(":")[0] for untold in cluster.untold] == [
        "1 captures do not tell whether frames were dropped"
    ]
    assert [line for line in cluster.description if f"the capture {name}:" in line] == (
        [f"the capture {name}: {told}"] if told else []
    )
    assert pods_in_clear(cluster) == {("default/pod-a", "default/pod-b"): 1}


def test_a_small_file_says_whose_captures_are(with_captures: With) -> None:
    said = b"x1.pcap: {node: rig-worker, device: eth0}\nx2.pcap: {node: rig-worker2, device: cilium_wg0}\n"
    cluster = with_captures(
        {"captures.yaml": said, "x1.pcap": captures(ENCRYPTED), "x2.pcap": captures([between(echo(POD_A, POD_B))])}
    )
    (problem,) = cluster.problems
    assert problem == (
        "the capture x2.pcap shows the inside of the tunnel (rig-worker2 cilium_wg0), "
        "and says nothing of what passes between the nodes"
    )
    assert not pods_in_clear(cluster)


FOREIGN = "holds no frame of any node or pod of this cluster, so it is another cluster's, or was taken at another time"
ANY = (
    "is of the device `any` in the old format, which does not tell what passed where: capture each native device by "
    "itself, or with `tcpdump -i any -y LINUX_SLL2`"
)
ALIKE = (
    "has no frame with an Ethernet address of rig-worker, though its name says so: it is another cluster's with the "
    "same addresses, or of another network or device"
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"GIF89a", "is no capture: it begins neither as pcap nor as pcapng does"),
        (captures(ENCRYPTED)[:-9], "ends within a frame, so it was cut off: what is in front of that was read"),
        (captures([ethernet(echo("192.168.7.1", "192.168.7.2"))]), FOREIGN),
        (captures(ENCRYPTED).replace(b"\xff\xff\0\0\1\0\0\0", b"\xff\xff\0\0\x71\0\0\0", 1), ANY),
        (captures([ethernet(wireguard(WORKER, WORKER2))]), ALIKE),
    ],
    ids=["no capture", "cut off", "foreign", "any", "the same addresses"],
)
def test_a_capture_that_is_wrong_is_told_and_the_others_judged(
    with_captures: With, content: bytes, problem: str
) -> None:
    cluster = with_captures({"rig-worker.eth0.pcap": content, "rig-worker2.eth0.pcap": captures([*ENCRYPTED, CLEAR])})
    assert cluster.problems == (f"the capture rig-worker.eth0.pcap {problem}",)
    assert pods_in_clear(cluster) == {("default/pod-a", "default/pod-b"): 1}


@pytest.mark.parametrize(
    ("frame", "tunnel"),
    [
        (vlan(vlan(CLEAR, 7), 8), ""),
        (between(vxlan((WORKER, WORKER2), echo(POD_A, POD_B))), "vxlan"),
        (between(vxlan((WORKER, WORKER2), vxlan(("192.0.2.1", "192.0.2.2"), echo(POD_A, POD_B)))), "vxlan"),
    ],
)
def test_cleartext_at_any_depth(with_captures: With, frame: bytes, tunnel: str) -> None:
    cluster = with_captures({"rig-worker.eth0.pcap": captures([frame] * 5)})
    (pods,) = in_clear(cluster.captured())
    (_, seen) = pods.seen[0]
    assert (pods.frames, seen.tunnel, seen.outgoing) == (5, tunnel, True)


def summed(packet: bytes) -> bytes:
    """An IPv4 packet with the checksum of its header."""
    return packet[:10] + (~header_sum(packet, 0, 20) & 0xFFFF).to_bytes(2, "big") + packet[12:]


INNER = summed(echo(POD_A, POD_B))


def around(packet: bytes, kind: int) -> bytes:
    """A frame of another type from one node to another."""
    return ethernet(packet, MACS[WORKER], MACS[WORKER2], kind)


HIDDEN = {
    "VLAN tag of another type": around(b"\0\5\x08\0" + INNER, 0x9200),
    "MPLS": around(bytes([0, 1, 0, 64, 0, 2, 1, 64]) + INNER, 0x8847),
    "PPPoE": around(bytes([0x11, 0, 0, 1]) + (len(INNER) + 2).to_bytes(2, "big") + b"\0\x21" + INNER, 0x8864),
    "SNAP": around(b"\xaa\xaa\3\0\0\0\x08\0" + INNER, len(INNER) + 8),
    "ERSPAN": between(ip(WORKER, WORKER2, 47, b"\x10\0\x88\xbe" + bytes(12) + ethernet(INNER))),
    "MPLS in GRE": between(ip(WORKER, WORKER2, 47, b"\0\0\x88\x47\0\1\1\x40" + INNER)),
    "VXLAN-GPE": between(ip(WORKER, WORKER2, 17, udp(4000, 4790, b"\x0c\0\0\1\0\0\7\0" + INNER))),
    "FOU": between(ip(WORKER, WORKER2, 17, udp(4000, 5555, INNER))),
    "GUE": between(ip(WORKER, WORKER2, 17, udp(4000, 6080, b"\0\4\0\0" + INNER))),
    "AH": between(ip(WORKER, WORKER2, 51, bytes([4, 4, 0, 0]) + bytes(20) + INNER)),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_cleartext_behind_headers_that_are_not_read(with_captures: With, how: str) -> None:
    others = [HIDDEN[how].replace(INNER, summed(echo(f"192.0.2.{last}", POD_B))) for last in range(9)]
    cluster = with_captures({"rig-worker.eth0.pcap": captures([*others, *ENCRYPTED, HIDDEN[how]])})
    (pods,) = in_clear(cluster.captured())
    (_, seen) = pods.seen[0]
    assert (seen.frames, seen.tunnel) == (1, "an unknown header")


def test_a_header_that_is_quoted_is_no_packet(with_captures: With) -> None:
    unreachable = ip(WORKER2, WORKER, 1, bytes([3, 1, 0, 0, 0, 0, 0, 0]) + INNER[:28])
    sampled = ip(WORKER, "192.0.2.1", 17, udp(4000, 6343, bytes(64) + INNER))
    text = ip(WORKER, WORKER2, 6, bytes(20) + INNER)
    frames = [between(unreachable, WORKER2, WORKER), between(sampled), between(text)]
    cluster = with_captures({"rig-worker.eth0.pcap": captures([*frames, *ENCRYPTED])})
    assert not pods_in_clear(cluster)


def test_cleartext_on_wireguard_s_port(with_captures: With) -> None:
    leak = between(ip(POD_A, POD_B, 17, udp(51871, 53, bytes(40))))
    cluster = with_captures({"rig-worker.eth0.pcap": captures([leak, *ENCRYPTED])})
    assert pods_in_clear(cluster) == {("default/pod-a", "default/pod-b"): 1}


def test_what_has_wireguard_s_port_as_its_source_by_chance_is_no_message_of_its_own(with_captures: With) -> None:
    overlay = ethernet(echo("192.0.2.1", "192.0.2.2"))
    frames = [between(ip(WORKER, WORKER2, 17, udp(51871, 8472, bytes([8, 0, 0, 0, 0, 0, 7, 0]) + overlay)))]
    cluster = with_captures({"rig-worker.eth0.pcap": captures([*frames, *ENCRYPTED])})
    report = judge(cluster).devices["rig-worker"]["eth0"]
    assert {message.kind for message in report.wireguard} == {MessageKind.DATA}


def test_what_is_clear_by_design_is_no_leak_and_who_is_not_known_is_told(with_captures: With) -> None:
    health = str(
        next(ip for node in opened(HEALTHY).nodes() if node.name == "rig-worker2" for ip in node.cilium_addresses)
    )
    frames = [between(echo(WORKER, POD_B)), between(echo(POD_A, WORKER2)), between(echo(POD_A, health))]
    cluster = with_captures({"rig-worker.eth0.pcap": captures([*frames, between(echo("10.0.0.9", POD_B))])})
    assert not pods_in_clear(cluster)
    (problem,) = cluster.problems
    assert problem.startswith(f"1 frames 10.0.0.9 → {POD_B} in cleartext in the captures of rig-worker")
    assert captured_in_words(judge(cluster)).endswith("none in cleartext, with 1 frames of which it is not known")


def test_an_address_is_a_pod_s_only_since_it_is_there(with_captures: With) -> None:
    cluster = with_captures({"rig-worker.eth0.pcap": captures([CLEAR], at=AT - 86400)})
    assert not pods_in_clear(cluster)
    (problem,) = cluster.problems
    assert "which pods these were the input does not tell" in problem


def test_pairs_handshakes_and_drops(with_captures: With) -> None:
    lonely = [between(wireguard(WORKER, CONTROL, kind=1, size=148), WORKER, CONTROL)] * 3
    file = pcapng([*ENCRYPTED, *lonely], at=AT, drops=4)
    cluster = with_captures({"rig-worker.eth0.pcapng": file})
    judged = judge(cluster)
    report = judged.devices["rig-worker"]["eth0"]
    assert (report.frames, report.drops) == (5, 4)
    assert {message.kind for message in report.wireguard} == {MessageKind.DATA, MessageKind.INITIATION}
    pairs = {(pair.source, pair.destination): pair for pair in captured_pairs(judged)}
    assert pairs["rig-worker", "rig-worker2"].messages == pairs["rig-worker2", "rig-worker"].messages == 1
    asked = pairs["rig-worker", "rig-control-plane"]
    assert (asked.initiations, asked.responses, asked.in_session) == (3, 0, False)
    assert captured_in_words(judged) == (
        "2 of 6 pairs seen encrypted, none in cleartext, with 4 frames of which it is not known"
    )


def test_devices_that_carried_nothing_and_clocks_that_differ(with_captures: With) -> None:
    cluster = with_captures(
        {
            "rig-control-plane.eth0.pcap": captures([]),
            "rig-worker.eth0.pcap": captures(ENCRYPTED),
            "rig-worker2.eth0.pcap": captures(ENCRYPTED, at=AT + 3600),
        }
    )
    watches = cluster.captured().watches
    assert watches["rig-control-plane"].errors == (
        "the capture of rig-control-plane's eth0 holds no frame, so it may have heard nothing at all",
    )
    assert "3600 s later: they were taken one after the other, or the nodes' clocks differ" in apart(watches)


def test_frames_cut_before_their_headers_are_counted(with_captures: With) -> None:
    cluster = with_captures({"rig-worker.eth0.pcap": captures([CLEAR[:30], CLEAR])})
    assert judge(cluster).devices["rig-worker"]["eth0"].truncated == 1
