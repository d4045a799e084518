"""Which statements and symptoms belong together: what is wrong with nodes, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_ciliumwg.diagnosis.statement import MEASUREMENT_AREA, STATE_AREAS, Statement
from pytest_ciliumwg.diagnosis.symptoms import Kind, Symptom

ENCRYPTION = "config.encryption"
"""The check without which nothing else means anything."""
POLICIES = "capture.policies"
"""The check that explains what could not be measured because policies dropped it."""
CONTROLS, INSIDE = "capture.control-received", "capture.inside"
"""The checks that tell what a watch hears of other nodes, and of its node's own tunnel."""
_OF_PAIRS = ("peers", "allowed-ips")
"""Areas in which what is wrong may be wrong with the other node."""
_SHOWN_ELSEWHERE = ("device", *_OF_PAIRS)
"""Areas in which what is wrong with a node shows on the nodes that it talks to."""
_PATHS = ("paths", "dns", "nodeport", "hostport", "health", "north-south")
AREAS = (*STATE_AREAS, "wire", "size", *_PATHS, "change", "handshake", MEASUREMENT_AREA)
"""All areas of the suite, in the order in which they say most of what is wrong."""
_SYMPTOMS_FIRST: Sequence[Kind] = ("cleartext", "bypass", "lost")


@dataclass(slots=True, kw_only=True)
class Case:
    """One cause, as far as it is known, with what it explains."""

    state: list[Statement] = field(default_factory=list)
    symptoms: list[Symptom] = field(default_factory=list)
    consequences: list[Statement] = field(default_factory=list)
    everything: bool = False
    """Whether it concerns all nodes and explains all that is wrong."""

    @property
    def homes(self) -> set[str]:
        """The nodes whose own state is wrong."""
        return {statement.home for statement in self.state if statement.home}

    @property
    def nodes(self) -> set[str]:
        """The nodes at which it is to be looked for."""
        named = {name for statement in self.state for name in statement.nodes}
        senders = {symptom.pair[0] for symptom in self.symptoms}
        return self.homes or named or senders or {name for said in self.consequences for name in said.nodes}

    @property
    def rank(self) -> tuple[int, int, int]:
        """Worst first: what traffic does, then what nodes are, then other failures, then what was not measured."""
        kinds = [_SYMPTOMS_FIRST.index(symptom.kind) for symptom in self.symptoms]
        if kinds:
            return min(kinds), 0, -sum(symptom.frames for symptom in self.symptoms)
        statements = [*self.state, *self.consequences]
        failed = [statement for statement in statements if statement.outcome == "fail"]
        areas = min((AREAS.index(statement.area) for statement in failed if statement.area in AREAS), default=0)
        return len(_SYMPTOMS_FIRST) + (not failed), areas, -len(statements)

    def explains(self, symptom: Symptom) -> bool:
        """Whether its state is that of the sender, or of a pair to which the sender belongs."""
        if self.everything:
            return True
        sender, receiver = symptom.pair
        if symptom.kind == "cleartext":
            of_pairs = any(statement.area in _OF_PAIRS for statement in self.state)
            return sender in self.homes or (receiver in self.homes and of_pairs)
        return bool({sender, receiver} & self.homes)


class _Reach:
    """What may follow from a case; kept up to date instead of being found anew for each of many statements."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._known = bool(case.state or case.symptoms)
        self._nodes = case.nodes | {name for symptom in case.symptoms for name in symptom.pair}
        self._checks: set[str] = set()
        self._failed_at: set[frozenset[str]] = set()
        self._doubtful_homes: set[str | None] = set()
        self._doubts_measurement = False

    def add(self, statement: Statement) -> None:
        """Put a statement among the consequences."""
        self.case.consequences.append(statement)
        self._checks.add(statement.check)
        if not self._known:
            self._nodes |= statement.nodes
        if statement.outcome == "fail":
            self._failed_at.add(statement.nodes)
        else:
            self._doubtful_homes.add(statement.home)
            self._doubts_measurement |= statement.area == MEASUREMENT_AREA

    def causes(self, statement: Statement) -> bool:
        """Whether a statement may follow: from failures without a known cause only doubt does."""
        if self.case.everything:
            return True
        possible = self._known or (statement.outcome == "inconclusive" and bool(self._failed_at))
        nodes = statement.nodes
        if statement.area == MEASUREMENT_AREA:
            return self._deafens(statement)
        return possible and (not nodes or not nodes.isdisjoint(self._nodes))

    def _deafens(self, statement: Statement) -> bool:
        """Whether a watch hears nothing because nothing comes, or because there is no tunnel that is up.

        All else that is wrong with a watch is a cause of its own.
        """
        if statement.check == CONTROLS and not self.case.state:
            return any(statement.nodes >= set(symptom.pair) for symptom in self.case.symptoms if symptom.kind == "lost")
        device = {said.home for said in self.case.state if said.area == "device"}
        return statement.check == INSIDE and statement.home in device

    def tells_too(self, statement: Statement) -> bool:
        """Whether a statement without a known cause is told together with those of this case."""
        if self._known or not self._checks:
            return False
        if statement.check in self._checks:
            return True
        if statement.outcome == "fail":
            return bool(statement.nodes) and statement.nodes in self._failed_at
        of_measurement = statement.area == MEASUREMENT_AREA and bool(self._doubtful_homes)
        same_home = statement.home is not None and statement.home in self._doubtful_homes
        return of_measurement or self._doubts_measurement or same_home


def cases(statements: Sequence[Statement], symptoms: Sequence[Symptom], nodes: Sequence[str]) -> list[Case]:
    """All cases of a stage, worst first; every statement is in one of them, as the cause or as a consequence."""
    found = list(_cases_of_state([statement for statement in statements if statement.about_state]))
    for symptom in symptoms:
        _home_of(symptom, found).symptoms.append(symptom)
    found = _joined(found, nodes)
    found.sort(key=lambda case: case.rank)
    reaches = [_Reach(case) for case in found]
    policies = Case(state=[statement for statement in statements if statement.check == POLICIES])
    # Failures first: what could not be measured may follow from them.
    for statement in sorted(statements, key=lambda statement: statement.outcome != "fail"):
        if policies.state and statement.follows:
            policies.consequences.append(statement)
        elif not statement.about_state and statement.check != POLICIES:
            _reach_of(statement, reaches).add(statement)
    found = [reach.case for reach in reaches] + ([policies] if policies.state else [])
    return sorted(found, key=lambda case: case.rank)


def _reach_of(statement: Statement, reaches: list[_Reach]) -> _Reach:
    """The worst case from which a statement may follow, else a case of its own or of others like it."""
    for reach in reaches:
        if reach.causes(statement):
            return reach
    for reach in reaches:
        if reach.tells_too(statement):
            return reach
    reaches.append(_Reach(Case()))
    return reaches[-1]


def _cases_of_state(statements: Sequence[Statement]) -> Iterator[Case]:
    """What is wrong with nodes, together where it is the same, at the same node, or between the same two."""
    if any(statement.check == ENCRYPTION for statement in statements):
        yield Case(state=_sorted(statements), everything=True)
        return
    groups: list[list[Statement]] = []
    for statement in statements:
        related = [group for group in groups if any(_related(statement, other) for other in group)]
        groups = [group for group in groups if group not in related]
        groups.append([*(member for group in related for member in group), statement])
    for group in groups:
        yield Case(state=_sorted(group))


def _related(one: Statement, other: Statement) -> bool:
    """Whether both are of one cause: the same check failed, at the same node, or what one node shows of the other."""
    if one.check == other.check or (one.home and one.home == other.home):
        return True
    return _shows_at(one, other) or _shows_at(other, one)


def _shows_at(cause: Statement, other: Statement) -> bool:
    """Whether what another node has of this one may be wrong because this one is."""
    return cause.area in _SHOWN_ELSEWHERE and other.area in _OF_PAIRS and cause.home in other.nodes


def _sorted(statements: Iterable[Statement]) -> list[Statement]:
    return sorted(statements, key=lambda statement: STATE_AREAS.index(statement.area))


def _home_of(symptom: Symptom, found: list[Case]) -> Case:
    """The case whose state explains it, else one with symptoms of the same sender, else a new one."""
    sender, receiver = symptom.pair
    explaining = [case for case in found if case.state and case.explains(symptom)]
    if explaining:
        return min(explaining, key=lambda case: (sender not in case.homes, receiver not in case.homes))
    for case in found:
        if not case.state and any(_alike(symptom, other) for other in case.symptoms):
            return case
    found.append(Case())
    return found[-1]


def _alike(one: Symptom, other: Symptom) -> bool:
    """Whether two symptoms without a known cause are told together: of one sender, or between the same two nodes."""
    if one.kind == "cleartext" or other.kind == "cleartext":
        related = one.pair[0] == other.pair[0] or set(one.pair) == set(other.pair)
        return one.kind == other.kind and related
    return set(one.pair) == set(other.pair)


def _joined(found: list[Case], nodes: Sequence[str]) -> list[Case]:
    """The same cases, where what is wrong without a known cause at every node, or with one, is one case."""
    for kind in _SYMPTOMS_FIRST:
        unexplained = [case for case in found if not case.state and case.symptoms[0].kind == kind]
        pairs = [set(symptom.pair) for case in unexplained for symptom in case.symptoms]
        everywhere = {case.symptoms[0].pair[0] for case in unexplained} >= set(nodes)
        one_node = bool(set.intersection(*pairs)) if pairs else False
        all_pairs = 2 * len(set(map(frozenset, pairs))) == len(nodes) * (len(nodes) - 1)
        if len(unexplained) > 1 and (everywhere or ((one_node or all_pairs) and kind != "cleartext")):
            first, *others = unexplained
            first.symptoms += [symptom for case in others for symptom in case.symptoms]
            found = [case for case in found if case not in others]
    return found
