"""The matrix of directed node pairs for a terminal: 3 to 64 nodes in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_ciliumwg.model.traffic import Verdict

Markup = Mapping[str, bool]
Cell = tuple[str, Markup]

_GOOD: Markup = {"green": True}
_BAD: Markup = {"red": True, "bold": True}
_DOUBT: Markup = {"yellow": True}
_WORDS: Mapping[Verdict, Cell] = {
    Verdict.ENCRYPTED: ("ok", _GOOD),
    Verdict.CLEARTEXT: ("CLEAR", _BAD),
    Verdict.BYPASS: ("BYPASS", _BAD),
    Verdict.UNREACHABLE: ("lost", {"red": True}),
    Verdict.INCONCLUSIVE: ("?", _DOUBT),
}
_SYMBOLS: Mapping[Verdict, Cell] = {
    Verdict.ENCRYPTED: ("·", _GOOD),
    Verdict.CLEARTEXT: ("C", _BAD),
    Verdict.BYPASS: ("B", _BAD),
    Verdict.UNREACHABLE: ("x", {"red": True}),
    Verdict.INCONCLUSIVE: ("?", _DOUBT),
}
_LEGEND = "· encrypted, C cleartext, B past the tunnel, x lost, ? not known"
_WORD_WIDTH = 7
_MOST_IN_WORDS = 8
_ALL_ROWS = 16
"""Beyond so many nodes only rows are shown in which something is not encrypted."""
_WIDTH = 80


def rows(matrix: Mapping[tuple[str, str], Verdict], nodes: Sequence[str]) -> Iterator[list[Cell]]:
    """The matrix line by line, each as pieces of text with their markup; rows send, columns receive."""
    in_words = len(nodes) <= _MOST_IN_WORDS
    cells, width = (_WORDS, _WORD_WIDTH) if in_words else (_SYMBOLS, 2 if len(nodes) <= _ALL_ROWS else 1)
    numbered = {node: number for number, node in enumerate(nodes, 1)}
    label = max(8, min(max(map(len, nodes)), _WIDTH - width * len(nodes) - 4))
    for line in _header(len(nodes), width):
        yield [(" " * (label + 4) + line, {})]
    for source in nodes:
        row = [matrix.get((source, destination)) for destination in nodes]
        if len(nodes) > _ALL_ROWS and all(verdict in (None, Verdict.ENCRYPTED) for verdict in row):
            continue
        name = source if len(source) <= label else f"{source[: label - 7]}…{source[-6:]}"
        yield [(f"{numbered[source]:>2}  {name:<{label}}", {}), *(_cell(verdict, cells, width) for verdict in row)]
    if not in_words:
        good = sum(verdict is Verdict.ENCRYPTED for verdict in matrix.values())
        left_out = "; rows without others left out" if len(nodes) > _ALL_ROWS else ""
        yield [(f"{good} of {len(matrix)} directed node pairs encrypted{left_out}", {})]
        yield [(_LEGEND, {})]


def _cell(verdict: Verdict | None, cells: Mapping[Verdict, Cell], width: int) -> Cell:
    text, markup = cells[verdict] if verdict else ("-", {})
    return text.rjust(width), markup


def _header(nodes: int, width: int) -> Iterator[str]:
    """The columns' numbers; where a column is one character wide, one digit above the other."""
    if width > 2:
        yield "".join(str(number).rjust(width) for number in range(1, nodes + 1))
        return
    tens = "".join((str(number // 10) if number >= 10 else " ").rjust(width) for number in range(1, nodes + 1))
    if nodes >= 10:
        yield tens
    yield "".join(str(number % 10).rjust(width) for number in range(1, nodes + 1))
