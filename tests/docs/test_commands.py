"""The commands of all pages: each is run here, or its block says in its first line what it needs, as `# needs: …`.

What needs something is read as far as that goes without it: the plan of the suite, the options of the console script.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest

from pytest_ciliumwg import cli
from pytest_ciliumwg.options.resolve import resolve
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.options.table import OPTIONS
from pytest_ciliumwg.session.plan import print_plan
from tests.docs.test_pages import PAGES, ROOT
from tests.kind.charts_made import chart_archive

_BLOCK = re.compile(r"^ *```(?:sh|bash|console|shell)\b[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_LAB = ["pytest", "--ciliumwg", "--ciliumwg-provider=lab"]
RUN_ELSEWHERE = {
    "./scripts/lab": (".github/workflows/ci.yml", "run: ./scripts/lab\n"),
    "./scripts/test": (".ci/run", "./scripts/test\n"),
    "make docs": ("tests/session/test_docs.py", '"-m", "pytest_ciliumwg.docs"'),
}
"""A command that another run has: in which file, and as what."""


class Command(NamedTuple):
    """One command of a page."""

    page: str
    text: str
    needs: str
    """What its block says that it needs; empty: nothing but this machine."""

    @property
    def words(self) -> list[str]:
        """As the shell takes them; what scripts/lab stands for in its place."""
        words = shlex.split(self.text)
        return [*_LAB, *words[1:]] if words[0] == "./scripts/lab" else words


def commands_of(page: str, text: str) -> Iterator[Command]:
    """The commands of a page's blocks, without comments."""
    for block in _BLOCK.findall(text):
        lines = [line.strip() for line in block.replace("\\\n", " ").splitlines()]
        needs = lines[0].removeprefix("# needs:") if lines[0].startswith("# needs:") else ""
        for line in lines:
            if words := shlex.split(line, comments=True):
                yield Command(page, shlex.join(words), needs.strip())


COMMANDS = [command for page in PAGES for command in commands_of(page.name, page.read_text("utf-8"))]
SUITE = [command for command in COMMANDS if command.words[:2] == _LAB[:2]]
PLANNED = [command for command in SUITE if "--ciliumwg-provider=offline" not in command.words]
READ = [command for command in SUITE if command not in PLANNED and not command.needs]
ON_THE_LAB = [command for command in SUITE if not command.needs and "--ciliumwg-provider=lab" in command.words]
SHOWN = [command for command in PLANNED if "--ciliumwg-plan" in command.words]
SCRIPT = [command for command in COMMANDS if command.words[0] == "pytest-ciliumwg"]


def unaccounted(commands: list[Command]) -> list[Command]:
    """Those which nothing runs, and which need nothing."""
    run = [*ON_THE_LAB, *SHOWN, *READ]
    return [
        command
        for command in commands
        if not command.needs and command not in run and command.text not in RUN_ELSEWHERE
    ]


def named(command: Command) -> str:
    return f"{command.page}: {command.text}"


def test_every_command_is_run_or_says_what_it_needs() -> None:
    assert unaccounted(COMMANDS) == []
    for path, how in RUN_ELSEWHERE.values():
        assert how in ROOT.joinpath(path).read_text("utf-8")
    assert f"lab=(.venv/bin/python -m {shlex.join(_LAB)})" in ROOT.joinpath("scripts/lab").read_text("utf-8")
    assert ".venv/bin/python -m pytest_ciliumwg.docs docs deploy" in ROOT.joinpath("Makefile").read_text("utf-8")


def test_a_command_that_is_nowhere_run_is_found() -> None:
    text = (
        "```sh\nmake tea  # nobody does\n./scripts/test\n```\n ```sh\n # needs: a cat\n feed cat \\\n   --now\n ```\n"
    )
    found = list(commands_of("a.md", text))
    assert found == [
        Command("a.md", "make tea", ""),
        Command("a.md", "./scripts/test", ""),
        Command("a.md", "feed cat --now", "a cat"),
    ]
    assert unaccounted(found) == found[:1]


def settings_of(words: list[str]) -> Settings:
    """What a command line asks for, as pytest would read it."""
    parser = argparse.ArgumentParser()
    for option in OPTIONS:
        how: dict[str, Any] = {"action": "append"} if option.repeatable else {}
        how = {"action": "store_const", "const": "yes"} if option.flag else how
        parser.add_argument(option.cli, dest=option.ini, **how)
    given, others = parser.parse_known_args(words)
    assert [word for word in others if word.startswith("--ciliumwg")] == []
    hook = SimpleNamespace(pytest_ciliumwg_providers=list)
    config = SimpleNamespace(option=given, getini=lambda name: None, hook=hook)
    return resolve(cast(pytest.Config, config), environ={})


@pytest.mark.parametrize("command", SUITE, ids=named)
def test_the_suite_takes_every_command_and_can_plan_it(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("charts").mkdir()
    for version in ("1.16.4", "1.17.2"):
        chart_archive(Path("charts", f"cilium-{version}.tgz"), version)
    for name in ("images.tar", *(word.partition("=")[2] for word in command.words if "--ciliumwg-input=" in word)):
        Path(name).touch()
    settings = settings_of(command.words)
    if command in PLANNED:
        lines: list[str] = []
        writer = SimpleNamespace(line=lines.append, section=lambda *_, **__: None, ensure_newline=lambda: None)
        print_plan(writer, settings, [])
        assert f"provider {settings.provider}" in lines[0]


# Text of a command on the lab → exit status and last line; what is not here is conformant.
COMES_TO = {
    "./scripts/lab --ciliumwg-fault=leak-vxlan": (1, "NOT CONFORMANT: *"),
    "./scripts/lab --ciliumwg-fault=key-unpublished": (1, "NOT CONFORMANT: *"),
    "./scripts/lab --ciliumwg-selftest --ciliumwg-fault=key-unpublished": (0, "*0 wrong blames, * healthy labs clean*"),
    "pytest --ciliumwg --ciliumwg-provider=lab --ciliumwg-report=report -k test_ours .": (0, "partial: *"),
}


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("command", [*ON_THE_LAB, *SHOWN], ids=named)
def test_every_command_that_can_run_here_comes_to_what_the_page_says(
    command: Command, pytester: pytest.Pytester
) -> None:
    Path("test_ours.py").write_text(ROOT.joinpath("docs/examples/test_ours.py").read_text("utf-8"), encoding="utf-8")
    status, last = COMES_TO.get(
        command.text, (0, "conformant: *" if command in ON_THE_LAB else "*plan: nothing is made*")
    )
    done = pytester.runpytest_subprocess(*command.words[1:], "-p", "no:cacheprovider")
    assert done.ret == status, done.stdout.str()
    done.stdout.fnmatch_lines([last])


@pytest.mark.slow
@pytest.mark.thorough
def test_a_report_is_read_again_by_the_commands_that_do(pytester: pytest.Pytester) -> None:
    assert READ
    made = pytester.runpytest_inprocess(*_LAB[1:], "--ciliumwg-report=report", "-p", "no:cacheprovider")
    assert made.ret == 0
    for command in READ:
        done = pytester.runpytest_inprocess(*command.words[1:], "-p", "no:cacheprovider")
        done.stdout.fnmatch_lines(["*ciliumwg: provider offline,*", "*flows: * encrypted*"])


@pytest.mark.parametrize("command", SCRIPT, ids=named)
def test_the_console_script_takes_every_command(command: Command) -> None:
    _, unknown = cli._parser().parse_known_args(command.words[1:])
    assert unknown == []
