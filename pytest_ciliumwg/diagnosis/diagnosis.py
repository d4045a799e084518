"""Few findings with a cause, out of all that the checks of a stage say and what became of its flows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ciliumwg.diagnosis.advisories import fitting
from pytest_ciliumwg.diagnosis.cases import AREAS, Case, cases
from pytest_ciliumwg.diagnosis.statement import MEASUREMENT_AREA, Statement
from pytest_ciliumwg.diagnosis.symptoms import Symptom
from pytest_ciliumwg.diagnosis.words import in_short, look_at, look_at_traffic

_MANY = 3
_MANY_CHECKS = 5
_LEAK = "Whoever can read this network reads the pods' traffic, and can change it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One cause of what is wrong in a stage, with all that follows from it."""

    stage: str
    headline: str
    nodes: tuple[str, ...]
    """Where to look for it."""
    symptoms: tuple[Symptom, ...]
    state: tuple[Statement, ...]
    """What explains it; empty where nothing of the nodes' state does."""
    consequences: tuple[Statement, ...]
    """What else the checks say because of it."""
    meaning: str
    look: str
    advisories: tuple[str, ...] = ()

    @property
    def leading(self) -> str:
        """The title of the test that says it best; empty where no check that ran says it."""
        return next((said.title for said in self._statements), "")

    @property
    def told(self) -> tuple[Statement, ...]:
        """What explains it; where nothing does, and there is no traffic to tell of, what was found."""
        return self.state or (() if self.symptoms else self.consequences)

    @property
    def failed(self) -> tuple[str, ...]:
        """The titles of the tests that failed because of it."""
        return self._titles("fail")

    @property
    def inconclusive(self) -> tuple[str, ...]:
        """The titles of the tests that could not be measured because of it."""
        return self._titles("inconclusive")

    @property
    def _statements(self) -> tuple[Statement, ...]:
        return (*self.state, *self.consequences)

    def _titles(self, outcome: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(said.title for said in self._statements if said.outcome == outcome))

    def fields(self) -> dict[str, Any]:
        """For reports: in plain values."""
        return {
            "stage": self.stage,
            "headline": self.headline,
            "nodes": list(self.nodes),
            "named": sorted({name for said in self._statements for name in said.nodes} | set(self.nodes)),
            "traffic": [str(symptom) for symptom in self.symptoms],
            "state": [{"check": said.title, "where": str(said.place), "said": said.said} for said in self.told],
            "failed": list(self.failed),
            "inconclusive": list(self.inconclusive),
            "meaning": self.meaning,
            "look": self.look,
            "advisories": list(self.advisories),
        }


def diagnose(
    statements: Sequence[Statement], symptoms: Sequence[Symptom], nodes: Sequence[str], stage: str, version: str
) -> tuple[Diagnosis, ...]:
    """The findings of one stage, worst first; every statement is in one of them.

    Args:
        statements: What the stage's checks found broken or could not measure.
        symptoms: What is wrong with its flows.
        nodes: All nodes under test.
        stage: Its name; that of a change stands for the change as well.
        version: The version of Cilium that is expected.
    """
    return tuple(_diagnosis(case, nodes, stage, version) for case in cases(statements, symptoms, nodes))


def _diagnosis(case: Case, nodes: Sequence[str], stage: str, version: str) -> Diagnosis:
    consequences = sorted(case.consequences, key=_telling)
    case.state = _explaining_first(case)
    leaks = [symptom for symptom in case.symptoms if symptom.kind == "cleartext"]
    where = tuple(node for node in nodes if node in case.nodes) or tuple(sorted(case.nodes))
    return Diagnosis(
        stage=stage,
        headline=_headline(case, consequences, nodes),
        nodes=where,
        symptoms=tuple(case.symptoms),
        state=tuple(case.state),
        consequences=tuple(consequences),
        meaning=_LEAK if leaks else next((said.meaning for said in (*case.state, *consequences) if said.meaning), ""),
        look=_look(case, consequences),
        advisories=tuple(f"{found.id}: {found.text}" for found in fitting(version, [stage])) if leaks else (),
    )


def _explaining_first(case: Case) -> list[Statement]:
    """The state, what is so only at nodes that send in cleartext first: what nodes have that do not explains less."""
    senders = {symptom.pair[0] for symptom in case.symptoms if symptom.kind == "cleartext"}
    elsewhere = {(said.check, said.said) for said in case.state if said.home and said.home not in senders}
    return sorted(case.state, key=lambda said: bool(senders) and (said.check, said.said) in elsewhere)


def _telling(said: Statement) -> tuple[bool, int]:
    """What says most comes first."""
    return said.outcome != "fail", AREAS.index(said.area) if said.area in AREAS else len(AREAS)


def _headline(case: Case, consequences: Sequence[Statement], nodes: Sequence[str]) -> str:
    why = in_short(case.state[0].check, case.state[0].said) if case.state else ""
    if case.symptoms:
        traffic, subjects = _traffic(case, nodes)
        homes = {said.home for said in case.state if said.home and said.check == case.state[0].check}
        elsewhere = f" (on {names(homes, nodes)})" if homes and homes != subjects else ""
        why = f"{why}{elsewhere}" if why else next((said.because for said in case.symptoms if said.because), "")
        return f"{traffic}: {why or 'no check of the state of the nodes explains it'}"
    where = names(case.nodes, nodes) or "the cluster"
    if why:
        return f"{where}: {why}"
    first = consequences[0]
    if first.outcome == "fail":
        where, said = names(first.nodes, nodes) or str(first.place), in_short(first.check, first.said)
        return f"{where}: {said}" if where else said
    blind = {said.home for said in consequences if said.area == MEASUREMENT_AREA and said.home}
    where = names(blind or first.nodes, nodes) or str(first.place)
    return f"{where}: not measured: {first.said}" if where else f"not measured: {first.said}"


def _traffic(case: Case, nodes: Sequence[str]) -> tuple[str, set[str]]:
    """What is wrong with traffic, and the nodes of which that is said."""
    kind = min((symptom for symptom in case.symptoms), key=lambda symptom: _ORDER.index(symptom.kind)).kind
    chosen = [symptom for symptom in case.symptoms if symptom.kind == kind]
    senders, receivers = {symptom.pair[0] for symptom in chosen}, {symptom.pair[1] for symptom in chosen}
    if kind == "cleartext":
        subject = f"{names(senders, nodes)} {'send' if len(senders) > 1 else 'sends'}"
        if case.homes and not senders & case.homes:
            return f"{subject} to {names(receivers, nodes)} in cleartext", senders
        to = "" if len(receivers) > 1 else f" to {names(receivers, nodes)}"
        whose = "nodes' own" if all(symptom.of_hosts for symptom in chosen) else "pods'"
        return f"{subject} {whose} traffic{to} in cleartext", senders
    lost = "packets of some sizes are lost" if all(symptom.sizes for symptom in chosen) else "traffic is lost"
    what = "traffic goes past the tunnel" if kind == "bypass" else lost
    if len(chosen) == 1:
        return f"{' → '.join(chosen[0].pair)}: {what}", senders | receivers
    common = set[str].intersection(*(set(symptom.pair) for symptom in chosen))
    if len(common) == 1:
        return f"{names(common, nodes)} and {'all other' if _all(chosen, nodes) else 'other'} nodes: {what}", common
    return f"{names(senders | receivers, nodes)}: {what}", senders | receivers


def _all(symptoms: Sequence[Symptom], nodes: Sequence[str]) -> bool:
    return {name for symptom in symptoms for name in symptom.pair} >= set(nodes)


_ORDER = ("cleartext", "bypass", "lost")


def names(chosen: Iterable[str], nodes: Sequence[str]) -> str:
    """Nodes in words, in their order: all of them, few by name, many by number."""
    wanted = set(chosen)
    inside = [node for node in nodes if node in wanted] + sorted(wanted - set(nodes))
    if len(inside) > _MANY and nodes and wanted >= set(nodes):
        return f"all {len(nodes)} nodes"
    if len(inside) > _MANY:
        return f"{', '.join(inside[:_MANY])} and {len(inside) - _MANY} more nodes"
    return " and ".join(filter(None, (", ".join(inside[:-1]), *inside[-1:])))


def _look(case: Case, consequences: Sequence[Statement]) -> str:
    if case.state:
        return look_at(case.state[0].check)
    if case.symptoms:
        return look_at_traffic(case.symptoms[0].kind)
    first = consequences[0]
    return look_at(first.check) if first.outcome == "fail" or first.area == MEASUREMENT_AREA else ""


def counted(titles: Iterable[str]) -> Iterator[str]:
    """Titles of tests by check, or where these are many by area: and how many tests where there are several."""
    ids = Counter(title.partition("[")[0] for title in titles)
    if len(ids) > _MANY_CHECKS:
        areas = Counter(check.partition(".")[0] for check in ids)
        of_area = {check: f"{check.partition('.')[0]}.*" for check in ids if areas[check.partition(".")[0]] > 1}
        ids = Counter(of_area.get(check, check) for check in ids.elements())
    yield from (check if count == 1 else f"{check} ×{count}" for check, count in ids.items())
