"""Where many nodes are read, the search for garbage waits, and goes on whatever happens."""

from __future__ import annotations

import gc

import pytest

from pytest_ciliumwg.providers.base import spared


def test_it_waits_for_many_nodes_alone() -> None:
    with spared(3):
        assert gc.isenabled()
    with spared(1000):
        assert not gc.isenabled()
        with spared(1000):
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.unfreeze()


def test_it_goes_on_after_an_error() -> None:
    def fail() -> None:
        with spared(1000):
            raise ValueError("the cluster is gone")

    with pytest.raises(ValueError, match="the cluster is gone"):
        fail()
    assert gc.isenabled()
    gc.unfreeze()
