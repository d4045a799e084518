"""Leaks at random moments of random changes, and changes without any leak: every leak must be sighted, nothing else.

    python -m bench.changing [--leaks=200] [--healthy-minutes=60] [--seed=N]

Each leak lets 1 to 100 packets of one pod to another out in cleartext, while agents restart, keys change, pods come
and go, or the version and with it the steering changes. What the kernel counted as let out is compared with what the
watch says: how many frames, of which flows, at which two nodes, and after which change.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pytest_ciliumwg.diagnosis.causes import Causes
from pytest_ciliumwg.diagnosis.leaks import leaks
from pytest_ciliumwg.faults.tools.window import leak_packets
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.timeline import ChangeStep, Timeline
from pytest_ciliumwg.model.traffic import Sighting
from pytest_ciliumwg.providers.lab import LabCluster, LabSpec, create_lab
from pytest_ciliumwg.watch.continuous import ContinuousWatch

VERSIONS = ("1.13.18", "1.15.10", "1.20.3")
LEAKS_PER_LAB = 20
"""So many leaks in one watch; the next lab begins with another version."""
PASS_SECONDS = 20.0
APART_SECONDS = 0.6
"""Leaks so far apart are intervals of their own, even on one flow."""


@dataclass(frozen=True)
class Injected:
    """What was let out."""

    change: str
    source: str
    destination: str
    family: IPFamily
    packets: int
    began: float
    ended: float


class Changes:
    """Random changes of one lab, each noted like a run notes it."""

    def __init__(self, cluster: LabCluster, watch: ContinuousWatch, dice: random.Random) -> None:
        self._cluster, self._watch, self._dice = cluster, watch, dice
        self._operations = cluster.operations
        self.made = 0
        self._kinds: tuple[tuple[ChangeStep, str, Callable[[str], None]], ...] = (
            ("restart-agent", "restarting the Cilium agent", lambda node: self._operations.restart_agents([node])),
            ("restart-agent", "restarting all Cilium agents", lambda _: self._operations.restart_agents(self.nodes)),
            ("replace-key", "replacing the private key", self._operations.replace_key),
            ("create-pod", "churning pods", self._churn),
            (
                "upgrade",
                "bringing Cilium to another version",
                lambda _: self._operations.upgrade(self._other_version()),
            ),
        )

    @property
    def nodes(self) -> list[str]:
        return [pod.node for pod in self._cluster.test_pods()]

    def make(self) -> str:
        step, what, act = self._dice.choice(self._kinds)
        node = self._dice.choice(self.nodes)
        self._watch.note(step, what, node)
        act(node)
        self.made += 1
        return f"{what} on {node}"

    def _churn(self, node: str) -> None:
        for _ in range(2):
            pod = self._operations.create_pod(node)
            self._watch.send_from(pod)
            time.sleep(self._dice.uniform(0.05, 0.3))
            self._operations.delete_pod(pod)

    def _other_version(self) -> str:
        present = self._cluster.declared.version
        return self._dice.choice([version for version in VERSIONS if version != present])


def watch_of(cluster: LabCluster) -> ContinuousWatch:
    return ContinuousWatch(cluster, {node.name: ["eth0"] for node in cluster.nodes()}, 51871, lambda _: None)


def inject(cluster: LabCluster, dice: random.Random, change: str) -> Injected | None:
    """Let packets out between two random pods; None where the change left nothing to let out."""
    source, destination = dice.sample(cluster.lab.layout, 2)
    family, count = dice.choice(cluster.lab.families), dice.randint(1, 100)
    began = time.time()
    leak = leak_packets(cluster.lab, source, destination, family, count)
    try:
        deadline = time.monotonic() + PASS_SECONDS
        while (passed := leak.passed()) < count and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        leak.close()
    ended = time.time()
    return Injected(change, source.name, destination.name, family, passed, began, ended) if passed else None


def leaking(cluster: LabCluster, dice: random.Random, wanted: int) -> tuple[list[Injected], Timeline]:
    """Changes with one leak each, within one watch."""
    found: list[Injected] = []
    with watch_of(cluster) as watch:
        changes = Changes(cluster, watch, dice)
        while len(found) < wanted:
            begun: list[str] = []
            thread = threading.Thread(target=lambda into=begun: into.append(changes.make()))
            thread.start()
            time.sleep(dice.uniform(0.0, 1.5))
            one = inject(cluster, dice, "")
            thread.join()
            found += [Injected(begun[0], *list(vars(one).values())[1:])] if one else []
            time.sleep(APART_SECONDS)
        return found, watch.stop()


def mistakes(injected: list[Injected], timeline: Timeline) -> list[str]:
    """What the timeline says otherwise than what was done."""
    wrong, left = [], list(timeline.clear)
    for leak in injected:
        mine = [seen for seen in left if leak.began - 0.1 <= seen.first_at <= leak.ended + 0.1]
        left = [seen for seen in left if seen not in mine]
        wrong += _wrong_with(leak, mine, timeline)
    return [*wrong, *(f"seen, but never let out: {seen}" for seen in left), *_doubts(timeline)]


def _wrong_with(leak: Injected, mine: list[Sighting], timeline: Timeline) -> list[str]:
    wrong = [f"{leak}: a frame of {timeline.flows.get(seen.flow)}" for seen in mine if not _fits(leak, seen, timeline)]
    for node, outgoing in ((leak.source, True), (leak.destination, False)):
        frames = sum(seen.frames for seen in mine if (seen.node, seen.outgoing) == (node, outgoing))
        if frames != leak.packets:
            wrong.append(f"{leak}: {frames} frames at {node}")
    for seen in mine:
        change = Causes(timeline).of(seen).change
        if str(change) != leak.change:
            wrong.append(f"{leak}: put down to {change}")
    return wrong


def _fits(leak: Injected, seen: Sighting, timeline: Timeline) -> bool:
    flow = timeline.flows.get(seen.flow)
    if flow is None or flow.family is not leak.family:
        return False
    return flow.pair == (
        (leak.source, leak.destination) if seen.direction == "request" else (leak.destination, leak.source)
    )


def _doubts(timeline: Timeline) -> list[str]:
    return [*(f"blind: {span}" for span in timeline.blind), *(f"unsound: {why}" for why in timeline.unsound)]


def all_leaks(count: int, dice: random.Random) -> list[str]:
    wrong, done, packets = [], 0, 0
    while done < count:
        version = VERSIONS[done // LEAKS_PER_LAB % len(VERSIONS)]
        cluster = create_lab(LabSpec(cilium_version=version), lambda _: None)
        try:
            injected, timeline = leaking(cluster, dice, min(LEAKS_PER_LAB, count - done))
        finally:
            cluster.close()
        found = mistakes(injected, timeline)
        done, packets = done + len(injected), packets + sum(leak.packets for leak in injected)
        print(
            f"{done} leaks of {packets} packets in all, {len(found)} mistakes in the last {len(injected)}", flush=True
        )
        wrong += found
    return wrong


def healthy(minutes: float, dice: random.Random) -> list[str]:
    """Changes all the time, and not one sighting."""
    cluster = create_lab(LabSpec(cilium_version=VERSIONS[-1]), lambda _: None)
    try:
        with watch_of(cluster) as watch:
            changes, end, told = Changes(cluster, watch, dice), time.monotonic() + minutes * 60, 0.0
            while time.monotonic() < end:
                changes.make()
                if time.monotonic() - told > 60:
                    told = time.monotonic()
                    print(f"{changes.made} changes, {len(watch.ledger.clear)} sightings", flush=True)
            timeline = watch.stop()
    finally:
        cluster.close()
    for leak in leaks(timeline):
        print(f"{leak.where}: {leak.told}")
    answered = sum(totals.answered for totals in timeline.totals.values())
    print(f"{minutes:g} minutes, {changes.made} changes, {answered} messages answered, {len(timeline.clear)} sightings")
    return [*(f"seen, but never let out: {seen}" for seen in timeline.clear), *_doubts(timeline)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaks", type=int, default=200)
    parser.add_argument("--healthy-minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    dice = random.Random(options.seed)  # noqa: S311 - no secret
    wrong = all_leaks(options.leaks, dice) if options.leaks else []
    wrong += healthy(options.healthy_minutes, dice) if options.healthy_minutes else []
    for mistake in wrong[:20]:
        print(mistake)
    print("good" if not wrong else f"NOT GOOD: {len(wrong)} mistakes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
