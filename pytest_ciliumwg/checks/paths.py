"""What checks of paths have in common; those of the profile extended verify the same three things of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from pytest_ciliumwg.checks.helpers import assert_delivered, assert_encrypted, assert_in_the_tunnel
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.traffic import Path, Protocol
from pytest_ciliumwg.providers.targets import Targets
from pytest_ciliumwg.verdict.judge import Judge, Judgement

CUSTODY = "design: a chain of custody for every flow"
BY_TRANSPORT = pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP], ids=lambda protocol: protocol.value)


def promised_of(judgements: Iterable[Judgement], path: Path, expected: Expectations, verify: Verify) -> list[Judgement]:
    """Those flows of a path that are promised to be encrypted; of the others it is told what they were."""
    flows = list(judgements)
    unpromised = Counter(judgement.verdict.value for judgement in flows if not judgement.flow.promised)
    if unpromised:
        seen = ", ".join(f"{count} {what}" for what, count in unpromised.items())
        why = f"not promised by Cilium {expected.config.version} as configured; seen: {seen}"
        verify.unsupported(Place.of_path(path), why)
    return [judgement for judgement in flows if judgement.flow.promised]


class PathChecks:
    """The flows of one path, for one check."""

    def __init__(self, judge: Judge, targets: Targets, expected: Expectations, verify: Verify) -> None:
        self._judge = judge
        self._targets = targets
        self._expected = expected
        self._verify = verify

    def delivered(self, path: Path, protocol: Protocol, meaning: str) -> None:
        """Verify that every message was answered, whether the path is encrypted or not."""
        for judgement in self._flows(path, protocol):
            assert_delivered(self._verify, judgement, meaning)

    def no_cleartext(self, path: Path, protocol: Protocol) -> None:
        """Verify that nothing of promised flows was in cleartext, and tell of the others what they were."""
        for judgement in self._promised(path, protocol):
            assert_encrypted(self._verify, judgement)

    def custody(self, path: Path, protocol: Protocol) -> None:
        """Verify that promised flows went through the tunnel."""
        for judgement in self._promised(path, protocol):
            assert_in_the_tunnel(self._verify, judgement)

    def _promised(self, path: Path, protocol: Protocol) -> list[Judgement]:
        return promised_of(self._flows(path, protocol), path, self._expected, self._verify)

    def _flows(self, path: Path, protocol: Protocol) -> Iterator[Judgement]:
        found = False
        for judgement in self._judge.judgements:
            if (judgement.flow.path, judgement.flow.protocol) == (path, protocol):
                found = True
                yield judgement
        if not found:
            self._verify.unsupported(Place.of_path(path), self._targets.missing.get(path, "nothing leads there"))
