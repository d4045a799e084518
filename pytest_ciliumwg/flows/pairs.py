"""Which directed pairs of nodes are tested: all, or a sample in which every node sends and serves."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_SEED = 14
"""The same nodes in the same order always have the same pairs, so a run can be repeated and compared."""


def chosen_pairs(nodes: Sequence[T], others: int | None) -> tuple[tuple[T, T], ...]:
    """The directed pairs, always both directions of two nodes, in the order of the sources.

    Each source's destinations begin with the node after it: where all sources go through theirs one after the other,
    no destination has them all at once.

    Args:
        nodes: What is paired, one for each node.
        others: So many others each node is paired with: the next one, then some that are drawn. Who draws a node is
            paired with it too, so most nodes have more. None, or as many as there are: all pairs.
    """
    count = len(nodes)
    if others is None or others >= count - 1:
        found = set(itertools.permutations(range(count), 2))
    else:
        found = _sample(count, others)
    in_turn = sorted(found, key=lambda pair: (pair[0], (pair[1] - pair[0]) % count))
    return tuple((nodes[source], nodes[destination]) for source, destination in in_turn)


def _sample(count: int, others: int) -> set[tuple[int, int]]:
    drawn = random.Random(_SEED)  # noqa: S311 - a sample, no secret
    found: set[tuple[int, int]] = set()
    for node in range(count):
        for distance in (1, *drawn.sample(range(2, count), others - 1)):
            other = (node + distance) % count
            found |= {(node, other), (other, node)}
    return found
