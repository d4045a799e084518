"""The sample of ciphertext: what is a pattern, what is none, and that it stays small."""

from __future__ import annotations

import os
import struct

import pytest

from pytest_ciliumwg.agent.capture.ciphertext import SAMPLE_BYTES, Samples

A, B = b"aaaa", b"bbbb"
PERIODIC = bytes(range(16)) * 20


def chacha20(key: bytes, nonce: bytes, text: bytes) -> bytes:
    """RFC 8439, section 2.4, from block 1 on."""
    blocks = (text[at : at + 64] for at in range(0, len(text), 64))
    return b"".join(
        bytes(one ^ other for one, other in zip(block, _block(key, nonce, number), strict=False))
        for number, block in enumerate(blocks, 1)
    )


def _block(key: bytes, nonce: bytes, number: int) -> bytes:
    begin = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key), number]
    begin += struct.unpack("<3I", nonce)
    state = list(begin)
    columns = [(n, n + 4, n + 8, n + 12) for n in range(4)]
    diagonals = [(n, 4 + (n + 1) % 4, 8 + (n + 2) % 4, 12 + (n + 3) % 4) for n in range(4)]
    for _ in range(10):
        for places in (*columns, *diagonals):
            _quarter(state, *places)
    return struct.pack("<16I", *((one + other) & 0xFFFFFFFF for one, other in zip(begin, state, strict=True)))


def _quarter(state: list[int], a: int, b: int, c: int, d: int) -> None:
    for target, source, mixed, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[target] = (state[target] + state[source]) & 0xFFFFFFFF
        value = state[mixed] ^ state[target]
        state[mixed] = (value << bits | value >> (32 - bits)) & 0xFFFFFFFF


def test_the_cipher_of_these_tests_is_the_rfc_s() -> None:
    keystream = chacha20(bytes(range(32)), bytes.fromhex("000000090000004a00000000"), bytes(64))
    assert keystream.hex().startswith("10f1e7e4d13b5915500fdd1fa32071c4")


def message(counter: int, text: bytes) -> bytes:
    return struct.pack("<IIQ", 4, 7, counter) + text


def encrypted(key: bytes, counter: int) -> bytes:
    """What WireGuard makes of test payload: nonce = 4 zero bytes and the counter."""
    return chacha20(key, struct.pack("<IQ", 0, counter), PERIODIC)


def rows(*messages: bytes) -> dict[str, int]:
    samples = Samples()
    for one in messages:
        samples.add(A, B, one)
    (row,) = samples.rows()
    assert (row["source"], row["destination"]) == (A, B)
    return {name: row[name] for name in ("sampled", "periodic", "repeated")}


def test_chacha20_poly1305_shows_no_pattern() -> None:
    key = os.urandom(32)
    found = rows(*[message(counter, encrypted(key, counter)) for counter in range(24)])
    assert found == {"sampled": 24, "periodic": 0, "repeated": 0}


def test_a_mask_shows_the_period_of_what_is_under_it() -> None:
    masked = bytes(byte ^ 0x5A for byte in PERIODIC)
    assert rows(message(1, masked)) == {"sampled": 1, "periodic": 1, "repeated": 0}


def test_a_nonce_that_stands_still_shows_messages_that_are_alike() -> None:
    key, other = os.urandom(32), bytearray(PERIODIC)
    other[:8] = b"numbered"
    nonce = bytes(12)
    texts = [chacha20(key, nonce, plain) for plain in (PERIODIC, bytes(other))]
    found = rows(*[message(counter, text) for counter, text in enumerate(texts)])
    assert found == {"sampled": 2, "periodic": 0, "repeated": 1}


def test_the_same_message_seen_twice_is_one() -> None:
    text = os.urandom(SAMPLE_BYTES)
    assert rows(message(1, text), message(1, text)) == {"sampled": 1, "periodic": 0, "repeated": 0}


@pytest.mark.parametrize("size", [0, 15, 16, SAMPLE_BYTES - 1])
def test_what_is_too_short_is_left_out(size: int) -> None:
    samples = Samples()
    samples.add(A, B, message(1, bytes(size)))
    assert samples.rows() == []


def test_the_sample_is_bounded() -> None:
    samples = Samples()
    for pair in range(1000):
        for counter in range(30):
            samples.add(struct.pack(">I", pair), B, message(counter, os.urandom(SAMPLE_BYTES)))
    assert len(samples.rows()) == 256
    assert {row["sampled"] for row in samples.rows()} == {24}
