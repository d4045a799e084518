"""The matrix fits into 80 columns, and shows what is not encrypted, for 3 to 64 nodes."""

from __future__ import annotations

import pytest

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
    assert drawn(64)[-2] == "4032 of 4032 directed node pairs encrypted; rows without others left out"
