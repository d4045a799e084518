"""Which node and device a capture is from: as its name or `captures.yaml` says, else as the addresses in it show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from pytest_ciliumwg.agent.capture.packet_headers import packets
from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.observe.wireguard import DEVICE
from pytest_ciliumwg.providers.offline.captures.capture import Capture, Interface
from pytest_ciliumwg.providers.offline.captures.counting import FrameCounter

_MOSTLY = 0.9
"""How much of a capture has to be a device's own for the device to be known by it."""
_MULTICAST = 1


@dataclass(frozen=True, slots=True)
class Counted:
    """One interface of one capture, counted."""

    file: Capture
    interface: Interface
    frames: FrameCounter
    index: int | None = None
    """Of a capture of the device `any`: the number that the frames' device has on its node."""

    @property
    def same(self) -> tuple[int, float, float] | None:
        """What no two captures have in common; None for one that holds nothing."""
        frames = self.frames
        return (frames.frames, frames.first, frames.last) if frames.frames else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a capture is from, or why that is not known."""

    node: str = ""
    device: str = ""
    told: str = ""
    """How it was found out, where nothing said it; what does not fit, where something did."""
    problem: str = ""
    """Why nothing of it counts."""


class Origins:
    """Finds out where captures are from.

    Args:
        addresses: Node → its addresses.
        pods: Address → node, of pods and Cilium's own endpoints.
        states: The nodes from the inside.
        named: Of `captures.yaml`: file → `node` and `device`.
    """

    def __init__(
        self,
        addresses: Mapping[str, Iterable[IPAddress]],
        pods: Mapping[IPAddress, str],
        states: Mapping[str, NodeState],
        named: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._nodes = {ip: node for node, owned in addresses.items() for ip in owned}
        self._names = sorted(addresses, key=len, reverse=True)
        self._known = {**pods, **self._nodes}
        self._states = states
        self._named = named
        self._macs = {
            link.mac: (node, link.name) for node, state in states.items() for link in state.native_devices if link.mac
        }

    def native(self, node: str) -> set[str]:
        """A node's native devices."""
        return {link.name for link in self._states[node].native_devices}

    def of(self, counted: Counted) -> Origin:
        """Where one capture is from; without a node or a problem: from a device that is of no matter."""
        if counted.index is not None:
            return self._of_any(counted, counted.index)
        origin = self._of(counted)
        state = self._states.get(origin.node)
        native = [link for link in state.native_devices if link.name == origin.device] if state else []
        if counted.frames.frames and not counted.frames.ethernet and any(link.mac for link in native):
            return Origin(
                problem=f"has no Ethernet headers, and {origin.node}'s {origin.device} has: it is of another device, "
                "such as the inside of the tunnel"
            )
        return origin

    def _of_any(self, counted: Counted, index: int) -> Origin:
        """The same of the frames of one device, in a capture of the device `any`."""
        node, _ = self._said(counted.file.name.rpartition("/")[2], "")
        if not node:
            return Origin(problem="is of the device `any`, and nothing says of which node: name its file NODE.pcap")
        native = {link.index: link.name for link in self._states[node].native_devices}
        if index not in native:
            return Origin()
        shown = self._shown(counted.frames)
        if shown and node not in {found for found, _ in shown}:
            return Origin(problem=f"has {node} in its name, but its frames are those of {shown[0][0]}")
        return Origin(node, native[index])

    def _of(self, counted: Counted) -> Origin:
        name = counted.file.name.rpartition("/")[2]
        if not counted.frames.frames:
            node, device = self._said(name, counted.interface.name)
            return self._whole(node, device, "") if node else Origin(problem="holds no frame, and nothing says whose")
        shown = self._shown(counted.frames)
        node, device = self._said(name, counted.interface.name)
        if not shown and not self._any_known(counted.frames):
            return Origin(
                problem="holds no frame of any node or pod of this cluster, so it is another cluster's, or was taken "
                "at another time"
            )
        if node and counted.frames.has_macs and not self._has_mac_of(node, counted.frames):
            return Origin(
                problem=f"has no frame with an Ethernet address of {node}, though its name says so: it is another "
                "cluster's with the same addresses, or of another network or device"
            )
        of_node = [found for found in shown if found[0] == node]
        if node and (of_node or len(shown) != 1):
            return self._whole(node, device or (of_node[0][1] if of_node else ""), "")
        if node:
            return self._whole(*shown[0], f"its name says {node}, but its frames are those of {shown[0][0]}")
        if len(shown) != 1:
            return Origin(problem="is of no single node: name its file NODE.DEVICE.pcap, or write captures.yaml")
        return self._whole(*shown[0], f"is from {' '.join(filter(None, shown[0]))}, as the addresses in it show")

    def _whole(self, node: str, device: str, told: str) -> Origin:
        """With the device, which is known also where the node has but one."""
        state = self._states.get(node)
        native = [link.name for link in state.native_devices] if state else []
        known = state is not None and "native_devices" not in state.unread
        if device in native or (device not in ("", DEVICE) and not known):
            return Origin(node, device, told)
        if device:
            inside = "shows the inside of the tunnel" if device == DEVICE else "is from no native device"
            return Origin(problem=f"{inside} ({node} {device}), and says nothing of what passes between the nodes")
        if len(native) == 1:
            return Origin(node, native[0], told)
        return Origin(problem=f"is from {node}, of which device nothing says: name its file {node}.DEVICE.pcap")

    def _said(self, file: str, interface: str) -> tuple[str, str]:
        """What `captures.yaml`, the file's name and the file say."""
        named = self._named.get(file)
        if named is not None:
            return str(named.get("node", "")), str(named.get("device", interface))
        found = re.match(r"(?P<stem>.+?)\.(?:pcap|pcapng|cap|dmp)(?:\.gz)?$", file, re.IGNORECASE)
        stem = found["stem"] if found else file
        node = next((name for name in self._names if _within(name, stem)), "")
        if not node:
            return "", interface
        rest = re.sub(rf"(?<![A-Za-z0-9]){re.escape(node)}(?![A-Za-z0-9])", " ", stem)
        state = self._states.get(node)
        devices = sorted((link.name for link in state.devices), key=len, reverse=True) if state else []
        return node, next((device for device in devices if _within(device, rest)), interface or rest.strip(" ._-"))

    def _shown(self, frames: FrameCounter) -> list[tuple[str, str]]:
        """The devices that are an end of nearly all frames, by their Ethernet addresses; else the nodes, by IP's."""
        machines: Counter[tuple[str, str]] = Counter()
        nodes: Counter[tuple[str, str]] = Counter()
        whole = of_nodes = 0
        for slot in frames.seen():
            if frames.has_macs and len(slot.frame) >= 12 and not slot.frame[0] & _MULTICAST:
                whole += slot.count
                ends = {_mac(slot.frame[0:6]), _mac(slot.frame[6:12])}
                machines.update({self._macs[mac]: slot.count for mac in ends if mac in self._macs})
            if own := self._own(slot.frame, ethernet=frames.ethernet):
                of_nodes += slot.count
                nodes.update({(node, ""): slot.count for node in own})
        by_mac = [device for device, count in machines.items() if count >= _MOSTLY * whole]
        return by_mac or [node for node, count in nodes.items() if count >= _MOSTLY * of_nodes]

    def _own(self, frame: bytes, *, ethernet: bool) -> set[str]:
        """The nodes whose frame it is, by the outermost addresses."""
        found = packets(frame, ethernet=ethernet)[:1]
        ends = (ip_address(end) for packet in found for end in (packet.source, packet.destination))
        return {self._known[end] for end in ends if end in self._known}

    def _has_mac_of(self, node: str, frames: FrameCounter) -> bool:
        """Whether a native device of a node is an end of any frame; also where its Ethernet addresses are not known."""
        state = self._states.get(node)
        native = {link.mac for link in state.native_devices if link.mac} if state else set()
        macs = native or (state.macs if state else set())
        return not macs or any({_mac(slot.frame[0:6]), _mac(slot.frame[6:12])} & macs for slot in frames.seen())

    def _any_known(self, frames: FrameCounter) -> bool:
        return any(self._own(slot.frame, ethernet=frames.ethernet) for slot in frames.seen())


def _within(name: str, text: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", text) is not None


def _mac(packed: bytes) -> str:
    return packed.hex(":")
