"""The pytest plugin: hooks, nothing else.

It is imported by every pytest run of an environment that has this package, so it imports the standard library and
pytest only; all else is loaded when `--ciliumwg` is given.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_ciliumwg import hookspecs
from pytest_ciliumwg.checks.suite_path import every_suite, suites_directory
from pytest_ciliumwg.options import asked

MARKER = (
    'ciliumwg_check(id, source, profile="core", about="cluster"): a conformance check of pytest --ciliumwg. '
    "id: its stable name, such as `peers.count`; source: why it must hold; profile: core, extended or disruptive; "
    'about="measurement": what does not hold makes the run inconclusive, and blames no cluster. '
    "The docstring states the requirement."
)
NEEDS_SUITE = "it is a check of a Cilium cluster: run it with pytest --ciliumwg"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that asks for the suite."""
    asked.declare(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks that other plugins may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Let `pytest --ciliumwg` run the suite that came with this package, beside the paths that were given.

    The other options are added here and not before: each takes every run of pytest some time.
    """
    if not asked.is_named(early_config, args):
        return
    from pytest_ciliumwg.options.resolve import add_options

    add_options(parser)
    if not asked.is_asked_for(early_config):
        return
    from pytest_ciliumwg.options.command_line import names_part_of, refuse_swallowed_path, refuse_variables

    refuse_variables(os.environ)
    known = parser.parse_known_args(args)
    refuse_swallowed_path(known)
    for folder in every_suite(early_config.pluginmanager):
        if not names_part_of(folder, known.file_or_dir, early_config.invocation_params.dir):
            # Not at the end, where an option with an optional value would take it for its own.
            args.insert(0, str(folder))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep the suite out of runs that did not ask for it, even if they name its folder."""
    suites = suites_directory()
    ours = str(collection_path).startswith(str(suites)) and suites in (collection_path, *collection_path.parents)
    return True if ours and not asked.is_asked_for(config) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip checks in runs that did not ask for the suite, which has their fixtures."""
    if asked.is_asked_for(config):
        return
    for item in items:
        if any(name.startswith("ciliumwg_") for name in getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.skip(reason=NEEDS_SUITE))


def pytest_configure(config: pytest.Config) -> None:
    """Load the rest of the package when the suite is asked for."""
    config.addinivalue_line("markers", MARKER)
    if not asked.is_asked_for(config):
        if config.option.showfixtures or config.option.show_fixtures_per_test:
            config.pluginmanager.import_plugin("pytest_ciliumwg.session.fixture_api")
        given = [str(argument) for argument in config.invocation_params.args]
        if any(argument.startswith("--ciliumwg-") for argument in given) and not config.option.help:
            from pytest_ciliumwg.options.command_line import refuse_options

            refuse_options(given)
        return
    from pytest_ciliumwg.options.resolve import resolve
    from pytest_ciliumwg.session.hooks import Conformance
    from pytest_ciliumwg.session.single_process import keep_to_one_process
    from pytest_ciliumwg.session.terminal_end import TerminalEnd

    settings = resolve(config)
    keep_to_one_process(config)
    conformance = Conformance(config, settings)
    config.pluginmanager.register(conformance, "ciliumwg-conformance")
    config.pluginmanager.register(TerminalEnd(conformance), "ciliumwg-terminal-end")
    config.pluginmanager.import_plugin("pytest_ciliumwg.session.fixtures")
    config.pluginmanager.import_plugin("pytest_ciliumwg.session.fixture_api")


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Run the self-test in place of a session when it is asked for."""
    if not asked.is_asked_for(config) or config.option.help or config.option.version:
        return None
    from pytest_ciliumwg.options.resolve import resolve

    settings = resolve(config)
    if not settings.selftest:
        return None
    from pytest_ciliumwg.selftest.command import main

    return main(settings, lambda line: print(line, flush=True), passed_on(config))  # noqa: T201 - there is no reporter


def passed_on(config: pytest.Config) -> list[str]:
    """The options that select tests, for the self-test's own runs."""
    words = ["-k", config.option.keyword] if config.option.keyword else []
    return words + [f"--deselect={prefix}" for prefix in config.option.deselect or ()]
