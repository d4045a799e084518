"""How long answers take: only of messages of which nothing was lost."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque

import pytest

from pytest_ciliumwg.agent.traffic.pace import Pace
from pytest_ciliumwg.agent.traffic.sender import Sender
from tests.agent.test_traffic import flow
from tests.patience import PATIENCE


def test_a_message_that_is_answered_at_once_counts_with_its_time() -> None:
    pace = Pace()
    for number, seconds in enumerate((0.1, 0.3, 0.2)):
        pace.sent(1, number, 10.0)
        pace.answered(1, number, 10.0 + seconds)
    assert pace.typical == pytest.approx(0.2)
    assert pace.patient(0.4) == pytest.approx(0.6)
    assert pace.patient(0.7) == 0.7


def test_of_copies_that_are_all_answered_the_first_answer_is_the_first_copy_s() -> None:
    pace = Pace()
    pace.sent(1, 0, 10.0)
    pace.sent(1, 0, 10.4)
    pace.answered(1, 0, 12.0)
    assert pace.typical == 0.0
    pace.answered(1, 0, 12.4)
    assert pace.typical == pytest.approx(2.0)


def test_what_was_lost_says_nothing_of_the_time() -> None:
    pace = Pace()
    pace.sent(1, 0, 10.0)
    for copy in range(3):
        pace.sent(2, 0, 10.0 + copy)
    pace.answered(2, 0, 12.1)
    pace.answered(3, 7, 12.2)
    assert pace.typical == 0.0


@pytest.mark.usefixtures("netns")
def test_answers_that_come_late_are_waited_for() -> None:
    """The first after 0.3 s, all others after 1 s: later than the 0.6 s in which all copies of a message usually go."""
    ended = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 20001))
        server = threading.Thread(target=_answer_late, args=(sock, ended))
        server.start()
        sender = Sender([flow(1, "udp", patience=0.5, interval=0.05, rounds=2)], 10.0)
        assert sender.finished.wait(PATIENCE)
        ended.set()
        server.join()
    (row,) = sender.results()
    assert (row["received"], row["error"]) == (5, None)
    assert sender.typical >= 0.3


def _answer_late(sock: socket.socket, ended: threading.Event) -> None:
    waiting: deque[tuple[float, bytes, tuple[str, int]]] = deque()
    sock.settimeout(0.01)
    while not ended.is_set():
        try:
            data, sender = sock.recvfrom(2000)
            waiting.append((time.monotonic() + (1.0 if waiting else 0.3), data, sender))
        except TimeoutError:
            pass
        while waiting and waiting[0][0] <= time.monotonic():
            _, data, sender = waiting.popleft()
            sock.sendto(data, sender)
