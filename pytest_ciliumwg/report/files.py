"""The files of a report: each is tried on its own, so that one that fails costs neither the others nor the verdict."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.model.recording import NAME
from pytest_ciliumwg.report import conformance_yaml, github, json_report, metrics
from pytest_ciliumwg.report.evidence.files import write_evidence
from pytest_ciliumwg.report.evidence.kept import evidence
from pytest_ciliumwg.report.html import page
from pytest_ciliumwg.report.record import RunRecord
from pytest_ciliumwg.report.recording import write_recording

Document = Mapping[str, Any]
Writers = Mapping[str, Callable[[Document], str]]
WRITERS: Writers = {
    json_report.NAME: json_report.text,
    conformance_yaml.NAME: conformance_yaml.text,
    metrics.NAME: metrics.text,
    page.NAME: page.render,
}
"""Name of a file → what makes its text, from the fields of report.json alone."""
_OURS = frozenset((*WRITERS, NAME, "the report", "the evidence", "the step's summary"))


def every_writer(added: Iterable[Writers]) -> Writers:
    """Our own writers and those that plugins add.

    Raises:
        CiliumwgError: a name is taken, or is none of a file.
    """
    found = dict(WRITERS)
    for name, text in (item for writers in added for item in writers.items()):
        if name in found or Path(name).name != name:
            raise CiliumwgError(f"a plugin's report writer cannot have the file {name!r}: taken, or no file's name")
        found[name] = text
    return found


def make_ready(directory: Path, writers: Writers = WRITERS) -> None:
    """Make the directory, see that it can be written, and remove an earlier run's files.

    These would be taken for those of a run which does not get to write any.

    Raises:
        CiliumwgError: it cannot be written.
    """
    require_writable(directory)
    for name in (*_captures(directory), NAME, *writers):
        with contextlib.suppress(OSError):
            (directory / name).unlink()


def require_writable(directory: Path) -> None:
    """Make the directory, and see that it can be written.

    Raises:
        CiliumwgError: it cannot.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise CiliumwgError(f"the report cannot be written into {directory}: {error.strerror}") from None


def _captures(directory: Path) -> list[str]:
    """The capture files that an earlier run's report names, of those beside it."""
    try:
        earlier = json.loads((directory / json_report.NAME).read_text(encoding="utf-8"))
        return [Path(row["file"]).name for row in earlier["evidence"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def made(make: Callable[[], Document], tell: Callable[[str], object]) -> Document:
    """The fields of report.json; empty where they cannot be made, which is told."""
    document: dict[str, Any] = {}
    with _telling("the report", Path(), tell):
        document.update(make())
    return document


def write(
    record: RunRecord, document: Document, directory: Path, tell: Callable[[str], object], writers: Writers = WRITERS
) -> None:
    """Write all files, and tell of what was written, and of each that was not in one sentence why."""
    kept: dict[str, Any] = {"evidence": [], "evidence_missing": "they could not be written"}
    with _telling("the evidence", directory, tell):
        try:
            kept = {"evidence": write_evidence(evidence(record), directory), "evidence_missing": ""}
        except CiliumwgError as error:
            kept["evidence_missing"] = str(error)
            tell(str(error))
    written = [row["file"] for row in kept["evidence"]]
    for name, text in writers.items() if document else ():
        with _telling(name, directory, tell):
            (directory / name).write_text(text({**document, **kept}), encoding="utf-8")
            written.append(name)
    with _telling(NAME, directory, tell):
        if path := write_recording(record, directory):
            written.append(path.name)
    if written:
        tell(f"wrote {_named(written, directory)}")


def _named(written: Sequence[str], directory: Path) -> str:
    """What was written: the file to begin with, and how many more."""
    first = next((name for name in (page.NAME, json_report.NAME) if name in written), written[0])
    more = len(written) - 1
    others = f" and {more} more {'file' if more == 1 else 'files'}" if more else ""
    return f"{directory / first}{others}"


def tell_github(
    document: Document,
    environ: Mapping[str, str],
    command: Callable[[str], object],
    tell: Callable[[str], object],
) -> None:
    """In GitHub Actions: annotations, which are commands on lines of their own, and the summary of the step."""
    place = Path(environ.get(github.SUMMARY) or os.devnull)
    with _telling("the step's summary", place, tell):
        for line in github.commands(document):
            command(line)
        github.append_summary(document, place)


@contextlib.contextmanager
def _telling(what: str, directory: Path, tell: Callable[[str], object]) -> Iterator[None]:
    try:
        yield
    except CiliumwgError as error:
        tell(str(error))
    except OSError as error:
        tell(f"{what} could not be written into {directory}: {error.strerror}")
    except Exception as error:  # whatever is wrong with a report, the verdict has to be told
        told = f"{type(error).__name__}: {error}"
        whose = "of pytest-ciliumwg" if what in _OURS else "of the plugin that makes it"
        tell(f"{what} could not be made, which is a defect {whose}: {told}")
