"""Questions to a DNS server: the same messages as others, in a form that any server answers."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import Popen

import pytest

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.traffic.questions import LABEL, Questions
from pytest_ciliumwg.agent.traffic.sender import Sender
from pytest_ciliumwg.providers.lab.services import DNS_SERVER
from tests.patience import PATIENCE

TOKEN = canary.Canaries.of(b"of the tests").make(7, canary.REQUEST)
QUESTIONS = Questions(TOKEN, "cluster.local")


def answer(question: bytes, flags: int = 0x8403) -> bytes:
    return question[:2] + flags.to_bytes(2, "big") + question[4:] + b"an authority, and more"


def test_a_question_is_one_name_that_shows_the_canary() -> None:
    question = QUESTIONS.datagram(3)
    assert question[:12].hex() == "000301000001000000000000"
    assert question[12:17] == bytes([LABEL]) + (3).to_bytes(4, "big")
    assert question.count(TOKEN) == 3
    assert question.endswith(b"\x07cluster\x05local\0\0\x01\0\x01")


def test_an_answer_is_known_by_its_question() -> None:
    assert QUESTIONS.number_of(answer(QUESTIONS.datagram(3))) == 3


@pytest.mark.parametrize(
    "data",
    [
        QUESTIONS.datagram(3),
        answer(Questions(TOKEN, "example.org").datagram(3)),
        b"\0\3\x84",
        b"",
        answer(QUESTIONS.datagram(3))[:40],
    ],
)
def test_what_is_no_answer_to_it_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="none of ours"):
        QUESTIONS.number_of(data)


def test_answers_in_a_stream_come_whole_or_not_yet() -> None:
    message = QUESTIONS.message(5)
    assert int.from_bytes(message[:2], "big") == len(message) - 2
    whole = answer(message[2:])
    stream = len(whole).to_bytes(2, "big") + whole
    for cut in (0, 1, 2, len(stream) - 1):
        buffer = bytearray(stream[:cut])
        assert QUESTIONS.next_message(buffer) is None
        assert buffer == stream[:cut]
    buffer = bytearray(stream + b"\0")
    assert QUESTIONS.next_message(buffer) == (5, len(whole))
    assert buffer == b"\0"


@pytest.mark.usefixtures("netns")
def test_the_labs_dns_answers_them_by_datagrams_and_streams(tmp_path: Path) -> None:
    server = Popen([sys.executable, "-I", "-S", "-c", DNS_SERVER, str(tmp_path / "ready"), "127.0.0.1"])
    try:
        while not tmp_path.joinpath("ready").exists():
            assert server.poll() is None
        flows = [
            {
                "id": number, "protocol": protocol, "source": "127.0.0.1", "destination": "127.0.0.1", "port": 53,
                "token": TOKEN.hex(), "payload_size": LABEL, "count": 3, "interval": 0.0, "dns_domain": "cluster.local",
            }
            for number, protocol in enumerate(("udp", "tcp"))
        ]  # fmt: skip
        sender = Sender(flows, 3.0)
        assert sender.finished.wait(PATIENCE)
        assert [(row["received"], row["error"]) for row in sender.results()] == [(3, None), (3, None)]
    finally:
        server.kill()
        server.wait()
