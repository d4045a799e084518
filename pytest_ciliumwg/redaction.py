"""What others say, without what is secret in it: the one filter for output that is quoted.

A program may print anything when it fails: `wg` its input, a client the header that it sent. A private key of WireGuard
looks like a public one, so both go.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

REDACTED = "[redacted]"
_PATTERNS = (
    # The end of a block may have been cut off with the text.
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=(?![A-Za-z0-9+/=])"),
    re.compile(r"\b(?:private|preshared)[_ -]?key\b[\"' ]*[=:][\"' ]*(?P<secret>[A-Za-z0-9+/_=-]{16,})", re.IGNORECASE),
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"),
    re.compile(r"\b(?:Bearer|Basic)\s+(?P<secret>[\w.~+/=-]{16,})", re.IGNORECASE),
    re.compile(
        r"(?:token|passw(?:or)?d|(?<!pull-)secret|api[_-]?key|client-key-data|credentials?)[\"']?"
        r"\s*(?:=|:(?!\s*[a-z]+\b))\s*[\"']?(?P<secret>[^\s\"',;&]{4,})",
        re.IGNORECASE,
    ),
    re.compile(r"(?<=://)(?P<secret>[^\s/:@]+:[^\s/@]+)(?=@)"),
)
"""What is secret by its shape; where only a part of it is, that is the group `secret`."""
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|PRIVATE_?KEY", re.IGNORECASE)
_SHORTEST = 8
"""Shorter values are words that also stand for something else."""
_known: set[str] = set()


def names_a_secret(name: str) -> bool:
    """Whether something of that name may be secret."""
    return _SECRET_NAME.search(name.replace("-", "_")) is not None


def remember(values: Iterable[object]) -> None:
    """Values that this process uses and nobody is to read, such as the token of a kubeconfig."""
    _known.update(text for value in values if len(text := str(value).removeprefix("Bearer ").strip()) >= _SHORTEST)


def without_secrets(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """A text with `[redacted]` for each secret in it: by value those that are known, all others by their shape."""
    named = {value for name, value in environ.items() if len(value) >= _SHORTEST and _SECRET_NAME.search(name)}
    for value in sorted(_known | named, key=len, reverse=True):
        text = text.replace(value, REDACTED)
    for pattern in _PATTERNS:
        text = pattern.sub(_redacted, text)
    return text


def _redacted(found: re.Match[str]) -> str:
    if "secret" not in found.re.groupindex:
        return REDACTED
    start, end = found.span("secret")
    return f"{found.string[found.start() : start]}{REDACTED}{found.string[end : found.end()]}"
