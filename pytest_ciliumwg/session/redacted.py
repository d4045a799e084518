"""What pytest keeps of a check, without secrets: tracebacks with their locals, and captured output."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_ciliumwg.redaction import without_secrets


def redact(call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Filter a check's report in place, for the terminal, JUnit and all other reports of pytest.

    What `verify` says of a check is left: it is made of the model, which has public keys and no secrets.
    """
    report.sections = [(title, without_secrets(text)) for title, text in report.sections]
    if call.excinfo is not None and not isinstance(call.excinfo.value, (pytest.fail.Exception, pytest.skip.Exception)):
        report.longrepr = _cleaned(report.longrepr)


def _cleaned(value: Any) -> Any:
    """A part of pytest's representation of an error, which is made of text, lists and its own objects."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
        return without_secrets("\n".join(value)).split("\n")
    if isinstance(value, (list, tuple)):
        return type(value)(map(_cleaned, value))
    if type(value).__module__.startswith("_pytest."):
        for name, part in vars(value).items():
            setattr(value, name, _cleaned(part))
    return value
