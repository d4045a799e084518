"""What a whole run comes to: its word, its sentence and its exit status. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

OK, TESTS_FAILED, NO_TESTS_COLLECTED = 0, 1, 5
"""pytest's exit statuses."""


class RunOutcome(enum.Enum):
    """What a run comes to."""

    CONFORMANT = "conformant"
    """The whole profile ran to its end, and nothing was wrong."""
    PARTIAL = "partial"
    """What ran was right, but not all ran."""
    NOT_CONFORMANT = "not-conformant"
    INCONCLUSIVE = "inconclusive"


_LOUD = (RunOutcome.NOT_CONFORMANT, RunOutcome.INCONCLUSIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a run is judged by, in numbers of checks."""

    expected: int
    """All of the chosen profiles, in all stages."""
    ran: int
    """Those with a result of their own: not skipped by a marker or plugin, not expected to fail."""
    passed: int
    failed: int
    inconclusive: int
    clear: int = 0
    """Flows that must be encrypted, and were seen in cleartext or passed the tunnel by."""
    unfinished: int = 0
    """Checks that were selected and have no result at all."""
    nodes: int = 0
    """Nodes under test."""
    left_out: int = 0
    """Nodes of the cluster that are not."""
    pairs: int = 0
    """Directed pairs of nodes under test between which flows ran, in the stage that left out the most."""
    all_pairs: int = 0
    """Directed pairs of nodes that there are in that stage."""
    captured: str = ""
    """Of a record: what its captures show, such as `2 of 6 pairs seen encrypted, none in cleartext`."""
    state_passed: int = 0
    state_failed: int = 0
    state_inconclusive: int = 0
    """Of a record: checks of the nodes' state."""
    allowed: tuple[str, ...] = ()
    """What was in cleartext and is allowed as declared, such as `573 frames in cleartext during device-down`."""
    only_reported: int = 0
    """Pairs of other pods that were in cleartext, where that was to be reported only."""

    @property
    def outcome(self) -> RunOutcome:
        """The word. Only a run that left nothing out, and passed something, is conformant."""
        if self.failed or self.clear:
            return RunOutcome.NOT_CONFORMANT
        if self.inconclusive or not self.ran:
            return RunOutcome.INCONCLUSIVE
        if self.ran < self.expected:
            return RunOutcome.PARTIAL
        return RunOutcome.CONFORMANT if self.passed else RunOutcome.INCONCLUSIVE

    def line(self) -> str:
        """The run in one sentence."""
        if self.captured:
            return self._of_a_record()
        match self.outcome:
            case RunOutcome.NOT_CONFORMANT:
                return f"NOT CONFORMANT: {self._what_is_wrong()}{self._of_pairs(', tested')}"
            case RunOutcome.INCONCLUSIVE:
                return f"INCONCLUSIVE: {self._what_is_in_doubt()}{self._of_pairs(', tested')}; nothing is proven"
            case RunOutcome.PARTIAL:
                passed = "all passed" if self.passed == self.ran else f"{self.passed} passed, none failed"
                ran = f"{self.ran} of {_count(self.expected, 'check')} ran"
                return f"partial: {ran}, {passed}{self._of_all()}{self._of_pairs(',')}{self._with_what_is_allowed()}"
            case RunOutcome.CONFORMANT:
                passed = f"{_count(self.passed, 'check')} passed on {self._tested()} nodes"
                return f"conformant{self._of_pairs('')}: {passed}{self._with_what_is_allowed()}"

    def _of_a_record(self) -> str:
        """What state and captures say, each for itself: a record proves what it shows, and seldom all."""
        unknown = f" ({_count(self.state_inconclusive, 'check')} could not be told)" if self.state_inconclusive else ""
        word = self.outcome.value.upper() if self.outcome in _LOUD else self.outcome.value
        return f"{word.replace('-', ' ')}: {self._state()}{unknown}; wire: {self.captured}"

    def _state(self) -> str:
        if self.state_failed:
            return f"{_count(self.state_failed, 'check')} of the state failed"
        if not self.state_passed:
            return "nothing is known of the state"
        if self.ran < self.expected or self.state_inconclusive:
            return f"{_count(self.state_passed, 'check')} of the state passed, none failed"
        return "state conforms"

    def _with_what_is_allowed(self) -> str:
        allowed = f", with {' and '.join(self.allowed)} (no strict mode declared)" if self.allowed else ""
        pods = f", with {_count(self.only_reported, 'pair')} of other pods in cleartext (only reported, as was asked)"
        return f"{allowed}{pods if self.only_reported else ''}"

    def _tested(self) -> str:
        return f"{self.nodes} of {self.nodes + self.left_out}" if self.left_out else str(self.nodes)

    def _of_all(self) -> str:
        return f", on {self._tested()} nodes" if self.left_out else ""

    def _of_pairs(self, before: str) -> str:
        """On how many pairs flows ran, where it was not on all."""
        tested = f"{before} on {self.pairs:,} of {self.all_pairs:,} pairs"
        return tested if self.pairs < self.all_pairs else ""

    def _what_is_wrong(self) -> str:
        if self.failed:
            wrong = f"{_count(self.failed, 'check')} failed"
        else:
            wrong = (
                f"{_count(self.clear, 'flow')} in cleartext that had to be encrypted, though no check that ran failed"
            )
        return wrong + (f" ({self.inconclusive} more could not be measured)" if self.inconclusive else "")

    def _what_is_in_doubt(self) -> str:
        if self.inconclusive:
            return f"{_count(self.inconclusive, 'check')} could not be measured"
        return "no check passed" if self.ran else "no check ran"

    def exit_status(self, given: int, required: RunOutcome | None = None) -> int:
        """The exit status of the run.

        Args:
            given: What pytest makes of its tests; what it calls bad stays so.
            required: The least that the run has to come to, where more is wanted than that what ran was right.
        """
        if given != OK:
            return given
        if not self.ran and not self.clear:
            return NO_TESTS_COLLECTED
        wrong = self.outcome in (RunOutcome.NOT_CONFORMANT, RunOutcome.INCONCLUSIVE)
        return TESTS_FAILED if wrong or self.unfinished or not self.meets(required) else OK

    def meets(self, required: RunOutcome | None) -> bool:
        """Whether the run comes to what was required of it."""
        return required in (None, self.outcome)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
