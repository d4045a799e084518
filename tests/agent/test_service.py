"""The agent as a process, and what it does with requests that make no sense."""

from __future__ import annotations

import io
import json
import random
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.agent import bundle
from pytest_ciliumwg.agent.caller import NO_AGENT, call, read_line
from pytest_ciliumwg.agent.jobs import FAILED, MALFORMED, NO_JOB, NO_REQUEST
from pytest_ciliumwg.agent.service import VERSION, Agent, serve
from tests.patience import PATIENCE

from . import frames_made as make

WATCH = {
    "op": "watch-start", "job": "w", "secret": make.SECRET.hex(), "devices": ["left"], "wireguard_port": 51871,
    "flows": [[3, "udp", make.A4, make.B4, 20003], [4, "icmp", make.A6, make.B6, 20004]],
    "exclusive": [make.A4, make.A6], "own": [make.A4, make.A6], "ring": {"block_size": 1 << 20, "blocks": 4},
    "inside": {"device": "cilium_wg0", "headers": True}, "pods": [], "pod_controls": [], "retire_ms": 100,
    "machines": [],
}  # fmt: skip


def ask(agent: Agent, **request: Any) -> dict[str, Any]:
    return agent.handle(json.dumps(request).encode())


@pytest.mark.usefixtures("netns")
def test_a_repeated_request_finds_the_job_that_it_began() -> None:
    agent = Agent()
    first = ask(agent, **WATCH)
    assert ask(agent, **WATCH) == first
    control = {"op": "control", "secret": make.SECRET.hex(), "number": 6, "devices": ["right"], "targets": [],
               "ways": [], "inside": "cilium_wg0", "pod_controls": []}  # fmt: skip
    assert ask(agent, **control) == {"ok": True, "problems": [], "unreached": []}
    deadline = 200
    while not ask(agent, op="watch-peek", job="w")["controls"] and deadline:
        deadline -= 1
    result = ask(agent, op="watch-stop", job="w")
    assert [row["flow"] for row in result["seen"]] == [6]
    assert ask(agent, op="watch-stop", job="w") == result


@pytest.mark.usefixtures("netns")
def test_a_flow_from_serve_to_collect() -> None:
    agent = Agent()
    flow = {"id": 1, "protocol": "udp", "source": "127.0.0.1", "destination": "127.0.0.1", "port": 20001,
            "reply": "00" * 16, "token": "11" * 16, "payload_size": 64, "count": 3, "interval": 0}  # fmt: skip
    assert ask(agent, op="serve", job="j", flows=[flow]) == {"ok": True, "errors": {}}
    for _ in range(2):
        assert ask(agent, op="send", job="j", flows=[flow], timeout=3)["ok"]
    reply = ask(agent, op="collect", job="j", wait=5)
    assert reply["done"]
    assert reply["flows"][0]["received"] == 3
    for _ in range(2):
        assert ask(agent, op="serve-stop", job="j")["flows"][0]["served"] == 3
    assert ask(agent, op="mtu", destinations=["127.0.0.1"])["mtus"] == {"127.0.0.1": 65535}


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"null", b"{}", b'{"op": 5}', b'{"op": []}', b"\xff\xfe", b'{"op": "rm -rf"}', b"9" * 5000],
)
def test_what_is_no_request_is_refused_with_the_accepted_ones(line: bytes) -> None:
    reply = Agent().handle(line)
    assert not reply["ok"]
    assert reply["code"] == NO_REQUEST
    assert "watch-start" in reply["error"]


@pytest.mark.usefixtures("netns")
def test_a_request_with_fields_of_any_kind_is_answered() -> None:
    dice = random.Random(5)  # noqa: S311
    values: list[Any] = [None, 1, -1, "x", [], {}, [[]], {"a": 1}, True, 1e308]
    bases: list[dict[str, Any]] = [WATCH, *({"op": op, "job": "nobody", "flows": [{}]} for op in Agent()._operations)]
    for _ in range(400):
        request = dict(dice.choice(bases))
        for key in list(request)[1:]:
            if dice.random() < 0.5:
                request[key] = dice.choice(values)
        reply = Agent().handle(json.dumps(request).encode())
        assert reply["ok"] or (reply["error"] and reply["code"] in (MALFORMED, NO_JOB, FAILED))


def test_a_missing_right_or_device_is_one_sentence() -> None:
    reply = ask(Agent(), **(WATCH | {"devices": ["nope0"]}))
    assert reply == {"ok": False, "code": FAILED, "error": "watch-start failed: [Errno 19] No such device"}


def test_the_archive_is_reproducible_and_runs_alone(tmp_path: Path) -> None:
    assert bundle() == bundle()
    archive, path = tmp_path / "agent.pyz", tmp_path / "agent.sock"
    archive.write_bytes(bundle())
    for python in pythons():
        exchange(python, archive, path)


def pythons() -> list[str]:
    """This Python, and every other one of this machine that starts."""
    found = [sys.executable, *(shutil.which(f"python3.{minor}") or "false" for minor in range(8, 15))]
    return [
        program for program in found if subprocess.run([program, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0
    ]


def exchange(python: str, archive: Path, path: Path) -> None:
    run = [python, "-ISW", "error", str(archive)]
    agent = subprocess.Popen([*run, "serve", "--socket", str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert agent.stdout is not None
        assert agent.stdout.readline() == "ready\n"
        asked = subprocess.run(
            [*run, "call", "--socket", str(path)], input=b'{"op":"hello"}\n', capture_output=True, check=True
        )
        assert json.loads(asked.stdout)["version"] == VERSION
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        agent.terminate()
        assert agent.wait(PATIENCE) == 0
        assert agent.stdout is not None
        agent.stdout.close()


def test_a_call_without_an_agent_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}\n")))
    assert call(str(tmp_path / "none.sock")) == NO_AGENT
    assert "no agent answers at" in capsys.readouterr().err


def test_serving_in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    path = tmp_path / "a.sock"
    threading.Thread(target=serve, args=(str(path),), daemon=True).start()
    while not path.exists() or path.stat().st_mode & 0o777 != 0o600:
        pass
    for request, fragment in ((b'{"op":"hello"}\n', b'"ok":true'), (b"half a line", b'"ok":false')):
        with socket.socket(socket.AF_UNIX) as sock:
            while sock.connect_ex(str(path)):
                pass
            sock.sendall(request[:5])
            sock.sendall(request[5:])
            sock.shutdown(socket.SHUT_WR)
            assert fragment in read_line(sock)
