"""metrics.prom: the run as OpenMetrics, for the node exporter's textfile collector or a Pushgateway.

Both read Prometheus's own text format, which knows the types gauge and counter and takes `# EOF` for a comment: so
nothing else of OpenMetrics is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pytest_ciliumwg.report.unlisted import pairs_of_each_kind

NAME = "metrics.prom"
Document = Mapping[str, Any]
Labels = tuple[tuple[str, str], ...]
_OUTCOMES = ("conformant", "partial", "not-conformant", "inconclusive")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all of its samples."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: dict[Labels, float] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """As text; the sample of a counter has the suffix `_total`."""
        yield f"# HELP {self.name} {_escaped(self.help, quotes=False)}"
        yield f"# TYPE {self.name} {self.kind}"
        suffix = "_total" if self.kind == "counter" else ""
        for labels, value in self.samples.items():
            told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
            yield f"{self.name}{suffix}{f'{{{told}}}' if told else ''} {value:.15g}"


def text(document: Document) -> str:
    """The file's text, from the fields of report.json."""
    lines = [line for family in _families(document) if family.samples for line in family.lines()]
    return "\n".join([*lines, "# EOF", ""])


def _families(document: Document) -> Iterator[Family]:
    yield from _run(document)
    yield from _flows(document)
    yield from _watches(document)
    yield from _changes(document)


def _run(document: Document) -> Iterator[Family]:
    declared = document["cluster"]["declared"] or {}
    facts = {
        "provider": document["cluster"]["provider"],
        "cilium_version": declared.get("version", ""),
        "version": document["tool"]["version"],
    }
    yield Family("ciliumwg_run_info", "gauge", "What was tested, and with which version.", {_labels(**facts): 1})
    finished = datetime.fromisoformat(document["finished"]).timestamp()
    yield Family("ciliumwg_run_finished_timestamp_seconds", "gauge", "When the run ended.", {(): finished})
    outcomes = {_labels(outcome=outcome): float(outcome == document["outcome"]) for outcome in _OUTCOMES}
    yield Family("ciliumwg_run_outcome", "gauge", "1 for what the run came to, 0 for all else.", outcomes)
    checks = Counter(check["outcome"] for check in document["checks"])
    told = {_labels(outcome=outcome): float(checks[outcome]) for outcome in ("pass", "fail", "inconclusive", "skip")}
    yield Family("ciliumwg_checks", "gauge", "Checks by outcome.", told)
    yield Family("ciliumwg_checks_expected", "gauge", "Checks that a whole run has.", {(): document["checks_expected"]})
    told = {(): document["pairs_tested"]}
    yield Family("ciliumwg_pairs_tested", "gauge", "Directed pairs of nodes between which flows ran.", told)
    told = {(): document["pairs_in_all"]}
    yield Family("ciliumwg_pairs_in_all", "gauge", "Directed pairs of nodes under test that there are.", told)
    yield Family("ciliumwg_findings", "gauge", "Causes of what is wrong.", {(): len(document["findings"])})


def _flows(document: Document) -> Iterator[Family]:
    """Of what has to be encrypted, for each directed pair of nodes, family and protocol."""
    encrypted = Family(
        "ciliumwg_flow_encrypted",
        "gauge",
        "1 if all traffic of a kind between two nodes was proven to be encrypted, 0 if not: in cleartext, past the "
        "tunnel, lost or not measured.",
    )
    frames = Family(
        "ciliumwg_cleartext_frames",
        "counter",
        "Frames in cleartext of flows that are to be encrypted, also while something was changed.",
    )
    tested = {(pair["source"], pair["destination"]) for pair in document["pairs"]}
    for flow in document["flows"]:
        if (flow["source_node"], flow["destination_node"]) not in tested:
            continue  # flows on other paths alone prove nothing of the pair
        known_to_be_dropped = flow["dropped_by_design"] and flow["verdict"] == "unreachable"
        if flow["promised"] and not known_to_be_dropped:
            labels = _flow_labels(flow)
            good = flow["verdict"] == "encrypted"
            encrypted.samples[labels] = min(encrypted.samples.get(labels, 1), float(good))
            _add(frames.samples, labels, flow["sightings"])
    for family, protocol, pair in pairs_of_each_kind(document):
        labels = _labels(source=pair["source"], destination=pair["destination"], family=family, protocol=protocol)
        encrypted.samples.setdefault(labels, float(pair["verdict"] == "encrypted"))
        frames.samples.setdefault(labels, 0)
    for change in document["changes"]:
        timeline = change["timeline"] or {"flows": [], "leaks": []}
        flows = {flow["id"]: _flow_labels(flow) for flow in timeline["flows"] if flow["promised"]}
        for leak in timeline["leaks"]:
            if leak["flow"] in flows:
                _add(frames.samples, flows[leak["flow"]], [leak])
                encrypted.samples[flows[leak["flow"]]] = 0
    yield encrypted
    yield frames


def _add(samples: dict[Labels, float], labels: Labels, sightings: Iterable[Mapping[str, Any]]) -> None:
    samples[labels] = samples.get(labels, 0) + sum(seen["frames"] for seen in sightings)


def _flow_labels(flow: Mapping[str, Any]) -> Labels:
    family = "v6" if ":" in flow["source"] else "v4"
    return _labels(
        source=flow["source_node"], destination=flow["destination_node"], family=family, protocol=flow["protocol"]
    )


def _watches(document: Document) -> Iterator[Family]:
    sound = Family("ciliumwg_watch_sound", "gauge", "1 if a node's watch proved that it would have seen cleartext.")
    dropped = Family("ciliumwg_watch_dropped_frames", "counter", "Frames that the kernel dropped before a watch.")
    for watch in document["watches"]:
        labels = _labels(node=watch["node"])
        sound.samples[labels] = min(sound.samples.get(labels, 1), float(not watch["blind"]))
        for device, counts in watch["devices"].items():
            where = _labels(node=watch["node"], device=device)
            dropped.samples[where] = dropped.samples.get(where, 0) + counts["drops"]
    yield sound
    yield dropped


def _changes(document: Document) -> Iterator[Family]:
    leaked = Family("ciliumwg_change_cleartext_frames", "counter", "Frames in cleartext while something was changed.")
    settled = Family("ciliumwg_change_settled_seconds", "gauge", "How long it took until all was as it has to be.")
    for change in document["changes"]:
        labels = _labels(change=change["name"])
        if change["timeline"]:
            _add(leaked.samples, labels, change["timeline"]["leaks"])
        if change["settled_after"] is not None:
            settled.samples[labels] = change["settled_after"]
    yield leaked
    yield settled


def _labels(**labels: str) -> Labels:
    return tuple(labels.items())


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
