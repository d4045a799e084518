"""Every path that the pages for readers and contributors name exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/architecture.md")
SUFFIXES = r"\.(?:py|toml|md|ya?ml|json|ini|cfg)"
# Files that a run or the reader makes.
MADE = {"report.json", "pyproject.toml", "junit.xml"}


def named(text: str) -> Iterator[str]:
    """What stands in backticks, outside of blocks, and looks like a path of this repository."""
    for words in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)):
        word = words.split()[0]
        if re.fullmatch(rf"(?:\./)?[\w.][\w./-]*(?:/|{SUFFIXES})|\./?scripts/\w+", word) and word not in MADE:
            yield word


def exists(path: str) -> bool:
    """Whether it is in the repository, or in the package, as the architecture abbreviates."""
    return any(base.joinpath(path).exists() for base in (ROOT, ROOT / "pytest_ciliumwg"))


@pytest.mark.parametrize("page", PAGES)
def test_every_path_in_backticks_exists(page: str) -> None:
    paths = list(named(ROOT.joinpath(page).read_text("utf-8")))
    assert paths
    assert not [path for path in paths if not exists(path)]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    source = ROOT / page
    links = re.findall(r"\]\(([^)#:]+)\)", source.read_text("utf-8"))
    assert not [link for link in links if not source.parent.joinpath(link).exists()]


def test_a_path_that_is_gone_is_found() -> None:
    paths = list(
        named("`wire/judge.py` and `suites/`, `./scripts/test -n 4`, `wire.no-cleartext`, `--ciliumwg` `lasting/`")
    )
    assert paths == ["wire/judge.py", "suites/", "./scripts/test", "lasting/"]
    assert [path for path in paths if not exists(path)] == ["wire/judge.py", "lasting/"]
