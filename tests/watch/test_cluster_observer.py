"""Which pods had which addresses when, as looks at the API show it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.model.timeline import Snapshot
from pytest_ciliumwg.watch.cluster_observer import Observer
from pytest_ciliumwg.watch.ledger import Ledger


class Shown:
    """A cluster whose API shows one snapshot after the other."""

    def __init__(self, *looks: dict[str, str]) -> None:
        self._looks = list(looks)

    def snapshot(self) -> Snapshot:
        pods = self._looks.pop(0)
        addresses = {key: (ip_address(address),) for key, address in pods.items()}
        return Snapshot(agents={}, nodes={}, keys={}, pods=dict.fromkeys(pods, "one"), addresses=addresses)


def test_what_the_first_look_shows_was_there_before_and_what_a_later_one_shows_was_not() -> None:
    cluster: Any = Shown({"a/old": "10.0.0.1"}, {"a/old": "10.0.0.1", "a/new": "10.0.0.2"}, {"a/new": "10.0.0.3"})
    observer = Observer(cluster, Ledger(["one"]), ["one"])
    for _ in range(3):
        observer.look()
    lives = {(life.pod.name, str(life.pod.addresses[0])): life for life in observer.lives()}
    assert lives.keys() == {("old", "10.0.0.1"), ("new", "10.0.0.2"), ("new", "10.0.0.3")}
    assert lives["old", "10.0.0.1"].first_at == 0.0
    assert lives["new", "10.0.0.2"].first_at > 0.0
    assert lives["new", "10.0.0.3"].first_at >= lives["new", "10.0.0.2"].last_at


def test_what_lasts_as_long_as_its_node_is_there_all_the_time_once_pods_are_known() -> None:
    cluster: Any = Shown({"a/old": "10.0.0.1"})
    ingress = Pod(name="ingress", namespace="reserved", node="one", addresses=(ip_address("10.0.0.9"),))
    observer = Observer(cluster, Ledger(["one"]), ["one"], [ingress])
    assert observer.lives() == ()
    observer.look()
    old, lasting = observer.lives()
    assert (lasting.pod, lasting.first_at) == (ingress, 0.0)
    assert lasting.last_at >= old.last_at
