"""pcaps of exactly the frames that matter: ours, seen in cleartext where encryption is promised."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from pytest_ciliumwg.model.traffic import EvidenceFrame
from pytest_ciliumwg.verdict.judge import Judge

_MAGIC_NANOSECONDS = 0xA1B23C4D
_ETHERNET = 1
_SNAPLEN = 262144


Frames = dict[tuple[str, str], list[EvidenceFrame]]
"""(Node, device) → frames."""


def evidence_of(judge: Judge) -> Frames:
    """The frames of leaks that were kept; nothing of flows that are not promised to be encrypted."""
    unpromised = {flow.id for flow in judge.measurement.flows if not flow.promised}
    frames: Frames = {}
    for watch in judge.measurement.watches.values():
        for seen in watch.sightings:
            if seen.flow not in unpromised:
                frames.setdefault((watch.node, seen.device), []).extend(seen.evidence)
    return frames


def write_evidence(several: Iterable[Frames], directory: Path) -> list[Path]:
    """Write `NODE.DEVICE.pcap` for each device on which a leak was sighted; returns the files.

    Raises:
        OSError: the directory cannot be written.
    """
    all_frames: Frames = {}
    for frames in several:
        for where, device_frames in frames.items():
            all_frames.setdefault(where, []).extend(device_frames)
    written = []
    for (node, device), device_frames in all_frames.items():
        path = directory / f"{node}.{device}.pcap"
        path.write_bytes(pcap(sorted(device_frames, key=lambda frame: frame.at)))
        written.append(path)
    return written


def pcap(frames: Iterable[EvidenceFrame]) -> bytes:
    """A capture file of Ethernet frames, with nanoseconds."""
    parts = [struct.pack("<IHHiIII", _MAGIC_NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, _ETHERNET)]
    for frame in frames:
        seconds = int(frame.at)
        parts.append(struct.pack("<IIII", seconds, int((frame.at - seconds) * 1e9), len(frame.data), frame.length))
        parts.append(frame.data)
    return b"".join(parts)
