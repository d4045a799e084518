"""Take in captures as they come by, and put them down to nodes once the cluster is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.watch import WatchReport
from pytest_ciliumwg.providers.offline.archive import File
from pytest_ciliumwg.providers.offline.captures.attribution import Counted, Origin, Origins
from pytest_ciliumwg.providers.offline.captures.capture import Interface, Take
from pytest_ciliumwg.providers.offline.captures.cooked import COOKED, COOKED_OLD, CookedCounter
from pytest_ciliumwg.providers.offline.captures.counting import LINK_TYPES, FrameCounter
from pytest_ciliumwg.providers.offline.captures.files import read_capture
from pytest_ciliumwg.providers.offline.captures.watches import CapturedWatch, Known

_NO_DROPS = (
    "do not tell whether frames were dropped: those of `pytest-ciliumwg collect --capture` do, and of another one "
    "captures.yaml can, with the `drops` that tcpdump says at its end"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What captures show."""

    watches: Mapping[str, WatchReport]
    """By node."""
    told: Sequence[str]
    """How it was found out whose they are."""
    untold: Sequence[str]
    """What they do not tell of themselves, so that their silence proves nothing; a sentence each."""


class Captures:
    """All captures of an input."""

    def __init__(self) -> None:
        self._taken: list[Counted] = []
        self._names: dict[str, None] = {}

    def __len__(self) -> int:
        return len({id(counted.interface) for counted in self._taken})

    def names(self) -> list[str]:
        """The files', those of other things too that were taken for captures."""
        return list(self._names)

    def take(self, file: File, problems: list[str]) -> None:
        """Read one file to its end."""
        self._names[file.name] = None
        counters: list[tuple[Interface, FrameCounter | CookedCounter]] = []

        def taker(interface: Interface) -> Take:
            cooked = interface.link_type == COOKED
            counters.append((interface, CookedCounter() if cooked else FrameCounter(interface.link_type)))
            return counters[-1][1].take

        capture = read_capture(file.name, file.stream, taker)
        if capture.problem:
            problems.append(f"the capture {file.name} {capture.problem}")
        for interface, counter in counters:
            if isinstance(counter, CookedCounter):
                self._taken += [Counted(capture, interface, found, index) for index, found in counter.by_index.items()]
            elif interface.link_type in LINK_TYPES:
                self._taken.append(Counted(capture, interface, counter))
            else:
                problems.append(f"the capture {file.name} {_of_no_use(interface.link_type)}")

    def watches(
        self,
        known: Known,
        states: Mapping[str, NodeState],
        named: Mapping[str, Mapping[str, Any]],
        problems: list[str],
    ) -> Shown:
        """What the captures show of each node, and say of themselves.

        Args:
            known: What the cluster tells.
            states: The nodes from the inside.
            named: Of `captures.yaml`: file → `node`, `device` and `drops`.
            problems: Gets what is wrong with captures, a sentence each.
        """
        watches = {name: CapturedWatch(state, known) for name, state in states.items()}
        told: list[str] = []
        for counted in self._taken:
            drops = named.get(PurePosixPath(counted.file.name).name, {}).get("drops")
            if counted.interface.drops is None and isinstance(drops, int):
                counted.interface.drops = drops
        origins = Origins(
            {node.name: (*node.addresses, *node.external_addresses) for node in known.nodes},
            {
                **{ip: node.name for node in known.nodes for ip in node.cilium_addresses},
                **{ip: pod.node for pod in known.pods for ip in pod.addresses},
            },
            states,
            named,
        )
        known_from = self._with_origins(origins, told, problems)
        for counted, origin in sorted(known_from, key=lambda found: -found[0].frames.frames):
            watches[origin.node].add(origin.device, counted)
        for name, watch in watches.items():
            problems += [
                f"{count} frames {source} → {destination} in cleartext in the captures of {name}: both are addresses "
                "of pods' networks, of two nodes, and which pods these were the input does not tell"
                for (source, destination), count in watch.strangers.items()
            ]
        silent = len({id(counted.interface) for counted, _ in known_from if counted.interface.drops is None})
        untold = [f"{silent} captures {_NO_DROPS}"] if silent else []
        return Shown({name: watch.report() for name, watch in watches.items()}, told, untold)

    def _with_origins(self, origins: Origins, told: list[str], problems: list[str]) -> list[tuple[Counted, Origin]]:
        """The captures of native devices, each once, with where they are from."""
        found: list[tuple[Counted, Origin]] = []
        first: dict[object, str] = {}
        for counted in self._taken:
            origin, same = origins.of(counted), counted.same
            if same is not None and (earlier := first.setdefault(same, counted.file.name)) != counted.file.name:
                origin = Origin(problem=f"holds the same frames as {earlier}, and counts once")
            _tell(counted, origin, told, problems)
            if origin.node and not origin.problem:
                found.append((counted, origin))
        return [*found, *_silent_devices(found, origins)]


def _of_no_use(link_type: int) -> str:
    """Why a capture with such a link type is not judged, in a clause."""
    if link_type == COOKED_OLD:
        return (
            "is of the device `any` in the old format, which does not tell what passed where: capture each native "
            "device by itself, or with `tcpdump -i any -y LINUX_SLL2`"
        )
    return f"has link type {link_type}, and what is read is Ethernet, IP and LINUX_SLL2"


def _silent_devices(found: Iterable[tuple[Counted, Origin]], origins: Origins) -> Iterator[tuple[Counted, Origin]]:
    """The native devices of which a capture of the device `any` holds nothing, though it was of them too."""
    cooked: dict[str, tuple[Counted, Origin]] = {}
    heard: dict[str, set[str]] = {}
    for counted, origin in found:
        if counted.index is not None:
            cooked[counted.file.name] = counted, origin
            heard.setdefault(counted.file.name, set()).add(origin.device)
    for name, (counted, origin) in cooked.items():
        for device in origins.native(origin.node) - heard[name]:
            yield Counted(counted.file, counted.interface, FrameCounter(COOKED)), Origin(origin.node, device)


def _tell(counted: Counted, origin: Origin, told: list[str], problems: list[str]) -> None:
    name = counted.file.name
    if origin.problem:
        problems.append(f"the capture {name} {origin.problem}")
    elif origin.told:
        told.append(f"the capture {name}: {origin.told}")
