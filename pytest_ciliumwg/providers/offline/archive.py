"""Open what was handed in, a folder or an archive, and hand out its files one after the other, as streams.

Nothing is unpacked onto the disk. An archive is somebody else's: a path in it that climbs out is refused, and so is one
that grows without bounds when it is read.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from pytest_ciliumwg.providers.offline.salvage import salvaged

MOST_FILES = 500_000
MOST_BYTES = 64 << 30
"""Of one archive, unpacked: more is no sysdump."""
MOST_TEXT = 256 << 20
"""Of one file that is read as a whole."""
MOST_NESTED = 512 << 20
MOST_RATIO = 400
"""How much larger than itself an entry of a zip may be; text of a sysdump shrinks to a twentieth."""
_SMALL = 16 << 20
"""Below it, nothing is a bomb."""
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ENCRYPTED = 1
"""Among the flags of a zip's entry."""
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class File:
    """One file of the input; its stream is good until the next one is asked for."""

    name: str
    """Its path within the input, with `/`."""
    stream: IO[bytes]

    @property
    def base(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.name).name

    def text(self) -> str:
        """All of it; what is longer than any output of a node is cut off."""
        return self.stream.read(MOST_TEXT).decode("utf-8", "replace")


@dataclass(slots=True)
class Input:
    """One path that was handed in. `problems` says what could not be read, a sentence each."""

    path: Path
    problems: list[str] = field(default_factory=list)

    def files(self, wanted: Callable[[str], bool]) -> Iterator[File]:
        """The files of which the path is wanted; archives in an archive are looked into, once."""
        yield from self._of(self.path, self.path.name, wanted)

    def _of(self, path: Path, told: str, wanted: Callable[[str], bool]) -> Iterator[File]:
        if path.is_dir():
            for found in sorted(path.rglob("*")):
                name = found.relative_to(path).as_posix()
                if found.is_symlink() or not found.is_file():
                    continue
                if is_archive(name):
                    yield from self._of(found, name, wanted)
                elif wanted(name):
                    yield from self._opened(found, name)
            return
        if not is_archive(path.name):
            yield from self._opened(path, path.name) if wanted(path.name) else ()
            return
        try:
            with path.open("rb") as stream:
                yield from self._archive(stream, told, wanted, depth=0)
        except OSError as error:
            self.problems.append(f"{told} cannot be read: {error.strerror or error}")

    def _opened(self, path: Path, name: str) -> Iterator[File]:
        try:
            with path.open("rb") as stream:
                yield File(name, stream)
        except OSError as error:
            self.problems.append(f"{name} cannot be read: {error.strerror or error}")

    def _archive(self, stream: IO[bytes], told: str, wanted: Callable[[str], bool], depth: int) -> Iterator[File]:
        entries = _zip(stream) if told.endswith(".zip") else _tar(stream)
        count = 0
        with self._broken(told):
            for name, opened in entries:
                count += 1
                if count > MOST_FILES:
                    raise _RefusedError(f"has more than {MOST_FILES} files")
                if climbs(name):
                    self.problems.append(f"{told}: the entry {name[:80]!r} leads out of the archive, and was left out")
                elif is_archive(name) and depth == 0:
                    inner = io.BytesIO(opened().read(MOST_NESTED))
                    yield from self._archive(inner, name, wanted, depth + 1)
                elif wanted(name):
                    guarded = _Guarded(opened(), partial(self._note, told))
                    yield File(name, cast("IO[bytes]", guarded))

    @contextmanager
    def _broken(self, told: str) -> Iterator[None]:
        """One sentence for whatever is wrong with an archive; what was read of it before stays."""
        try:
            yield
        except (_RefusedError, *_BROKEN) as error:
            self._note(told, error)

    def _note(self, told: str, error: Exception) -> None:
        """Say once of an archive what is wrong with it."""
        if not any(problem.startswith(f"{told} ") for problem in self.problems):
            self.problems.append(_sentence(told, error))


def _sentence(told: str, error: Exception) -> str:
    if isinstance(error, _RefusedError):
        return f"{told} {error}: the rest of it was left out"
    return f"{told} is cut off or damaged ({str(error) or 'it ends too early'}): what could be read of it was judged"


class _Guarded(io.RawIOBase):
    """An entry of an archive, which ends where the archive is broken."""

    def __init__(self, stream: IO[bytes], note: Callable[[Exception], None]) -> None:
        self._stream = stream
        self._note = note

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except (_RefusedError, *_BROKEN) as error:
            self._note(error)
            return b""


class _RefusedError(Exception):
    """An archive that is not read any further."""


def is_archive(name: str) -> bool:
    """Whether a file is one of archives, by its name."""
    return name.endswith(_ARCHIVES)


def climbs(name: str) -> bool:
    """Whether a path in an archive leads out of it."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in (path.parts[0] if path.parts else "")


Entries = Iterator[tuple[str, Callable[[], IO[bytes]]]]


def _zip(stream: IO[bytes]) -> Entries:
    try:
        archive = zipfile.ZipFile(stream)
    except zipfile.BadZipFile:
        yield from salvaged(stream)  # its directory is at its end, and may be all that is missing
        raise
    with archive:
        total = 0
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            if why := _unreadable(entry):
                raise _RefusedError(f"{why}; unpack it, and hand in the folder")
            total += entry.file_size
            bomb = entry.file_size > _SMALL and entry.file_size > MOST_RATIO * max(entry.compress_size, 1)
            if bomb or total > MOST_BYTES:
                raise _RefusedError(f"would grow to {total} bytes when it is unpacked, by {entry.filename[:80]!r}")
            # Some programs of Windows write paths as they are there.
            yield entry.filename.replace("\\", "/"), lambda entry=entry: archive.open(entry)  # type: ignore[misc]


def _unreadable(entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & _ENCRYPTED:
        return "is protected by a password"
    return "" if entry.compress_type in _METHODS else "is packed in an uncommon way"


def _tar(stream: IO[bytes]) -> Entries:
    with tarfile.open(fileobj=_Bounded(_plain(stream)), mode="r|") as archive:
        for entry in archive:
            if entry.isfile():
                yield entry.name, lambda entry=entry: _extracted(archive, entry)  # type: ignore[misc]


def _plain(stream: IO[bytes]) -> IO[bytes]:
    head = stream.read(2)
    stream.seek(0)
    return gzip.open(stream) if head == b"\x1f\x8b" else stream  # type: ignore[return-value]


def _extracted(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    found = archive.extractfile(entry)
    return found if found is not None else io.BytesIO()


class _Bounded(io.RawIOBase):
    """A stream that ends with an error where it has handed out more than any sysdump has."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = MOST_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _RefusedError(f"grows to more than {MOST_BYTES} bytes when it is unpacked")
        return data
