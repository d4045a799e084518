"""The matrix fits into 80 columns, and shows what is not encrypted, for 3 to 64 nodes."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.flows.pairs import chosen_pairs
from pytest_ciliumwg.model.traffic import Verdict
from pytest_ciliumwg.report.matrix import rows


def drawn(count: int, **bad: Verdict) -> list[str]:
    nodes = [f"worker-{number:03}.cluster.example" for number in range(count)]
    matrix = {(one, other): Verdict.ENCRYPTED for one in nodes for other in nodes if one != other}
    if bad:
        matrix[nodes[1], nodes[2]] = bad["verdict"]
    return ["".join(text for text, _ in row) for row in rows(matrix, nodes)]


@pytest.mark.parametrize("count", [3, 8, 9, 16, 17, 64])
def test_it_fits(count: int) -> None:
    for line in drawn(count, verdict=Verdict.CLEARTEXT):
        assert len(line) <= 80, line


@pytest.mark.parametrize("count", [3, 16, 64])
@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.ENCRYPTED])
def test_a_pair_stands_out(count: int, verdict: Verdict) -> None:
    healthy, one_bad = drawn(count), drawn(count, verdict=verdict)
    differing = [line for line in one_bad if line not in healthy]
    assert any(line.split()[0] == "2" for line in differing)


def test_many_healthy_rows_are_left_out() -> None:
    assert len(drawn(64, verdict=Verdict.UNREACHABLE)) == 5
    assert drawn(64) == [
        "4032 of 4032 directed node pairs encrypted; other rows left out",
        "· encrypted, C cleartext, r answers only, B past the tunnel, x lost, ? unknown",
    ]


@pytest.mark.parametrize("count", [4, 12, 30])
def test_pairs_that_are_not_tested_are_counted_and_never_ok(count: int) -> None:
    nodes = [f"worker-{number}" for number in range(count)]
    matrix = dict.fromkeys(chosen_pairs(nodes, 1), Verdict.ENCRYPTED)
    lines = ["".join(text for text, _ in row) for row in rows(matrix, nodes)]
    untested = count * (count - 1) - 2 * count
    assert lines[-1] == f"- not tested: {untested} directed node pairs, on which nothing is known"
    if count <= 16:
        cells = [line.split()[2:] for line in lines if "worker-" in line]
        good = "ok" if count <= 8 else "·"
        assert [row.count(good) for row in cells] == [2] * count
        assert [row.count("-") for row in cells] == [count - 2] * count


MANY = [f"worker-{number}" for number in range(32)]
PAIRS = [(one, other) for one in MANY for other in MANY if one != other]


def told(matrix: dict[tuple[str, str], Verdict], answers: set[tuple[str, str]] | None = None) -> list[str]:
    return ["".join(text for text, _ in row) for row in rows(matrix, MANY, answers or set())][:-2]


def test_what_is_so_of_all_that_a_node_sends_or_gets_is_a_line_and_not_a_row_for_each_node() -> None:
    clear = {pair: Verdict.CLEARTEXT if MANY[3] in pair else Verdict.ENCRYPTED for pair in PAIRS}
    answers = {pair for pair in PAIRS if pair[1] == MANY[3]}
    assert told(clear, answers) == ["all from 4 worker-3: C", "all to 4 worker-3: r"]
    clear[MANY[5], MANY[6]] = Verdict.UNREACHABLE
    assert len(told(clear, answers)) == 5
    assert told(clear, answers)[2].startswith(" 6  worker-5 ")
    assert told(dict.fromkeys(PAIRS, Verdict.UNREACHABLE)) == ["all from all 32 nodes: x"]


def test_very_many_rows_are_counted() -> None:
    every_other = {pair: Verdict.CLEARTEXT if PAIRS.index(pair) % 2 else Verdict.ENCRYPTED for pair in PAIRS}
    lines = told(every_other)
    assert len(lines) == 2 + 16 + 1
    assert lines[-1] == "… and 16 more rows with what is not encrypted"


def test_where_the_answers_alone_are_in_cleartext_the_other_node_leaks() -> None:
    nodes = ["a", "b", "c"]
    matrix = {(one, other): Verdict.ENCRYPTED for one in nodes for other in nodes if one != other}
    matrix |= {("a", "b"): Verdict.CLEARTEXT, ("b", "a"): Verdict.CLEARTEXT}
    lines = ["".join(text for text, _ in row) for row in rows(matrix, nodes, {("b", "a")})]
    assert [line.split() for line in lines[1:4]] == [
        ["1", "a", "-", "CLEAR", "ok"],
        ["2", "b", "reply", "-", "ok"],
        ["3", "c", "ok", "ok", "-"],
    ]
    assert lines[4:] == ["reply: only the answers are in cleartext, so it is the other node that leaks"]
