"""The record of a run in its report: with it the run can be judged again, offline."""

from __future__ import annotations

import gzip
import io
from dataclasses import replace
from pathlib import Path

from pytest_ciliumwg.model.codec import encoded
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.recording import FORMAT, NAME, Recording
from pytest_ciliumwg.model.traffic import Sighting
from pytest_ciliumwg.model.watch import WatchReport
from pytest_ciliumwg.report.record import RunRecord

_LEVEL = 1
"""What a run tells repeats itself so much that more effort saves little."""
_DEPTH = 3
"""The record's measurement has watches, and each watch of a large cluster is large."""
_BUFFER = 1 << 20


def recording(record: RunRecord) -> Recording | None:
    """What the run saw before anything was changed; None where it did not get to look at the nodes."""
    if record.first is None or record.declared is None:
        return None
    judge = record.judges.get("initial")
    return Recording(
        format=FORMAT,
        provider=record.provider,
        description=tuple(record.description),
        declared=record.declared,
        configs=record.configs,
        members=record.members,
        first=record.first,
        measurement=_shortened(judge.measurement) if judge else None,
        changes=(*record.changes_untold, *(made.change.name for made in record.changes)),
    )


def write_recording(record: RunRecord, directory: Path) -> Path | None:
    """Write it; None where there is nothing to write.

    Raises:
        OSError: it cannot be written.
    """
    made = recording(record)
    if made is None:
        return None
    path = directory / NAME
    with gzip.open(path, "wb", compresslevel=_LEVEL) as packed, io.BufferedWriter(packed, _BUFFER) as file:
        file.write(f'{{"format":{FORMAT},"recording":'.encode())
        for part in encoded(made, _DEPTH):
            file.write(part.encode())
        file.write(b"}")
    return path


def _shortened(measurement: Measurement) -> Measurement:
    """With one frame of each sighting: the others are in the report's captures."""
    watches = {node: _with_first_frames(watch) for node, watch in measurement.watches.items()}
    return replace(measurement, watches=watches)


def _with_first_frames(watch: WatchReport) -> WatchReport:
    def first(seen: tuple[Sighting, ...]) -> tuple[Sighting, ...]:
        return tuple(replace(one, evidence=one.evidence[:1]) for one in seen)

    return replace(watch, sightings=first(watch.sightings), quoted=first(watch.quoted))
