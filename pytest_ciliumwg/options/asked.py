"""Whether a run of pytest asks for the suite.

Every run of pytest in an environment that has this package loads this: the standard library only, and no other module
of ours before the suite, or one of its settings, is named somewhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

NAME = "ciliumwg"
HELP = "Run the conformance suite for Cilium's WireGuard encryption"
GROUP = (NAME, "Cilium WireGuard conformance")


def declare(parser: pytest.Parser) -> None:
    """Declare the option that asks for the suite; all others follow where they may be needed."""
    how: dict[str, Any] = {"dest": NAME, "action": "store_const", "const": "yes", "default": None}
    parser.getgroup(*GROUP).addoption(f"--{NAME}", help=help_of(HELP, NAME.upper(), NAME), **how)
    parser.addini(NAME, HELP, type="string", default=None)


def help_of(text: str, env: str, ini: str) -> str:
    """An option's help, with where else it can be said."""
    return f"{text} [env: {env}, ini: {ini}]"


def is_named(config: pytest.Config, args: list[str]) -> bool:
    """Whether the suite or a setting of it is named, or help is asked for: then all options are needed."""
    known = config.known_args_namespace
    return (
        getattr(known, "help", False)
        or any(argument.startswith(f"--{NAME}") or f"{NAME}_" in argument for argument in args)
        or any(NAME.upper() in name for name in os.environ)
        or (config.inipath is not None and f"{NAME}_" in config.inipath.read_text(encoding="utf-8", errors="replace"))
    )


def is_asked_for(config: pytest.Config) -> bool:
    """Whether `--ciliumwg` was given: as an option, environment variable or ini setting."""
    said = getattr(config.known_args_namespace, NAME, None) or os.environ.get(NAME.upper()) or config.getini(NAME)
    if not said:
        return False
    from pytest_ciliumwg.options.resolve import is_enabled

    return is_enabled(config)
