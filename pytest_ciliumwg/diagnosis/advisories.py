"""Published advisories whose versions and pattern fit what was seen. Each row has its source."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pytest_ciliumwg.expect import Version, parse_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One advisory: traffic was in cleartext in these versions while this happened."""

    id: str
    text: str
    affected: tuple[tuple[str, str], ...]
    """First and last affected version of each release line."""
    changes: tuple[str, ...]
    """The changes of a disruptive run during which it shows."""
    source: str

    def fits(self, version: Version, changes: Collection[str]) -> bool:
        """Whether cleartext of this version during one of these changes is what it describes."""
        affected = any(parse_version(first) <= version <= parse_version(last) for first, last in self.affected)
        return affected and bool(set(self.changes) & set(changes))


ADVISORIES = (
    Advisory(
        id="CVE-2025-32793",
        text="packets of pods that end leave in cleartext; fixed in 1.15.16, 1.16.9 and 1.17.3",
        affected=(("1.15.0", "1.15.15"), ("1.16.0", "1.16.8"), ("1.17.0", "1.17.2")),
        changes=("pod-churn",),
        source="GHSA-5vxx-c285-pcq4; reproduced on real 1.15.1 by pod churn",
    ),
)


def fitting(version: str, changes: Collection[str]) -> Iterator[Advisory]:
    """The advisories that cleartext of a version during these changes fits."""
    parsed = parse_version(version)
    yield from (advisory for advisory in ADVISORIES if advisory.fits(parsed, changes))
