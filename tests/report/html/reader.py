"""What somebody who sees only the page can say of what leaks: read from the list of its first findings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.report.html.parsed import Page

_TRAFFIC = re.compile(
    r"(?P<sender>\S+) → (?P<receiver>\S+): (?P<protocols>[A-Z ]+) (?P<families>v[46](?: v6)?), .*?"
    r"(?P<frames>\d+) frames at (?P<places>.+?), (?P<first>[\d:.]{12})(?: to (?P<last>[\d:.]{12}))? "
)

_MOMENT = re.compile(r"[\d:]{8}\.\d{3}")


@dataclass(frozen=True, slots=True)
class Told:
    """Traffic in cleartext from one node to another, as a finding tells it."""

    sender: str
    receiver: str
    protocols: frozenset[str]
    families: frozenset[str]
    places: str
    first: str
    last: str
    anchor: str
    """Where its flows and frames are told."""

    @property
    def title(self) -> str:
        """Who sends to whom."""
        return f"{self.sender} → {self.receiver}"


def headline(page: Page, number: int = 1) -> str:
    """The title of a finding."""
    return page.text_of(f"finding-title-{number}")


def leaks(page: Page, number: int = 1) -> Iterator[Told]:
    """What a finding says of traffic in cleartext."""
    links = iter(link for link in page.links_of(f"finding-{number}") if link.startswith("pair-"))
    whole = page.text_of(f"finding-{number}")
    for _, text in page.all("li"):
        if "flows and frames of" in text and text in whole and (found := _TRAFFIC.match(text)):
            yield Told(
                sender=found["sender"],
                receiver=found["receiver"],
                protocols=frozenset(found["protocols"].split()),
                families=frozenset(found["families"].split()),
                places=found["places"],
                first=found["first"],
                last=found["last"] or found["first"],
                anchor=next(links),
            )


def when(report: Mapping[str, Any]) -> tuple[str, str]:
    """When a run began and ended, as the page tells moments."""
    began, ended = (datetime.fromisoformat(report[name]).timestamp() for name in ("started", "finished"))
    return moment(began), moment(ended)


def moment(at: float) -> str:
    """A moment as the page tells it."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f}"[:-3]


def frames(page: Page, told: Told) -> list[str]:
    """The moments of the frames to which the flows of a pair lead."""
    anchors = [link for link in page.links_of(told.anchor) if link.startswith("frame-")]
    return sorted(found[0] for anchor in anchors if (found := _MOMENT.search(_summary(page, anchor))))


def _summary(page: Page, anchor: str) -> str:
    """The line under which a frame is folded: it stands just before it."""
    at = next(n for n, (_, attributes, _) in enumerate(page.elements) if attributes.get("id") == anchor)
    before = max(n for n in range(at) if page.elements[n][0] == "summary")
    return " ".join("".join(page.texts[before]).split())
