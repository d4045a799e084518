"""Find what happened in the cluster, by the differences between two snapshots of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_ciliumwg.model.timeline import AgentPod, Event, EventKind, Snapshot

Told = tuple[EventKind, str, str | None]
"""What kind, in words, on which node."""


def differences(before: Snapshot, after: Snapshot) -> Iterator[Told]:
    """What must have happened between two snapshots."""
    if before.revision != after.revision:
        yield "revision", f"the installation became revision {after.revision or 'unknown'}", None
    yield from _nodes(before.nodes, after.nodes)
    for node in sorted({*before.agents, *after.agents}):
        yield from _agents(node, before.agents.get(node), after.agents.get(node))
    yield from _keys(before.keys, after.keys)
    yield from _pods(before.pods, after.pods)


def _nodes(before: Mapping[str, bool], after: Mapping[str, bool]) -> Iterator[Told]:
    for node in sorted({*before, *after}):
        if node not in after:
            yield "node-gone", "the node left the cluster", node
        elif after[node] != before.get(node, False):
            yield ("node-ready", "the node became Ready", node) if after[node] else (
                "node-not-ready", "the node became NotReady", node
            )  # fmt: skip


def _agents(node: str, before: AgentPod | None, after: AgentPod | None) -> Iterator[Told]:
    replaced = before is not None and after is not None and before.name != after.name
    if before is not None and before.ready and (after is None or replaced or not after.ready):
        yield "agent-gone", f"the Cilium agent {before.name} went away", node
    was_ready = before is not None and before.ready and not replaced
    if after is not None and after.ready and not was_ready:
        image = f" ({after.image})" if after.image and (before is None or before.image != after.image) else ""
        yield "agent-ready", f"the Cilium agent {after.name}{image} became ready", node


def _keys(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Told]:
    for node in sorted({*before, *after}):
        if node in after and after[node] != before.get(node):
            yield "key-changed", "the node published a new key" if node in before else "the node published a key", node
        elif node not in after:
            yield "key-changed", "the node's key is not published any more", node


def _pods(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Told]:
    for pod in sorted(before.keys() - after.keys()):
        yield "pod-deleted", f"the pod {pod} was deleted", before[pod]
    for pod in sorted(after.keys() - before.keys()):
        yield "pod-created", f"the pod {pod} was created", after[pod]


def peer_differences(before: Mapping[str, frozenset[str]], after: Mapping[str, frozenset[str]]) -> Iterator[Told]:
    """What changed between two observations of the nodes' peers (node → names or keys of its peers)."""
    for node in sorted(before.keys() & after.keys()):
        lost, won = sorted(before[node] - after[node]), sorted(after[node] - before[node])
        if lost or won:
            said = [f"{word} {', '.join(some)}" for word, some in (("lost", lost), ("got", won)) if some]
            yield "peers-changed", f"its peers changed: {'; '.join(said)}", node


def in_order(events: list[Event]) -> tuple[Event, ...]:
    """Events in the order of time."""
    return tuple(sorted(events, key=lambda event: (event.at, event.since)))
