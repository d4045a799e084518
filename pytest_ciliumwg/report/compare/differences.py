"""What differs between two reports. Times and what each run makes anew do not count. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pytest_ciliumwg.report.compare.causes import finding_differences
from pytest_ciliumwg.report.compare.difference import Difference, Document, Kind

_OUTCOMES = ("conformant", "partial", "inconclusive", "not-conformant")
_CHECKS = ("pass", "skip", "inconclusive", "fail")
_VERDICTS = ("encrypted", "inconclusive", "unreachable", "bypass", "cleartext")
NOT_RUN = "not run"
_ENOUGH = 160


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences between two runs."""

    old: Document
    new: Document
    differences: tuple[Difference, ...]

    def of(self, kind: Kind) -> tuple[Difference, ...]:
        """The differences of one kind."""
        return tuple(difference for difference in self.differences if difference.kind == kind)

    @property
    def result(self) -> Literal["equal", "regressed", "not worse"]:
        """The comparison in a word."""
        if self.of("regressed"):
            return "regressed"
        return "not worse" if self.differences else "equal"


def compare(old: Document, new: Document) -> Comparison:
    """Compare two reports, the earlier one first.

    Raises:
        KeyError, TypeError: a part of a report is not as its schema says.
    """
    differences = (
        *_run(old, new),
        *_environment(old, new),
        *finding_differences(old, new),
        *_pairs(old, new, "pairs", "pair"),
        *_pairs(old, new, "sizes", "size"),
        *_checks(old, new),
    )
    return Comparison(old, new, differences)


def _run(old: Document, new: Document) -> Iterator[Difference]:
    before, after = old["outcome"], new["outcome"]
    if before != after:
        kind = _direction(_OUTCOMES.index(before), _OUTCOMES.index(after))
        yield Difference(kind=kind, subject="run", name="outcome", before=before, after=after, why=new["verdict"])


def _checks(old: Document, new: Document) -> Iterator[Difference]:
    was, now = _by_identity(old), _by_identity(new)
    left_out = {_identity(row) for row in new["not_run"]} - now.keys()
    for key in [*now, *(key for key in was if key not in now)]:
        before, after = was.get(key), now.get(key)
        kind = _kind_of_check(before, after, left_out=key in left_out)
        if kind is not None:
            yield Difference(
                kind=kind,
                subject="check",
                name=(after or before or {})["title"],
                before=_outcome(before),
                after=NOT_RUN if key in left_out else _outcome(after),
                why=_why(after),
            )


def _kind_of_check(before: Document | None, after: Document | None, *, left_out: bool) -> Kind | None:
    if after is None:
        # What the suite or the cluster no longer has is no regression; what was left out of a run is.
        return "regressed" if left_out and before and before["outcome"] == "pass" else "disappeared"
    if before is None:
        return "regressed" if after["outcome"] in ("fail", "inconclusive") else "appeared"
    if before["outcome"] == after["outcome"]:
        return None
    if after["outcome"] == "skip":
        # The suite skips what this cluster cannot have, and says why; what others skip is not verified any more.
        return "regressed" if after["waived"] and before["outcome"] == "pass" else "changed"
    if before["outcome"] == "skip" and after["outcome"] == "pass":
        return "changed"
    return _direction(_CHECKS.index(before["outcome"]), _CHECKS.index(after["outcome"]))


def _direction(before: int, after: int) -> Kind:
    """Worse is regressed; only what is all right now is fixed."""
    return "regressed" if after > before else "fixed" if after == 0 else "changed"


def _by_identity(document: Document) -> dict[Any, Document]:
    return {_identity(check): check for check in document["checks"]}


def _identity(check: Document) -> tuple[str, tuple[tuple[str, str], ...]]:
    return check["id"], tuple(sorted(check["params"].items()))


def _outcome(check: Document | None) -> str:
    return "" if check is None else f"{check['outcome']} (waived)" if check["waived"] else str(check["outcome"])


def _why(check: Document | None) -> str:
    first = "" if check is None else str(check["message"]).partition("\n")[0]
    return first if len(first) <= _ENOUGH else f"{first[:_ENOUGH]}…"


def _pairs(old: Document, new: Document, field: str, subject: Literal["pair", "size"]) -> Iterator[Difference]:
    was, now = _verdicts(old, field), _verdicts(new, field)
    for pair in dict.fromkeys((*now, *was)):
        before, after = was.get(pair, ""), now.get(pair, "")
        if before == after:
            continue
        if not after:
            kind: Kind = "disappeared"
        elif not before:
            kind = "appeared" if after == "encrypted" else "regressed"
        else:
            kind = _direction(_VERDICTS.index(before), _VERDICTS.index(after))
        yield Difference(kind=kind, subject=subject, name=" → ".join(pair), before=before, after=after)


def _verdicts(document: Document, field: str) -> dict[tuple[str, str], str]:
    return {(row["source"], row["destination"]): row["verdict"] for row in document[field]}


def _environment(old: Document, new: Document) -> Iterator[Difference]:
    was, now = _facts(old), _facts(new)
    for name in dict.fromkeys((*was, *now)):
        before, after = was.get(name, ""), now.get(name, "")
        if before != after:
            kind: Kind = "changed" if before and after else "appeared" if after else "disappeared"
            yield Difference(kind=kind, subject="environment", name=name, before=before, after=after)


def _facts(document: Document) -> dict[str, str]:
    """What was tested, and with what."""
    cluster = document["cluster"]
    facts = {"pytest-ciliumwg": document["tool"]["version"], "provider": cluster["provider"]}
    facts["profiles"] = ", ".join(document["profiles"])
    if document.get("pairs_tested", 0) < document.get("pairs_in_all", 0):
        facts["pairs tested"] = f"{document['pairs_tested']} of {document['pairs_in_all']}"
    facts |= {f"declared {name}": _word(value) for name, value in (cluster["declared"] or {}).items()}
    facts |= {f"node {node}": "under test" for node in cluster["nodes"]}
    return facts | {f"node {row['node']}": f"not under test, because {row['why']}" for row in cluster["left_out"]}


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
