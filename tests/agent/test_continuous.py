"""The continuous watch against the real kernel."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import sh
from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.continuous import ContinuousWatch, Heartbeat
from pytest_ciliumwg.agent.capture.frames import Hit
from pytest_ciliumwg.agent.capture.ring import Frame
from pytest_ciliumwg.agent.capture.rings import Plan
from pytest_ciliumwg.agent.capture.sightings import Intervals, Key
from pytest_ciliumwg.agent.jobs import NO_JOB
from pytest_ciliumwg.agent.log import Log
from pytest_ciliumwg.agent.service import Agent

from . import frames_made as make
from .test_frames import OUTER, UDP4
from .test_service import WATCH
from .test_watch import send
from .waiting import Reader

pytestmark = pytest.mark.usefixtures("netns")

Start = Callable[..., tuple[ContinuousWatch, Reader]]


@pytest.fixture
def start() -> Iterator[Start]:
    watches: list[ContinuousWatch] = []

    def begin(
        devices: tuple[str, ...] = ("left",), block_size: int = 1 << 17, blocks: int = 64, period: float = 3600.0
    ) -> tuple[ContinuousWatch, Reader]:
        heartbeat = Heartbeat(7, 0, period, [], [])
        watch = ContinuousWatch(Plan(list(devices), make.index(), block_size, blocks, 51871), heartbeat)
        watches.append(watch)
        return watch, Reader(watch.collect)

    yield begin
    for watch in watches:
        watch.stop(0)


def test_one_leaked_frame_is_one_interval(start: Start) -> None:
    watch, reader = start()
    before = time.time()
    send(UDP4 / make.payload(make.UDP_FLOW, 1000))
    after = time.time()
    (entry,) = reader.until(bool, "sighting")
    assert before <= entry["first"] == entry["last"] <= after
    assert (entry["flow"], entry["mark"], entry["how"]) == (make.UDP_FLOW, canary.REQUEST, "canary")
    assert (entry["device"], entry["outgoing"], entry["count"]) == ("left", False, 1)
    assert entry["layers"] == "eth/ipv4/udp:20003"
    ((at, data, length),) = entry["frames"]
    assert at == entry["first"]
    assert length == 14 + 20 + 8 + 1000
    assert make.token(make.UDP_FLOW) in base64.b64decode(data)
    reader.take(watch.stop(reader.entries[-1]["seq"]))
    assert len(reader.of("sighting")) == 1


def simulated(intervals: Intervals, key: Key, at: float) -> None:
    intervals.add(key, Frame(0, 0, 1000, at, False, None), b"x" * 1000)


def test_what_follows_soon_is_one_interval_and_what_comes_later_another() -> None:
    log = Log()
    intervals = Intervals(log)
    for at in (1000.0, 1000.1, 1000.2, 1000.7, 1000.8):
        simulated(intervals, Key(1, 0, "canary", "left", False), at)
    intervals.close()
    one, two = log.after(0)
    assert (one["first"], one["last"], one["count"]) == (1000.0, 1000.2, 3)
    assert (two["first"], two["last"], two["count"]) == (1000.7, 1000.8, 2)
    assert len(one["frames"]) == 2


def test_an_interval_that_lasts_is_told_in_pieces() -> None:
    log = Log()
    intervals = Intervals(log)
    for n in range(61):
        simulated(intervals, Key(1, 0, "canary", "left", False), 1000 + n * 0.2)
    intervals.close()
    pieces = log.after(0)
    assert [(piece["first"], piece["count"]) for piece in pieces] == [(1000, 25), (1005, 25), (1010, 11)]


def test_a_clock_that_is_set_back_ends_an_interval() -> None:
    log = Log()
    intervals = Intervals(log)
    key = Key(1, 0, "canary", "left", False)
    simulated(intervals, key, 1000)
    simulated(intervals, key, 900)
    assert [entry["first"] for entry in log.after(0)] == [1000]
    intervals.close(800)
    assert [entry["first"] for entry in log.after(0)] == [1000, 900]


def test_memory_stays_bounded_whatever_comes(start: Start) -> None:
    watch, _ = start()
    watch._log = log = Log(limit=100)
    watch._intervals = intervals = Intervals(log)
    most = 0
    with watch._lock:
        for n in range(20000):
            at = 1000 + n * 0.01
            watch._found(Hit(n, 0, "canary"), "left", Frame(0, 0, 1000, at, False, None), b"x" * 1000)
            watch._found(Hit(n, canary.CONTROL, "canary"), "left", Frame(0, 0, 64, at, False, None), b"x" * 64)
            if n % 10 == 0:
                intervals.close(at)
            most = max(most, len(intervals._open))
    assert most < 70
    assert len(watch._heartbeats_seen) == 512
    assert log.overflow > 39000
    assert len(log.after(0)) == 100


def test_evidence_is_cut() -> None:
    log = Log()
    intervals = Intervals(log)
    for _ in range(5):
        intervals.add(Key(1, 0, "canary", "left", False), Frame(0, 0, 9000, 1000.0, False, None), b"x" * 9000)
    intervals.close()
    (entry,) = log.after(0)
    assert [(len(base64.b64decode(data)), length) for _, data, length in entry["frames"]] == [(512, 9000)] * 2


def test_open_intervals_are_bounded_in_number() -> None:
    log = Log(limit=10)
    intervals = Intervals(log)
    for n in range(10000):
        simulated(intervals, Key(n, 0, "canary", "left", False), 1000)
    assert len(intervals._open) <= 4096


def test_heartbeats_are_numbered_and_seen_on_both_ends(start: Start) -> None:
    _, reader = start(devices=("left", "right"), period=0.1)
    heartbeats = reader.until(lambda entries: len(entries) >= 12, "heartbeat")
    assert {entry["node"] for entry in heartbeats} == {7}
    for n in range(3):
        ends = sorted((entry["device"], entry["outgoing"]) for entry in heartbeats if entry["number"] == n)
        assert ends == [("left", False), ("left", True), ("right", False), ("right", True)]
    times = sorted(entry["at"] for entry in heartbeats if (entry["device"], entry["outgoing"]) == ("left", True))
    assert times[-1] - times[0] > 0.1 * (len(times) - 2)  # one may have been late, and the next is in time again


def test_a_heartbeats_that_comes_twice_is_told_once(start: Start) -> None:
    _, reader = start()
    control = make.wire(make.Raw(canary.fill(make.token((9 << 20) | 5, canary.CONTROL), 64)))
    send(control, control)
    send(make.wire(make.Raw(canary.fill(make.token((9 << 20) | 6, canary.CONTROL), 64))))
    told = reader.until(lambda entries: any(entry["number"] == 6 for entry in entries), "heartbeat")
    assert [entry["number"] for entry in told if entry["node"] == 9] == [5, 6]


def test_drops_are_told_with_their_time(start: Start) -> None:
    watch, reader = start(block_size=4096, blocks=2)
    send(*[make.wire(UDP4 / make.payload(make.UDP_FLOW, 1400))] * 2000, make.Raw(b"x" * 8000))
    reader.until(bool, "drops")
    device = reader.take(watch.stop(reader.entries[-1]["seq"]))["devices"]["left"]
    told = reader.of("drops")
    assert sum(entry["drops"] for entry in told) == device["drops"] > 0
    assert sum(entry["truncated"] for entry in told) == device["truncated"] == 1
    assert all(watch.started <= entry["first"] < entry["last"] for entry in told)
    own_heartbeats = 2  # at its beginning and at its end
    assert device["kernel_frames"] == 2001 + own_heartbeats == device["frames"] + device["drops"]


def numbers_after(reader: Reader, count: int) -> None:
    """Wait until so many more heartbeats were sent and seen."""
    seen = len(reader.of("heartbeat"))
    reader.until(lambda entries: len(entries) >= seen + count, "heartbeat")


def test_a_device_that_goes_down_and_comes_up_again(start: Start) -> None:
    _, reader = start(period=0.1)
    numbers_after(reader, 2)
    sh("ip link set left down")
    errors = reader.until(lambda entries: len(entries) >= 2, "error")
    words = sorted(entry["what"] for entry in errors)
    assert words == [
        "control canary on left: [Errno 100] Network is down",
        "left: capture error 100 (device down or gone)",
    ]
    assert sorted(entry["code"] for entry in errors) == ["blind", "unsent"]
    sh("ip link set left up")
    numbers_after(reader, 3)
    events = reader.until(lambda entries: len(entries) >= 2, "kernel")
    assert [entry["what"] for entry in events] == ["left was set down", "left was set up"]
    assert len(reader.of("error")) == 2


def test_a_device_that_is_made_anew_is_watched_again(start: Start) -> None:
    watch, reader = start(period=0.1)
    numbers_after(reader, 2)
    sh("ip link del left")
    reader.until(lambda entries: any("capture error" in entry["what"] for entry in entries), "error")
    sh("ip link add left type veth peer name right; ip link set left up; ip link set right up")
    reader.until(lambda entries: any("came again" in entry["what"] for entry in entries), "error")
    numbers_after(reader, 2)
    send(UDP4 / make.payload(make.UDP_FLOW, 64), OUTER / make.UDP(sport=51871, dport=51871) / make.Raw(b"w" * 40))
    reader.until(bool, "sighting")
    result = watch.stop(0)
    assert [row["count"] for row in result["devices"]["left"]["wireguard"]["messages"]] == [1]


def test_a_failure_inside_is_logged_and_the_watch_goes_on(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, reader = start(period=0.1)
    with monkeypatch.context() as broken:
        broken.setattr(watch._kernel, "read", lambda: 1 / 0)
        reader.until(bool, "error")
    numbers_after(reader, 2)
    assert "ZeroDivisionError" in reader.of("error")[0]["what"]


def ask(agent: Agent, **request: Any) -> dict[str, Any]:
    return agent.handle(json.dumps(request).encode())


def test_requests_of_a_continuous_watch() -> None:
    agent = Agent()
    begin = dict(
        WATCH, heartbeat={"node": 3, "first": 0, "period": 0.2, "targets": ["127.0.0.1"], "ways": ["ICMP echo"]}
    )
    first = ask(agent, **begin)
    assert ask(agent, **begin) == first
    reader = Reader(lambda seen: ask(agent, op="watch-collect", job="w", acknowledged=seen))
    reader.until(bool, "heartbeat")
    assert ask(agent, op="watch-heartbeat", job="w", ways=["TCP to port 4240"]) == {"ok": True}
    assert "not by pigeon" in ask(agent, op="watch-heartbeat", job="w", ways=["pigeon"])["error"]
    assert set(reader.read()) == {"ok", "now", "started", "entries", "overflow", "devices", "inside", "pods"}
    end = ask(agent, op="watch-stop", job="w", acknowledged=0)
    assert end["stopped"] == end["now"]
    assert ask(agent, op="watch-stop", job="w", acknowledged=0) == end
    assert ask(agent, op="watch-collect", job="w", acknowledged=0) == end


@pytest.mark.parametrize(("node", "period"), [(4096, 1), (0, 0), (-1, 1)])
def test_a_heartbeats_that_makes_no_sense_is_refused(node: int, period: int) -> None:
    reply = ask(
        Agent(), **dict(WATCH, heartbeat={"node": node, "first": 0, "period": period, "targets": [], "ways": []})
    )
    assert "a heartbeat needs a node from 0 to 4095" in reply["error"]


@pytest.mark.parametrize("heartbeat", [None, 5, {}, [1], {"node": "x"}, {"node": 1, "period": "x"}])
def test_a_heartbeats_of_any_kind_is_answered(heartbeat: Any) -> None:
    assert "malformed" in ask(Agent(), **dict(WATCH, heartbeat=heartbeat))["error"]


def test_an_agent_that_was_restarted_is_told_apart() -> None:
    agent = Agent()
    for op in (
        "watch-peek", "watch-collect", "watch-heartbeat", "watch-stop", "serve-stop", "collect", "stream-collect",
        "stream-stop",
    ):  # fmt: skip
        reply = ask(agent, op=op, job="w", acknowledged=0, wait=0, ways=[])
        assert not reply["ok"]
        assert reply["code"] == NO_JOB
        assert reply["error"].startswith("there is no job w here")
