"""A report of very many flows lists those first about which there is something to say, and counts the others."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.report import json_report
from tests.report.test_terminal import HIT, NODES, one_node_leaks, record

FLOWS = 2 * len(NODES) * (len(NODES) - 1)
WRONG = 2 * 2 * (len(NODES) - 1)
"""Both flows of each pair of the node that leaks."""


@pytest.mark.parametrize("most", [FLOWS, WRONG + 10, WRONG - 10])
def test_what_is_wrong_is_listed_first(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(json_report, "MOST_FLOWS", most)
    made = json_report.document(record(one_node_leaks), (), 1)
    listed = made["flows"]
    assert (len(listed), made["flows_left_out"]) == (most, FLOWS - most)
    wrong = [row for row in listed if HIT in (row["source_node"], row["destination_node"])]
    assert len(wrong) == min(WRONG, most)
    if most < FLOWS:
        assert listed[: len(wrong)] == wrong
    assert len(made["pairs"]) == FLOWS // 2, "the verdicts of pairs are all there"
