"""What was said of every option: command line, then environment, then ini file, then default; as one Settings.

Each option `--ciliumwg-NAME` is also the environment variable `CILIUMWG_NAME` and the ini setting `ciliumwg_name`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ciliumwg.options import asked
from pytest_ciliumwg.options.option import PROVIDERS, Option
from pytest_ciliumwg.options.table import ENABLE, OPTIONS, PROVIDER, provider_among

if TYPE_CHECKING:
    from pytest_ciliumwg.options.settings import Settings


def add_options(parser: pytest.Parser) -> None:
    """Declare all options and their ini settings but the one that `asked` declares."""
    group = parser.getgroup(*asked.GROUP)
    for option in OPTIONS:
        if option is ENABLE:
            continue
        shown = asked.help_of(option.help, option.env, option.ini)
        how: dict[str, Any] = {"dest": option.ini, "default": None, "help": shown}
        if option.flag:
            how.update(action="store_const", const="yes")
        else:
            how.update(action="append" if option.repeatable else "store", metavar=option.metavar)
        group.addoption(option.cli, **how)
        parser.addini(option.ini, option.help, type="string", default=None)


def is_enabled(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether `--ciliumwg` was given: as an option, environment variable or ini setting."""
    return bool(_value(ENABLE, *_text(ENABLE, config, environ)))


def resolve(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> Settings:
    """All settings of this run.

    Raises:
        pytest.UsageError: a value is not accepted, an option does not go with the provider, or a plugin's is none.
    """
    # Only a run of the suite needs it, and every run of pytest loads this module.
    from pytest_ciliumwg.options.settings import Settings

    offered = _offered(config)
    options = [option for option in OPTIONS if option not in (ENABLE, PROVIDER)] + [
        provider_among(*PROVIDERS, *offered)
    ]
    given = {option: _text(option, config, environ) for option in options}
    values = {option.ini.removeprefix("ciliumwg_"): _value(option, *said) for option, said in given.items()}
    if values["provider"] in offered:
        values["plugin"] = values["provider"]
    provider = values["provider"] = offered.get(values["provider"], values["provider"])
    for option, (text, origin) in given.items():
        if text is not None and provider not in option.providers and _value(option, text, origin):
            raise pytest.UsageError(
                f"{origin} goes with {_these(option)} only, not with the provider {values.get('plugin', provider)}"
            )
    settings = Settings.of(values)
    if refused := settings.contradiction():
        raise pytest.UsageError(refused)
    return settings


def _offered(config: pytest.Config) -> Mapping[str, str]:
    """The providers of plugins: name → the built-in one that it is like."""
    offered = {name: like for names in config.hook.pytest_ciliumwg_providers() for name, like in names.items()}
    hook = "the hook pytest_ciliumwg_providers of a plugin"
    for name, like in offered.items():
        if name in PROVIDERS:
            raise pytest.UsageError(
                f"{hook} gives its provider the name {name}, which is a built-in one's: choose another"
            )
        if like not in PROVIDERS:
            raise pytest.UsageError(f"{hook} says that {name} is like {like!r}: it can be like {', '.join(PROVIDERS)}")
    return offered


def spoken(option: Option, config: pytest.Config, environ: Mapping[str, str] = os.environ) -> str | None:
    """What was said of an option, wherever; None for nothing. A line for each value of what can be repeated."""
    return _text(option, config, environ)[0]


def _these(option: Option) -> str:
    return " and ".join(f"--ciliumwg-provider={provider}" for provider in option.providers)


def _value(option: Option, text: str | None, origin: str) -> Any:
    if text is None:
        return None if option.default is None else option.parse(option.default)
    if not option.flag and not text.strip(", \n"):
        raise pytest.UsageError(f"{origin} has no value: give it one, or leave it out")
    try:
        return option.parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"{origin}: {text!r} is not accepted: {error}") from None


def _text(option: Option, config: pytest.Config, environ: Mapping[str, str]) -> tuple[str | None, str]:
    """What was said of the option, None for nothing, and where."""
    # What is known before all options are declared is this one alone.
    where = config.known_args_namespace if option is ENABLE else config.option
    given = getattr(where, option.ini, None)
    if given is not None:
        empty = isinstance(given, list) and not all(value.strip() for value in given)
        return "" if empty else "\n".join(given) if isinstance(given, list) else given, option.cli
    if option.env in environ:
        return environ[option.env], f"environment variable {option.env}"
    ini = config.getini(option.ini)
    return (None if ini is None else str(ini)), f"ini setting {option.ini}" if ini is not None else option.cli
