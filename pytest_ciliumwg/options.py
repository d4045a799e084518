"""Every option once: command line, then environment, then ini file, then default; resolved into one Settings.

Each option `--ciliumwg-NAME` is also the environment variable `CILIUMWG_NAME` and the ini setting `ciliumwg_name`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROVIDERS = ("kind", "existing", "lab")
PROFILES = ("core", "extended", "disruptive")
IP_FAMILIES = ("v4", "v6", "dual")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run was asked to be."""

    provider: str
    nodes: int | None
    """How many nodes to make; None leaves it to the provider."""
    cilium_version: str | None
    """None: the newest version this package knows (lab, kind), or the one that is found (existing)."""
    ip_family: str
    profiles: frozenset[str]
    report: Path | None
    keep: bool
    faults: tuple[str, ...]
    plan: bool
    selftest: bool


@dataclass(frozen=True, slots=True)
class Option:
    """One option; `parse` turns its text into a value and raises ValueError with what is accepted."""

    name: str
    help: str
    parse: Callable[[str], Any]
    default: str | None
    metavar: str | None = None
    flag: bool = False
    repeatable: bool = False

    @property
    def cli(self) -> str:
        """As on the command line."""
        return f"--{self.name}"

    @property
    def ini(self) -> str:
        """As in an ini file, and as the attribute of pytest's options."""
        return self.name.replace("-", "_")

    @property
    def env(self) -> str:
        """As an environment variable."""
        return self.ini.upper()


def _one_of(*accepted: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in accepted:
            raise ValueError(f"accepted are {', '.join(accepted)}")
        return text

    return parse


def _some_of(*accepted: str) -> Callable[[str], frozenset[str]]:
    def parse(text: str) -> frozenset[str]:
        chosen = frozenset(part.strip() for part in text.split(",") if part.strip())
        if not chosen or not chosen <= set(accepted):
            raise ValueError(f"accepted are {', '.join(accepted)}, several separated by commas")
        return chosen

    return parse


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"accepted are whole numbers from {least} to {most}")
        return int(text)

    return parse


def _version(text: str) -> str:
    from pytest_ciliumwg.expect import known_version

    known_version(text)
    return text


def _switch(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(f"accepted are {', '.join((*_TRUE, *_FALSE[:-1]))}")
    return text.lower() in _TRUE


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


ENABLE = Option("ciliumwg", "Run the conformance suite for Cilium's WireGuard encryption", _switch, "no", flag=True)
OPTIONS = (
    ENABLE,
    Option(
        "ciliumwg-provider",
        "Where the cluster comes from: kind (default), existing or lab",
        _one_of(*PROVIDERS),
        "kind",
        "NAME",
    ),
    Option("ciliumwg-nodes", "How many nodes the cluster shall have (2 to 64)", _number(2, 64), None, "N"),
    Option(
        "ciliumwg-cilium-version",
        "Cilium version X.Y or X.Y.Z to install, to expect, or for the lab to imitate (default: newest known)",
        _version,
        None,
        "VERSION",
    ),
    Option("ciliumwg-ip-family", "IP families: v4, v6 or dual (default)", _one_of(*IP_FAMILIES), "dual", "FAMILY"),
    Option(
        "ciliumwg-profile",
        "Which checks run: core (default), extended, disruptive, separated by commas",
        _some_of(*PROFILES),
        "core",
        "NAMES",
    ),
    Option("ciliumwg-report", "Write report.json and other evidence into this directory", Path, None, "DIR"),
    Option("ciliumwg-keep", "Leave the cluster standing at the end and say how to enter it", _switch, "no", flag=True),
    Option(
        "ciliumwg-fault",
        "Lab only, repeatable: inject a fault, to see the suite find it",
        _names,
        "",
        "NAME[@NODE]",
        repeatable=True,
    ),
    Option(
        "ciliumwg-selftest",
        "Lab only: run the healthy lab and every fault, and show which check caught which; with --ciliumwg-fault these",
        _switch,
        "no",
        flag=True,
    ),
    Option("ciliumwg-plan", "Print the checks and flows that would run, and touch nothing", _switch, "no", flag=True),
)


def add_options(parser: pytest.Parser) -> None:
    """Declare all options and their ini settings."""
    group = parser.getgroup("ciliumwg", "Cilium WireGuard conformance")
    for option in OPTIONS:
        origin = f" [env: {option.env}, ini: {option.ini}]"
        how: dict[str, Any] = {"dest": option.ini, "default": None, "help": option.help + origin}
        if option.flag:
            how.update(action="store_const", const="yes")
        else:
            how.update(action="append" if option.repeatable else "store", metavar=option.metavar)
        group.addoption(option.cli, **how)
        parser.addini(option.ini, option.help, type="string", default=None)


def is_enabled(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether `--ciliumwg` was given, in whatever way."""
    return bool(_resolve(ENABLE, config, environ))


def resolve(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> Settings:
    """All settings of this run.

    Raises:
        pytest.UsageError: a value is not accepted, or two contradict each other.
    """
    values = {option.ini.removeprefix("ciliumwg_"): _resolve(option, config, environ) for option in OPTIONS[1:]}
    settings = Settings(profiles=values.pop("profile"), faults=values.pop("fault"), **values)
    if settings.faults and settings.provider != "lab":
        raise pytest.UsageError(
            f"--ciliumwg-fault injects faults into the lab only, never into a cluster of provider {settings.provider}"
        )
    if settings.selftest and settings.provider != "lab":
        raise pytest.UsageError(
            f"--ciliumwg-selftest proves the suite in the lab only, not in a cluster of provider {settings.provider}: "
            "add --ciliumwg-provider=lab"
        )
    return settings


def _resolve(option: Option, config: pytest.Config, environ: Mapping[str, str]) -> Any:
    text, origin = _text(option, config, environ)
    if text is None:
        return None
    try:
        return option.parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"{origin}: {text!r} is not accepted: {error}") from None


def _text(option: Option, config: pytest.Config, environ: Mapping[str, str]) -> tuple[str | None, str]:
    """The option's text and where it was said."""
    given = getattr(config.known_args_namespace, option.ini, None)
    if given is not None:
        return ",".join(given) if isinstance(given, list) else given, option.cli
    if option.env in environ:
        return environ[option.env], f"environment variable {option.env}"
    ini = config.getini(option.ini)
    if ini is not None:
        return str(ini), f"ini setting {option.ini}"
    return option.default, option.cli
