"""The cluster without packets of `python -m bench cluster`: healthy it conforms, and one broken pair is found."""

from __future__ import annotations

import pytest

from bench.cluster import broken, measure

pytestmark = [pytest.mark.slow, pytest.mark.thorough]


def test_a_healthy_cluster_conforms() -> None:
    cost = measure(8, others=2)
    assert cost.verdict.startswith("conformant on "), cost.output
    assert 8 * 2 < cost.pairs < 8 * 7


def test_one_broken_pair_is_found_and_named() -> None:
    (row, *_) = broken(6).rows
    assert row.what.startswith("6 nodes, node-0002 to node-0003 in cleartext: found and named"), row
