"""`NODE.DEVICE.pcapng` for each device on which a leak was sighted, and what report.json says of each file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.expect.facts import fact
from pytest_ciliumwg.expect.versions import parse_version
from pytest_ciliumwg.model.traffic import Flow
from pytest_ciliumwg.report.evidence import dissect
from pytest_ciliumwg.report.evidence.kept import Kept, Where

MOST_DECODED = 400
"""Frames that are decoded; all are in the files, and these are of as many leaks as possible."""
_HEX_BYTES = 160
_SECONDS = 120


def write_evidence(frames: Mapping[Where, list[Kept]], directory: Path) -> list[dict[str, Any]]:
    """Write the files; returns a row for each, with its frames.

    Raises:
        CiliumwgError: they could not be written or decoded.
    """
    if not frames:
        return []
    chosen = _chosen(kept for of_device in frames.values() for kept in of_device)
    files = [
        {
            "path": str((directory / f"{node}.{device}.pcapng").absolute()),
            "device": device,
            "packets": [_packet(kept, decode=id(kept) in chosen) for kept in of_device],
        }
        for (node, device), of_device in frames.items()
    ]
    decoded = _dissected({"wireguard_port": fact("listen_port", parse_version(DEFAULT_VERSION)), "files": files})
    return [
        _row(Path(str(file["path"])), where, of_device, told)
        for file, (where, of_device), told in zip(files, frames.items(), decoded, strict=True)
    ]


def _chosen(frames: Iterable[Kept]) -> frozenset[int]:
    """Which frames are decoded: the first ones of every sighting first, and of every pair as many as of any other."""
    ranked, sighting, pair = [], Counter[int](), Counter[object]()
    for kept in frames:
        of_pair = (
            (kept.seen.node, kept.flow.pair, kept.flow.family, kept.flow.protocol) if kept.flow else kept.seen.node
        )
        sighting[id(kept.seen)] += 1
        pair[of_pair] += 1
        ranked.append((sighting[id(kept.seen)], pair[of_pair], id(kept)))
    return frozenset(number for _, _, number in sorted(ranked)[:MOST_DECODED])


def _kind(flow: Flow | None) -> tuple[object, ...]:
    return (flow.pair, flow.family, flow.protocol) if flow else ()


def _packet(kept: Kept, *, decode: bool) -> dict[str, Any]:
    return {
        "at": kept.frame.at,
        "data": kept.frame.data.hex(),
        "length": kept.frame.length,
        "outgoing": kept.seen.outgoing,
        "comment": kept.comment,
        "decode": decode,
    }


def _row(path: Path, where: Where, frames: list[Kept], decoded: list[dict[str, Any] | None]) -> dict[str, Any]:
    node, device = where
    return {
        "file": path.name,
        "node": node,
        "device": device,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "frames": [
            {"number": number, **kept.fields(), **({"hex": kept.frame.data[:_HEX_BYTES].hex(), **told} if told else {})}
            for number, (kept, told) in enumerate(zip(frames, decoded, strict=True), 1)
        ],
    }


def _dissected(request: dict[str, Any]) -> list[list[dict[str, Any] | None]]:
    """The answer of the program that knows scapy."""
    with tempfile.TemporaryDirectory(prefix="ciliumwg-") as home:
        kept = {name: os.environ[name] for name in ("LANG", "PATH", "PYTHONDONTWRITEBYTECODE") if name in os.environ}
        homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), home)
        try:
            done = subprocess.run(
                [sys.executable, "-P", dissect.__file__],
                input=json.dumps(request),
                env=kept | homes | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                cwd=home, capture_output=True, text=True, timeout=_SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CiliumwgError(f"frames of leaks could not be decoded: {error}") from error
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise CiliumwgError(f"frames of leaks could not be written and decoded: {last or done.returncode}")
    answer: list[list[dict[str, Any] | None]] = json.loads(done.stdout)
    return answer
