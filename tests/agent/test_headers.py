"""Captures of headers against the real kernel: cut, counted, bounded, and read by others."""

from __future__ import annotations

import base64
import gzip
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.agent.capture import headers
from pytest_ciliumwg.agent.capture.packet_headers import headers_end, packets
from pytest_ciliumwg.agent.service import Agent
from pytest_ciliumwg.providers.offline.captures.capture import Capture, Frames, Interface, Take
from pytest_ciliumwg.providers.offline.captures.files import read_capture
from tests.patience import PATIENCE

from . import frames_made as make
from .test_frames import UDP4
from .test_watch import send

pytestmark = pytest.mark.usefixtures("netns")
SECRET_CONTENT = b"nobody may read this"


def ask(agent: Agent, **request: Any) -> dict[str, Any]:
    reply: dict[str, Any] = agent.handle(json.dumps(request).encode())
    return reply


def begin(agent: Agent, seconds: float, *devices: str) -> dict[str, Any]:
    ring = {"block_size": 1 << 17, "blocks": 16}
    return ask(agent, op="headers-start", job="j", devices=devices, seconds=seconds, ring=ring)


def fetched(agent: Agent, device: str) -> bytes:
    reply = ask(agent, op="headers-await", job="j", wait=20)
    assert reply["done"]
    data = b""
    while len(data) < reply["sizes"][device]:
        data += base64.b64decode(ask(agent, op="headers-read", job="j", device=device, offset=len(data))["part"])
    return data


def read(data: bytes) -> tuple[Capture, list[bytes]]:
    frames: list[bytes] = []

    def taker(_: Interface) -> Take:
        def take(chunk: bytes, found: Frames) -> None:
            frames.extend(chunk[start : start + size] for start, size, _ in found)

        return take

    return read_capture("x.pcapng.gz", io.BytesIO(data), taker), frames


def test_headers_are_kept_and_nothing_behind_them(tmp_path: Path) -> None:
    captured = headers.Headers(["left", "right"], 3600, 1 << 17, 16)
    plain = UDP4 / make.Raw(b"kind" + SECRET_CONTENT)
    over_tcp = make.IP(src=make.A4, dst=make.B4) / make.TCP(options=[("MSS", 1400)]) / make.Raw(SECRET_CONTENT)
    tagged = make.Dot1Q(vlan=7) / make.IP(src=make.A4, dst=make.B4) / make.UDP() / make.Raw(SECRET_CONTENT * 20)
    send(plain, over_tcp, tagged)
    captured.until = 0.0
    assert captured.finished.wait(PATIENCE)
    assert not captured.problems
    data = captured.part("left", 0)
    assert len(data) == captured.sizes()["left"]
    capture, frames = read(data)
    assert not capture.problem
    (interface,) = capture.interfaces
    assert (interface.name, interface.drops, interface.received) == ("left", 0, 3)
    assert frames == [make.wire(plain)[:46], make.wire(over_tcp)[:58], make.wire(tagged)[:50]]
    assert SECRET_CONTENT not in gzip.decompress(data)
    assert read(captured.part("right", 0))[1] == frames
    tmp_path.joinpath("left.pcapng").write_bytes(gzip.decompress(data))
    shown = subprocess.run(
        ["tcpdump", "-n", "-e", "-r", tmp_path / "left.pcapng"], capture_output=True, text=True, check=True
    )
    assert "vlan 7" in shown.stdout
    assert f"length {len(make.wire(tagged))}" in shown.stdout, "the length on the wire"


INNER = make.IP(src=make.A4, dst=make.B4) / make.TCP() / make.Raw(SECRET_CONTENT)


@pytest.mark.parametrize(
    ("packet", "behind"),
    [
        (make.IP(src=make.NODE_A, dst=make.NODE_B) / make.UDP(dport=8472) / make.VXLAN() / make.ETHERNET / INNER, 0),
        (make.IP(src=make.NODE_A, dst=make.NODE_B) / INNER, 0),
        (make.IPv6(src=make.A6, dst=make.B6) / make.UDP(dport=53) / make.Raw(SECRET_CONTENT), 4),
        (make.IP(src=make.A4, dst=make.B4) / make.ICMP() / make.Raw(SECRET_CONTENT), 0),
        (make.IP(src=make.A4, dst=make.B4, frag=9, proto=6) / make.Raw(SECRET_CONTENT), 0),
    ],
    ids=["vxlan", "ipip", "udp-v6", "icmp", "fragment"],
)
def test_headers_end_in_front_of_the_content(packet: Any, behind: int) -> None:
    frame = make.wire(packet)
    end = headers_end(frame[: headers.SNAPLEN])
    assert end == frame.index(SECRET_CONTENT) + behind
    assert packets(frame[:end]) == packets(frame)
    assert all(headers_end(frame[:size]) >= 0 for size in range(len(frame))), "wherever it is cut off"


def test_a_capture_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent()
    monkeypatch.setattr(headers, "CHUNK", 50)
    assert "may last 3600 s at most" in begin(agent, 3601, "left")["error"]
    assert "No such device" in begin(agent, 1, "left", "nothing")["error"]
    monkeypatch.setattr(headers, "MOST_BYTES", -1)
    assert begin(agent, 3600, "left") == {"ok": True} == begin(agent, 3600, "left")
    send(UDP4 / make.payload(make.UDP_FLOW, 64))
    reply = ask(agent, op="headers-await", job="j", wait=20)
    assert "left: its capture ended early" in reply["problems"][0]
    capture, frames = read(fetched(agent, "left"))
    assert not capture.problem
    assert len(frames) == 1
