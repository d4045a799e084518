"""Assemble classic BPF programs with labels in place of counted jumps. Numbers are those of Linux' <linux/filter.h>."""

from __future__ import annotations

from .ring import Filter

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_LOAD_WORD_X, _LOAD_HALF_X, _LOAD_BYTE_X = 0x40, 0x48, 0x50
_LOAD_X, _LOAD_X_HEADER = 0x01, 0xB1
_AND, _ADD, _ADD_X, _SHIFT = 0x54, 0x04, 0x0C, 0x64
_TO_X, _FROM_X = 0x07, 0x87
_JUMP, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_SET = 0x05, 0x15, 0x25, 0x45
_RETURN, _RETURN_A = 0x06, 0x16
_FAR = 255
"""A conditional jump reaches so many instructions."""

PROTOCOL = 0xFFFFF000
"""An offset at which the kernel tells the EtherType, also of frames without an Ethernet header."""
NEXT: str | None = None
"""As a jump's target: go on with the next instruction."""


class Program:
    """A program in the making: every method appends an instruction; jumps lead forward, to labels."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, str | None, str | None]] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """Give the next instruction a name."""
        self._labels[name] = len(self._code)

    def load(self, at: int, size: int, *, behind_x: bool = False) -> None:
        """A = the 1, 2 or 4 bytes at an offset, to which X may be added; a frame that is too short is dropped."""
        codes = {4: (_LOAD_WORD, _LOAD_WORD_X), 2: (_LOAD_HALF, _LOAD_HALF_X), 1: (_LOAD_BYTE, _LOAD_BYTE_X)}
        self._add(codes[size][behind_x], at)

    def load_header_length(self, at: int) -> None:
        """X = the length of the IPv4 header at an offset."""
        self._add(_LOAD_X_HEADER, at)

    def set_x(self, value: int) -> None:
        """X = a number."""
        self._add(_LOAD_X, value)

    def a_to_x(self) -> None:
        """X = A."""
        self._add(_TO_X, 0)

    def x_to_a(self) -> None:
        """A = X."""
        self._add(_FROM_X, 0)

    def mask(self, bits: int) -> None:
        """Keep these bits of A."""
        self._add(_AND, bits)

    def shift(self, bits: int) -> None:
        """Shift A to the left."""
        self._add(_SHIFT, bits)

    def add(self, value: int) -> None:
        """Add a number to A."""
        self._add(_ADD, value)

    def add_x(self) -> None:
        """Add X to A."""
        self._add(_ADD_X, 0)

    def if_equal(self, value: int, then: str | None = NEXT, otherwise: str | None = NEXT) -> None:
        """Jump by whether A is a number."""
        self._add(_JUMP_EQUAL, value, then, otherwise)

    def if_greater(self, value: int, then: str | None = NEXT, otherwise: str | None = NEXT) -> None:
        """Jump by whether A is greater than a number."""
        self._add(_JUMP_GREATER, value, then, otherwise)

    def if_any(self, bits: int, then: str | None = NEXT, otherwise: str | None = NEXT) -> None:
        """Jump by whether A has any of these bits."""
        self._add(_JUMP_SET, bits, then, otherwise)

    def jump(self, to: str) -> None:
        """Jump."""
        self._add(_JUMP, 0, to)

    def keep(self, count: int) -> None:
        """Hand over so many bytes of the frame at most; 0 drops it."""
        self._add(_RETURN, count)

    def keep_a(self) -> None:
        """Hand over A bytes of the frame at most."""
        self._add(_RETURN_A, 0)

    def assemble(self) -> Filter:
        """The finished program.

        Raises:
            ValueError: a jump leads too far, or to a label that is not there.
        """
        return tuple(self._resolve(at, *line) for at, line in enumerate(self._code))

    def _add(self, code: int, value: int, then: str | None = NEXT, otherwise: str | None = NEXT) -> None:
        self._code.append((code, value, then, otherwise))

    def _resolve(
        self, at: int, code: int, value: int, then: str | None, otherwise: str | None
    ) -> tuple[int, int, int, int]:
        if code == _JUMP:
            return code, 0, 0, self._distance(at, then)
        near, far = self._distance(at, then), self._distance(at, otherwise)
        if max(near, far) > _FAR:
            raise ValueError(f"the jump of instruction {at} leads too far")
        return code, near, far, value

    def _distance(self, at: int, label: str | None) -> int:
        if label is None:
            return 0
        if label not in self._labels:
            raise ValueError(f"there is no label {label}")
        return self._labels[label] - at - 1
