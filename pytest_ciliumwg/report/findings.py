"""The findings of a run: from the results of its checks and the verdicts of its flows, stage by stage."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_ciliumwg.diagnosis.cases import POLICIES
from pytest_ciliumwg.diagnosis.diagnosis import Diagnosis, counted, diagnose
from pytest_ciliumwg.diagnosis.statement import Statement
from pytest_ciliumwg.diagnosis.symptoms import Symptom, symptoms, symptoms_of_change, symptoms_of_pods
from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.report.record import CheckResult, RunRecord

_UNTOUCHED, _OTHER_PODS = "untouched", "wire.other-pods"
_MOST_TITLES = 20
"""Of tests that could not be measured because of one finding; more are counted."""
_MOST_LINES = 2
"""Of each kind, of one finding; and lines of what is said of a place."""
_WIDEST_PLACES = 80
"""Characters of places of which the same is said."""


def findings(record: RunRecord) -> tuple[Diagnosis, ...]:
    """All findings, in the order of the stages, of each stage the worst first."""
    stages: dict[str, list[Statement]] = {}
    owners = {address: name for judge in record.judges.values() for address, name in judge.homes.items()}
    for result in record.results:
        stage = stages.setdefault(result.params.get("stage", ""), [])
        if result.outcome in ("fail", "inconclusive"):
            stage.extend(_statements(result, owners))
    _join_untouched(stages)
    version = record.declared.version if record.declared else "0.0"
    return tuple(
        diagnosis
        for stage, statements in stages.items()
        for diagnosis in diagnose(statements, tuple(_symptoms(record, stage, statements)), record.nodes, stage, version)
    )


def _join_untouched(stages: dict[str, list[Statement]]) -> None:
    """Tell what was so before our pods came, and still is, with what is so now: it is one cause."""
    later = stages.get("", stages.get("initial", []))
    still = {(said.check, said.place, said.said) for said in later}
    before = stages.get(_UNTOUCHED, [])
    for said in [said for said in before if (said.check, said.place, said.said) in still]:
        before.remove(said)
        later.append(said)


def told_as(result: CheckResult) -> str:
    """The title by which a finding tells a test: without the stage, unless it may be told in that of another one."""
    return result.title if result.params.get("stage") == _UNTOUCHED else result.title_in_any_stage


def _symptoms(record: RunRecord, stage: str, statements: Iterable[Statement]) -> Iterator[Symptom]:
    """Of a change, what was in cleartext during it; of a stage, what became of its flows, and what other pods sent."""
    for made in record.changes:
        strict = made.watched and not made.watched.tolerance.clear_reported
        if made.change.name == stage and made.watched and strict:
            yield from symptoms_of_change(made.watched.timeline)
    judged = record.judges.get(stage or "initial")
    if judged:
        ours = symptoms(judged.judgements)
        yield from ours
        if any(said.check == _OTHER_PODS and said.outcome == "fail" for said in statements):
            told = {symptom.pair for symptom in ours if symptom.kind == "cleartext"}
            yield from (symptom for symptom in symptoms_of_pods(judged) if symptom.pair not in told)


def _statements(result: CheckResult, owners: Mapping[IPAddress, str]) -> Iterator[Statement]:
    said = [
        (finding.place, f"expected {finding.expected}; seen: {finding.seen}", finding.meaning)
        for finding in result.findings
    ]
    said += [(remark.place, remark.why.removeprefix("inconclusive: "), "") for remark in result.unmeasured]
    if not said:
        words = result.message if result.outcome == "inconclusive" else result.message.strip().partition("\n")[0]
        said = [(Place.everywhere(""), words, "")]
    for place, words, meaning in said:
        yield Statement(
            check=result.id,
            title=told_as(result),
            outcome="fail" if result.outcome == "fail" else "inconclusive",
            place=place,
            said=words,
            meaning=meaning,
            owners=tuple(owners[address] for address in place.addresses if address in owners),
        )


def lines(finding: Diagnosis, number: int, width: int) -> Iterator[str]:
    """One finding for a terminal; at most some 20 lines of 80 columns."""
    stage = f" [{finding.stage}]" if finding.stage else ""
    yield from _wrapped(f"{number}. {finding.headline}{stage}", width, "   ")
    traffic, places = [str(symptom) for symptom in finding.symptoms], _places(finding.told)
    state = list(_leading(finding.told))
    told = [*traffic[:_MOST_LINES], *state[: 1 if traffic else _MOST_LINES]]
    for number, text in enumerate(told):
        # Behind all headers of a tunnel, what traffic does takes a line more; so does what is told alone.
        most = _MOST_LINES + (number < len(traffic) or not traffic)
        yield from _wrapped(f"   - {text}", width, "     ", most)
    pairs = max(0, len(traffic) - _MOST_LINES)
    others = _counted(pairs, "pair"), _counted(len(traffic) + len(places) - len(told) - pairs, "place")
    if any(others):
        yield f"   - and {', '.join(filter(None, others))}"
    if finding.meaning:
        yield from _wrapped(f"   {finding.meaning}", width, "   ")
    for titles, verb in ((finding.failed, "failed"), (finding.inconclusive, "not measured")):
        many = finding.leading == POLICIES or (verb == "not measured" and len(titles) > _MOST_TITLES)
        if titles and many:
            yield f"   {verb} because of that: {len(titles)} checks"
        elif titles:
            yield from _wrapped(f"   {verb}: {', '.join(counted(titles))}", width, "     ")
    for advisory in finding.advisories:
        yield from _wrapped(f"   fits {advisory}", width, "     ")
    if finding.look:
        yield from _wrapped(f"   look at: {finding.look}", width, "     ")


def _places(statements: Iterable[Statement]) -> list[str]:
    """What is said of places, once for all places of which the same check says the same."""
    places: dict[tuple[str, str], dict[str, None]] = {}
    for said in statements:
        places.setdefault((said.check, said.said), {})[str(said.place)] = None
    return [f"{_listed([*where])}: {said} ({check})".removeprefix(": ") for (check, said), where in places.items()]


def _listed(places: Sequence[str]) -> str:
    shown = places[:_MOST_LINES]
    if len("; ".join(shown)) > _WIDEST_PLACES:
        shown = places[:1]  # what is said of them has to be read too
    more = f" and {len(places) - len(shown)} more" if len(places) > len(shown) else ""
    return "; ".join(shown) + more


def _leading(statements: Sequence[Statement]) -> Iterator[str]:
    """Of each check the first place, as `_places` tells it."""
    for check in dict.fromkeys(said.check for said in statements):
        yield _places(said for said in statements if said.check == check)[0]


def _counted(more: int, noun: str) -> str:
    return f"{more} more {noun if more == 1 else f'{noun}s'}" if more else ""


def _wrapped(text: str, width: int, indent: str, most: int | None = None) -> Iterable[str]:
    return textwrap.wrap(
        text,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        max_lines=most,
        placeholder=" …",
    )
