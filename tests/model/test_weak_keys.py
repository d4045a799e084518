"""The public keys of private keys that everybody knows, derived from those."""

from __future__ import annotations

from base64 import b64decode, b64encode

from pytest_ciliumwg.model.weak_keys import KNOWN_PRIVATE_KEYS

_PRIME, _BASE, _A24 = 2**255 - 19, 9, 121665
BOB = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
BOBS_PUBLIC = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
PRIVATE = {
    "all zeros": bytes(32),
    "all ones": b"\xff" * 32,
    "the example of WireGuard's documentation": b64decode("yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="),
    "the example of RFC 7748, section 6.1": bytes.fromhex(BOB),
}


def public_key(private: bytes) -> bytes:
    """X25519 of the base point, by RFC 7748's Montgomery ladder."""
    number = int.from_bytes(private, "little") & ~7 & ~(1 << 255) | 1 << 254
    x2, z2, x3, z3 = 1, 0, _BASE, 1
    for place in reversed(range(255)):
        bit = number >> place & 1
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        plus, minus = x2 + z2, x2 - z2
        crossed, other = (x3 - z3) * plus, (x3 + z3) * minus
        x3, z3 = (crossed + other) ** 2 % _PRIME, _BASE * (crossed - other) ** 2 % _PRIME
        square, smaller = plus * plus % _PRIME, minus * minus % _PRIME
        between = square - smaller
        x2, z2 = square * smaller % _PRIME, between * (square + _A24 * between) % _PRIME
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, _PRIME - 2, _PRIME) % _PRIME).to_bytes(32, "little")


def test_the_derivation_is_that_of_the_rfc() -> None:
    assert public_key(bytes.fromhex(BOB)).hex() == BOBS_PUBLIC


def test_each_key_is_that_of_its_private_key() -> None:
    derived = {b64encode(public_key(private)).decode(): what for what, private in PRIVATE.items()}
    assert derived == KNOWN_PRIVATE_KEYS


def test_zeros_and_clamped_zeros_have_one_public_key() -> None:
    assert public_key(bytes(32)) == public_key(bytes(31) + b"\x40")
