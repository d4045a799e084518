"""What a run has to report, gathered while it goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pytest_ciliumwg.changes.apply import ChangeResult
from pytest_ciliumwg.checks.finding import Finding, Remark
from pytest_ciliumwg.checks.helpers import ONLY_REPORTED
from pytest_ciliumwg.checks.readings import NodeChange
from pytest_ciliumwg.diagnosis.statement import STATE_AREAS
from pytest_ciliumwg.model.cluster import CiliumConfig, LeftOut, Member
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.traffic import Sighting, Verdict
from pytest_ciliumwg.providers.base import Cluster, nodes_under_test
from pytest_ciliumwg.providers.recorded import Recorded
from pytest_ciliumwg.report.outcome import Tally
from pytest_ciliumwg.verdict.captured import captured_in_words
from pytest_ciliumwg.verdict.judge import Judge, Judgement
from pytest_ciliumwg.verdict.timeline import frames_in_clear

Pair = tuple[str, str]
Identity = tuple[str, tuple[tuple[str, str], ...]]
"""A check's id and its parameters: what tells apart the tests of the suite, whatever their node ids."""
_WORST_VERDICT_FIRST = (
    Verdict.CLEARTEXT,
    Verdict.BYPASS,
    Verdict.UNREACHABLE,
    Verdict.INCONCLUSIVE,
    Verdict.ENCRYPTED,
)
_SHOWN = 10
OFFLINE = "offline"
"""The provider of which nothing is there but a record."""
_OUTSIDE = (Verdict.CLEARTEXT, Verdict.BYPASS)
_WORST_FIRST = ("fail", "inconclusive", "skip", "pass")


def identity(check_id: str, params: Mapping[str, str]) -> Identity:
    """What a test is known by."""
    return check_id, tuple(sorted(params.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What became of one check (of one of its parametrized tests)."""

    id: str
    params: Mapping[str, str]
    outcome: str
    message: str
    seconds: float
    statement: str
    source: str
    profile: str
    verified: int = 0
    findings: tuple[Finding, ...] = ()
    unmeasured: tuple[Remark, ...] = ()
    unsupported: tuple[Remark, ...] = ()
    notes: tuple[Remark, ...] = ()
    waived: str = ""
    """Why it counts as not run: a marker, conftest or plugin skipped it, or expects it to fail; empty when it
    counts."""
    about_a_change: bool = False
    """See `Check.about_a_change`. Not in report.json."""
    nodeid: str = ""
    """Pytest's name of the test. Not in report.json."""

    @property
    def identity(self) -> Identity:
        """What its test is known by."""
        return identity(self.id, self.params)

    @property
    def title(self) -> str:
        """The id with its parameters, such as `wire.no-cleartext[v4-udp]`."""
        return self._with(self.params.values())

    @property
    def title_in_any_stage(self) -> str:
        """The title without the stage."""
        return self._with(value for name, value in self.params.items() if name != "stage")

    def _with(self, values: Iterable[str]) -> str:
        joined = "-".join(values)
        return f"{self.id}[{joined}]" if joined else self.id


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """One run, for all reports."""

    provider: str
    profiles: list[str]
    command: str = "pytest --ciliumwg"
    """How to run it again."""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    description: list[str] = field(default_factory=list)
    declared: CiliumConfig | None = None
    nodes: list[str] = field(default_factory=list)
    """Those under test."""
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    """The other nodes of the cluster, and why they are not."""
    results: list[CheckResult] = field(default_factory=list)
    configs: Mapping[str, CiliumConfig] = field(default_factory=dict)
    """Node → what its Cilium was configured to do, where a check asked for it."""
    members: tuple[Member, ...] = ()
    """All nodes of the cluster."""
    first: Reading | None = None
    """The cluster before the flows; None where no check looked at it."""
    judges: dict[str, Judge] = field(default_factory=dict)
    """Stage → its flows, judged."""
    touched: tuple[NodeChange, ...] = ()
    """What the nodes had before anything of ours was in the cluster and no longer had with our agents in it, and the
    reverse."""
    changes: list[ChangeResult] = field(default_factory=list)
    """The changes between the stages."""
    changes_untold: tuple[str, ...] = ()
    """Of a run that is judged again: the changes that it made, of which its record has nothing."""
    expected: frozenset[Identity] = frozenset()
    """All checks of the profiles in all stages, selected or not."""
    profile_of: Mapping[str, str] = field(default_factory=dict)
    """The profile of each check, by its id."""
    selected: frozenset[Identity] = frozenset()
    """Those that were to run."""

    def describe(self, cluster: Cluster) -> None:
        """Take over what the cluster says of itself."""
        self.provider = cluster.provider
        self.declared = cluster.declared
        self.nodes = nodes_under_test(cluster)
        if isinstance(cluster, Recorded):
            self._expect_changes(tuple(cluster.changes))
        self.members = cluster.members()
        self.left_out = {member.name: member.left_out for member in self.members if member.left_out}
        self.description = [*cluster.description, *_opted_out(cluster, self.nodes), *_not_tested(self.left_out)]

    def _expect_changes(self, changes: tuple[str, ...]) -> None:
        """Count what a run's record does not tell of its changes among what did not run: it is no whole run again."""
        self.changes_untold = changes
        checks = [check for check, profile in self.profile_of.items() if profile == "disruptive"]
        self.expected |= {identity(check, {"stage": change}) for check in checks for change in changes}

    def add(self, result: CheckResult) -> None:
        """Keep one check's result: the worst of the phases of its test, and of its tries if a plugin repeats it."""
        known = next((earlier for earlier in self.results if earlier.identity == result.identity), None)
        if known is None:
            self.results.append(result)
        elif _WORST_FIRST.index(result.outcome) < _WORST_FIRST.index(known.outcome):
            self.results[self.results.index(known)] = result

    def not_run(self) -> list[Identity]:
        """The checks of the profiles that have no result that counts."""
        return sorted(self.expected - {result.identity for result in self.results if not result.waived})

    def counts(self) -> Counter[str]:
        """How many checks came to each outcome."""
        return Counter(result.outcome for result in self.results)

    def judgements(self) -> tuple[Judgement, ...]:
        """The verdicts of all flows in all stages; none when no watch was made."""
        return tuple(judgement for judge in self.judges.values() for judgement in judge.judgements)

    def promised(self) -> tuple[Judgement, ...]:
        """The verdicts of the flows that must be encrypted."""
        return tuple(judgement for judgement in self.judgements() if judgement.flow.promised)

    def matrix(self) -> dict[Pair, Verdict]:
        """The worst verdict of each directed node pair, of the flows that must be encrypted.

        Pairs that a sample left out are missing. Whether every size is delivered is another question than whether a
        pair can talk (see `sizes`): of the flows that probe sizes only what passed outside the tunnel counts here.
        """
        sizes = (judgement for judgement in self.promised() if judgement.flow.purpose == "size")
        outside = [judgement for judgement in sizes if judgement.verdict in _OUTSIDE]
        others = (judgement for judgement in self.promised() if judgement.flow.purpose != "size")
        worst = _worst_of_pairs([*others, *outside]) | dict.fromkeys(self._pairs_in_clear(), Verdict.CLEARTEXT)
        # Flows on other paths alone make no tested pair; what is wrong with them is told all the same.
        tested = {judgement.flow.pair for judgement in self.promised() if judgement.flow.purpose == "pair"}
        return {pair: verdict for pair, verdict in worst.items() if pair in tested or verdict is not Verdict.ENCRYPTED}

    def pairs_tested(self) -> tuple[int, int]:
        """(Directed pairs on which flows ran, pairs that there are), of the stage that left out the most."""
        counts = [(len(judge.pairs), judge.all_pairs) for judge in self.judges.values() if judge.measurement.flows]
        return max(counts, key=lambda count: count[1] - count[0], default=(0, 0))

    def _pairs_in_clear(self) -> Iterator[Pair]:
        """The pairs with cleartext while something was changed, also where that is allowed."""
        for timeline in [made.watched.timeline for made in self.changes if made.watched]:
            yield from (timeline.flows[seen.flow].pair for seen in timeline.clear if seen.flow in timeline.flows)

    def answers_in_clear(self) -> frozenset[Pair]:
        """The pairs of whose flows the answers alone were in cleartext: what leaks there is sent the other way."""
        seen = {(judgement.flow.pair, one.direction) for judgement in self.promised() for one in judgement.sightings}
        for timeline in [made.watched.timeline for made in self.changes if made.watched]:
            known = [one for one in timeline.clear if one.flow in timeline.flows]
            seen |= {(timeline.flows[one.flow].pair, one.direction) for one in known}
        return frozenset(pair for pair, direction in seen if direction == "reply" and (pair, "request") not in seen)

    def sizes(self) -> dict[Pair, Verdict]:
        """The worst verdict of the flows that probe sizes, of each directed node pair on which they are probed."""
        return _worst_of_pairs(judgement for judgement in self.promised() if judgement.flow.purpose == "size")

    def flows_in_clear(self) -> int:
        """How many flows that must be encrypted were in cleartext or passed the tunnel by, in any stage or change."""
        clear = sum(judgement.verdict in _OUTSIDE for judgement in self.promised())
        watched = [made.watched for made in self.changes if made.watched]
        strict = [seen.timeline for seen in watched if not seen.tolerance.clear_reported]
        return clear + sum(len({sighting.flow for sighting in timeline.clear}) for timeline in strict)

    def _allowed(self) -> Iterator[str]:
        """What was in cleartext in changes in which nothing promises that it is not."""
        for made in self.changes:
            if made.watched and made.watched.tolerance.clear_reported and made.watched.timeline.clear:
                frames = frames_in_clear(made.watched.timeline.clear)
                yield f"{frames} frames in cleartext while {made.change.cleartext_while}"

    def _only_reported(self) -> int:
        """How many pairs of other pods were in cleartext, where that fails no check."""
        told = (remark for result in self.results for remark in result.unsupported)
        return len({str(replace(remark.place, change="")) for remark in told if remark.why.endswith(ONLY_REPORTED)})

    def _captured(self) -> str:
        """Of a record, what its captures show; empty of a run that sent flows of its own."""
        if self.provider != OFFLINE:
            return ""
        judge = next(iter(self.judges.values()), None)
        if judge and judge.measurement.flows:
            return ""
        return captured_in_words(judge) if judge else "not looked at"

    def _of_state(self, outcome: str) -> int:
        return sum(result.outcome == outcome and result.id.partition(".")[0] in STATE_AREAS for result in self.results)

    def tally(self) -> Tally:
        """The run in numbers, from which its outcome follows."""
        counts, known = self.counts(), {result.identity for result in self.results}
        pairs, all_pairs = self.pairs_tested()
        return Tally(
            expected=len(self.expected | known),
            ran=sum(not result.waived for result in self.results),
            passed=counts["pass"],
            failed=counts["fail"],
            inconclusive=counts["inconclusive"],
            clear=self.flows_in_clear(),
            unfinished=len(self.selected - known),
            nodes=len(self.nodes),
            left_out=len(self.left_out),
            pairs=pairs,
            all_pairs=all_pairs,
            captured=self._captured(),
            state_passed=self._of_state("pass"),
            state_failed=self._of_state("fail"),
            state_inconclusive=self._of_state("inconclusive"),
            allowed=tuple(self._allowed()),
            only_reported=self._only_reported(),
        )


def _opted_out(cluster: Cluster, tested: Collection[str]) -> Iterator[str]:
    """A line that names the nodes whose own traffic is in cleartext though node encryption was declared."""
    if cluster.declared.node_encryption:
        names = [node.name for node in cluster.nodes() if node.name in tested and not node.encryption_key]
        yield f"opted out of node encryption: {', '.join(names) or 'no node'}"


def _not_tested(left_out: Mapping[str, LeftOut]) -> Iterator[str]:
    """A line for each reason why nodes are not under test, with their names."""
    for why in dict.fromkeys(left_out.values()):
        names = [name for name, reason in left_out.items() if reason is why]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        yield f"not under test, because {why.value}: {', '.join(names[:_SHOWN])}{more}"


def _worst_of_pairs(judgements: Iterable[Judgement]) -> dict[Pair, Verdict]:
    worst: dict[Pair, Verdict] = {}
    for judgement in judgements:
        known = worst.get(judgement.flow.pair, Verdict.ENCRYPTED)
        worst[judgement.flow.pair] = min(known, judgement.verdict, key=_WORST_VERDICT_FIRST.index)
    return worst


def sighting_fields(seen: Sighting) -> dict[str, Any]:
    """A sighting as JSON has it; its frames are in `evidence[]`."""
    row: dict[str, Any] = plain(replace(seen, evidence=()))
    del row["evidence"]
    return row


def plain(value: Any) -> Any:
    """A value of the model as JSON has it: addresses and enums as text, sets sorted."""
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if is_dataclass(value):
        return {member.name: plain(getattr(value, member.name)) for member in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(getattr(value, "value", value))
