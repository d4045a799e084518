"""The matrix of directed node pairs for a terminal: 3 to 64 nodes in 80 columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from pytest_ciliumwg.model.traffic import Verdict

Markup = Mapping[str, bool]
Cell = tuple[str, Markup]
Pair = tuple[str, str]
Matrix = Mapping[Pair, Verdict]

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
_ANSWERS: Mapping[bool, Cell] = {True: ("reply", {"red": True}), False: ("r", {"red": True})}
_LEGEND = "· encrypted, C cleartext, r answers only, B past the tunnel, x lost, ? unknown"
_ANSWERS_LEGEND = "reply: only the answers are in cleartext, so it is the other node that leaks"
_WORD_WIDTH = 7
_MOST_IN_WORDS = 8
_ALL_ROWS = 16
"""Beyond so many nodes only rows are shown in which something is not encrypted, and of these not more."""
_WIDTH, _NAMED = 80, 2


def rows(matrix: Matrix, nodes: Sequence[str], answers: Collection[Pair] = ()) -> Iterator[list[Cell]]:
    """The matrix line by line, each as pieces of text with their markup; rows send, columns receive.

    Args:
        matrix: The verdict of each directed pair.
        nodes: All nodes, in their order.
        answers: The pairs in cleartext of which that is true of the answers alone.
    """
    in_words, many = len(nodes) <= _MOST_IN_WORDS, len(nodes) > _ALL_ROWS
    width = _WORD_WIDTH if in_words else (1 if many else 2)
    cells = {pair: _cell(verdict, pair in answers, in_words) for pair, verdict in matrix.items()}
    label = max(8, min(max(map(len, nodes)), _WIDTH - width * len(nodes) - 4))
    senders, receivers = _of_one_kind(cells, nodes) if many else ({}, {})
    wrong = [node for node in nodes if not many or _has_more(cells, node, nodes, senders, receivers)]
    shown = wrong[:_ALL_ROWS] if many else wrong
    for line in _header(len(nodes), width) if shown else ():
        yield [(" " * (label + 4) + line, {})]
    for source in shown:
        name = source if len(source) <= label else f"{source[: label - 7]}…{source[-6:]}"
        row = (cells.get((source, to), ("-", {})) for to in nodes)
        yield [(f"{nodes.index(source) + 1:>2}  {name:<{label}}", {}), *((text.rjust(width), how) for text, how in row)]
    if len(shown) < len(wrong):
        yield [(f"… and {len(wrong) - len(shown)} more rows with what is not encrypted", {})]
    yield from _told("from", senders, nodes)
    yield from _told("to", receivers, nodes)
    if not in_words:
        good = sum(verdict is Verdict.ENCRYPTED for verdict in matrix.values())
        yield [(f"{good} of {len(matrix)} directed node pairs encrypted{'; other rows left out' if many else ''}", {})]
        yield [(_LEGEND, {})]
    elif _ANSWERS[True] in cells.values():
        yield [(_ANSWERS_LEGEND, {})]
    known = set(nodes)
    if untested := len(nodes) * (len(nodes) - 1) - sum(known.issuperset(pair) for pair in matrix):
        yield [(f"- not tested: {untested:,} directed node pairs, on which nothing is known", _DOUBT)]


def _of_one_kind(cells: Mapping[Pair, Cell], nodes: Sequence[str]) -> tuple[dict[str, Cell], dict[str, Cell]]:
    """(Senders, receivers) of which all is the same and not encrypted, each with that; a line says it of them all."""
    senders: dict[str, Cell] = {}
    receivers: dict[str, Cell] = {}
    for node in nodes:
        sent = [cells.get((node, other)) for other in nodes if other != node]
        got = [cells.get((other, node)) for other in nodes if other != node]
        for found, known in ((sent, senders), (got, receivers)):
            first = found[0]
            if first not in (None, _SYMBOLS[Verdict.ENCRYPTED]) and found.count(first) == len(found):
                known[node] = first
    return senders, {} if len(senders) == len(nodes) else receivers


def _has_more(
    cells: Mapping[Pair, Cell],
    node: str,
    nodes: Sequence[str],
    senders: Collection[str],
    receivers: Collection[str],
) -> bool:
    """Whether a row has something that is not encrypted, and not told of a sender or a receiver as a whole."""
    good = (None, _SYMBOLS[Verdict.ENCRYPTED])
    return node not in senders and any(cells.get((node, to)) not in good for to in nodes if to not in receivers)


def _told(word: str, known: Mapping[str, Cell], nodes: Sequence[str]) -> Iterator[list[Cell]]:
    """A line for each symbol that is that of all which certain nodes send, or get."""
    for text in dict.fromkeys(text for text, _ in known.values()):
        names = [f"{nodes.index(node) + 1} {node}" for node, (symbol, _) in known.items() if symbol == text]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        who = f"all {len(nodes)} nodes" if len(names) == len(nodes) else ", ".join(names[:_NAMED]) + more
        yield [(f"all {word} {who}: ", {}), next(cell for cell in known.values() if cell[0] == text)]


def _cell(verdict: Verdict, answers_alone: bool, in_words: bool) -> Cell:
    if verdict is Verdict.CLEARTEXT and answers_alone:
        return _ANSWERS[in_words]
    return (_WORDS if in_words else _SYMBOLS)[verdict]


def _header(nodes: int, width: int) -> Iterator[str]:
    """The columns' numbers; where a column is one character wide, one digit above the other."""
    if width > 2:
        yield "".join(str(number).rjust(width) for number in range(1, nodes + 1))
        return
    tens = "".join((str(number // 10) if number >= 10 else " ").rjust(width) for number in range(1, nodes + 1))
    if nodes >= 10:
        yield tens
    yield "".join(str(number % 10).rjust(width) for number in range(1, nodes + 1))
