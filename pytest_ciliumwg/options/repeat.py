"""The command that runs the same again."""

from __future__ import annotations

import shlex

import pytest

from pytest_ciliumwg.options.resolve import spoken
from pytest_ciliumwg.options.table import ENABLE, OPTIONS
from pytest_ciliumwg.redaction import without_secrets

_ELSEWHERE = ("ciliumwg-report", "ciliumwg-plan")
"""What of a run does not change its results."""
_ANONYMISE = "ciliumwg-anonymise"
_WITH_NAMES = ("ciliumwg-input", "ciliumwg-node-encryption-opt-out", "ciliumwg-verdict-file")
"""What a user's own names are in."""


def command(config: pytest.Config) -> str:
    """With every option that was given, by command line, environment or ini file, and what selects tests."""
    words = ["pytest", ENABLE.cli]
    anonymous = any(option.name == _ANONYMISE and option.parse(spoken(option, config) or "no") for option in OPTIONS)
    for option in OPTIONS:
        text = None if option is ENABLE or option.name in _ELSEWHERE else spoken(option, config)
        if text is None:
            continue
        if option.flag:
            words += [option.cli] if option.parse(text) else []
        elif anonymous and option.name in _WITH_NAMES:
            words.append(option.usage)
        else:
            words += [f"{option.cli}={part}" for part in (text.splitlines() if option.repeatable else [text])]
    words += [f"-k={config.option.keyword}"] if config.option.keyword else []
    words += [f"-m={config.option.markexpr}"] if config.option.markexpr else []
    return without_secrets(shlex.join(words))
