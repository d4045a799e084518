"""What can go wrong between us and an API server, and the one sentence for each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ciliumwg.errors import ProviderError, more_on

FORBIDDEN, NOT_FOUND, CONFLICT, GONE = 403, 404, 409, 410
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_MESSAGE = 400


class KubeError(ProviderError):
    """A request to the API server failed; the text is the sentence for the user."""

    def __init__(
        self, sentence: str, *, status: int | None = None, passing: bool = False, retry_after: float = 0.0
    ) -> None:
        super().__init__(sentence)
        self.status = status
        """The HTTP status, None where no answer came."""
        self.passing = passing
        """Whether the same request may succeed a little later."""
        self.retry_after = retry_after
        """Seconds that the server asked us to wait."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """The API server that we talk to, for messages."""

    host: str
    source: str
    """Where its address and our credentials come from, such as `context kind of ~/.kube/config`."""

    def answered(self, doing: str, status: int, headers: Mapping[str, str], body: bytes) -> KubeError:
        """The error for an answer that is a refusal."""
        message = _message(body)
        said = f": {message}" if message else ""
        return KubeError(
            self._sentence(doing, status, said),
            status=status,
            passing=status in _PASSING,
            retry_after=_seconds(headers),
        )

    def _sentence(self, doing: str, status: int, said: str) -> str:
        match status:
            case 401:
                return (
                    f"cannot {doing}: the API server {self.host} does not accept the credentials of {self.source} "
                    "(401); log in again or choose another context"
                )
            case 403 if "violates PodSecurity" in said or "admission" in said:
                refused = f"cannot {doing}: the cluster's admission control refuses it (403{said})"
                return f"{refused}; ask for an exemption{more_on('admission-control')}"
            case 403:
                return (
                    f"cannot {doing}: the user of {self.source} may not (403{said}); "
                    "ask the cluster's administrator for this right"
                )
            case 404:
                return f"cannot {doing}: the API server {self.host} has no such thing (404{said})"
            case 409:
                return f"cannot {doing}: it conflicts with what is there (409{said})"
            case 422:
                return f"cannot {doing}: the API server {self.host} finds the object invalid (422{said})"
            case 429:
                return f"cannot {doing}: the API server {self.host} is overloaded and puts us off (429{said})"
            case _:
                return f"cannot {doing}: the API server {self.host} answered {status}{said}"

    def silent(self, doing: str, error: BaseException) -> KubeError:
        """The error for a request that got no answer."""
        text = _innermost(error)
        low = text.lower()
        if "proxy" in str(error).lower():
            return KubeError(
                f"cannot {doing}: the proxy on the way to the API server {self.host} of {self.source} does not work "
                f"({text}); check proxy-url there, HTTPS_PROXY and NO_PROXY",
                passing=True,
            )
        if "certificate" in low or "ssl" in low or "tls" in low:
            return KubeError(
                f"cannot {doing}: no trusted TLS connection to the API server {self.host} of {self.source} ({text}); "
                "check the cluster's certificate authority and the client's certificate there"
            )
        if "timed out" in low or "timeout" in low:
            return KubeError(
                f"cannot {doing}: the API server {self.host} of {self.source} did not answer in time; "
                "check that it runs and can be reached from here",
                passing=True,
            )
        return KubeError(
            f"cannot {doing}: the API server {self.host} of {self.source} cannot be reached ({text}); "
            "check that the cluster runs and that this is the right context",
            passing=True,
        )

    def nonsense(self, doing: str) -> KubeError:
        """The error for an answer that is no JSON object; a proxy in between may be the reason."""
        return KubeError(
            f"cannot {doing}: what answers at {self.host} is no Kubernetes API server; "
            f"check the server's address in {self.source}, and proxies on the way",
            passing=True,
        )


def _message(body: bytes) -> str:
    """The message of a Status object, on one line; the text itself where a proxy answered."""
    text = body.decode("utf-8", "replace")
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if isinstance(status, Mapping):
        text = str(status.get("message") or status.get("reason") or "")
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


def _seconds(headers: Mapping[str, str]) -> float:
    """The header Retry-After in seconds, 0 without one; as a date, which API servers never send, it is not read."""
    found = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        return max(float(found), 0.0)
    except ValueError:
        return 0.0


def _unquoted(text: str) -> str:
    """Without the quotes and brackets behind an error that another one holds as text, as that of a proxy does."""
    bare = re.sub(r"""["']\)+$""", "", text)
    return bare.removesuffix(")") if bare.count(")") > bare.count("(") else bare


def _innermost(error: BaseException) -> str:
    """What the operating system said, without the names of the layers above it."""
    inner: BaseException = error
    reason: Any = getattr(error, "reason", None)
    while isinstance(reason, BaseException):
        inner, reason = reason, getattr(reason, "reason", None)
    text = _unquoted(str(inner)) or type(inner).__name__
    return " ".join(text.rsplit("[Errno", 1)[-1].partition("] ")[2].split() or text.split())
