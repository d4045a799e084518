"""What a run has to report, gathered while it goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pytest_ciliumwg.changes.apply import ChangeResult
from pytest_ciliumwg.checks.finding import Finding, Remark
from pytest_ciliumwg.model.cluster import CiliumConfig
from pytest_ciliumwg.model.traffic import Sighting, Verdict
from pytest_ciliumwg.providers.base import Cluster
from pytest_ciliumwg.verdict.judge import Judge, Judgement

Pair = tuple[str, str]


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
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    description: list[str] = field(default_factory=list)
    declared: CiliumConfig | None = None
    nodes: list[str] = field(default_factory=list)
    results: list[CheckResult] = field(default_factory=list)
    judges: dict[str, Judge] = field(default_factory=dict)
    """Stage → its flows, judged."""
    changes: list[ChangeResult] = field(default_factory=list)
    """The changes between the stages."""

    def describe(self, cluster: Cluster) -> None:
        """Take over what the cluster says of itself."""
        self.provider = cluster.provider
        self.description = list(cluster.description)
        self.declared = cluster.declared
        self.nodes = [node.name for node in cluster.nodes()]

    def add(self, result: CheckResult) -> None:
        """Keep one check's result; a later phase of the same test replaces an earlier one."""
        same = [one for one in self.results if (one.id, one.params) == (result.id, result.params)]
        if same:
            self.results.remove(same[0])
        self.results.append(result)

    def counts(self) -> Counter[str]:
        """How many checks came to each outcome."""
        return Counter(result.outcome for result in self.results)

    def judgements(self) -> tuple[Judgement, ...]:
        """The verdicts of all flows in all stages; none when no watch was made."""
        return tuple(one for judge in self.judges.values() for one in judge.judgements)

    def promised(self) -> tuple[Judgement, ...]:
        """The verdicts of the flows that must be encrypted."""
        return tuple(one for one in self.judgements() if one.flow.promised)

    def matrix(self) -> dict[Pair, Verdict]:
        """The worst verdict of each directed node pair, of the flows that must be encrypted."""
        order = (Verdict.CLEARTEXT, Verdict.UNREACHABLE, Verdict.INCONCLUSIVE, Verdict.ENCRYPTED)
        worst: dict[Pair, Verdict] = {}
        for judgement in self.promised():
            known = worst.get(judgement.flow.pair, Verdict.ENCRYPTED)
            worst[judgement.flow.pair] = min(known, judgement.verdict, key=order.index)
        return worst

    def verdict_line(self) -> str:
        """The run in one sentence."""
        counts = self.counts()
        if counts["fail"]:
            return f"NOT CONFORMANT: {counts['fail']} checks failed"
        if counts["inconclusive"]:
            return f"INCONCLUSIVE: {counts['inconclusive']} checks could not be measured; nothing is proven"
        return f"conformant: {counts['pass']} checks passed on {len(self.nodes)} nodes"


def sighting_fields(seen: Sighting) -> dict[str, Any]:
    """A sighting as JSON has it; its frames are in the pcaps."""
    fields: dict[str, Any] = plain(asdict(replace(seen, evidence=())))
    del fields["evidence"]
    return fields


def plain(value: Any) -> Any:
    """A value of the model as JSON has it: addresses and enums as text, sets sorted."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(plain(one) for one in value)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return str(getattr(value, "value", value))
