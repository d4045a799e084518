"""The errors that a user meets: one sentence each, saying what is wrong, where, and what to do."""

from __future__ import annotations

from pytest_ciliumwg.redaction import without_secrets


def more_on(anchor: str) -> str:
    """What an error ends with that needs more than one sentence: where the others are.

    Args:
        anchor: A heading of docs/troubleshooting.md.
    """
    return f" (docs/troubleshooting.md#{anchor})"


class CiliumwgError(Exception):
    """The base of every error that this package raises for its user to read.

    Most of them quote what a program or a server said: here is the one place where secrets are taken out of that.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(without_secrets(sentence))


class ObservationError(CiliumwgError):
    """Something of the cluster could not be read: the output was missing, cut off or not understood."""


class ProviderError(CiliumwgError):
    """A cluster could not be made, reached or taken down."""


class AgentError(CiliumwgError):
    """A node agent refused a request, did not answer, or answered with something that is no reply."""
