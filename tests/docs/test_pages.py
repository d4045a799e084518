"""All pages: links lead somewhere, anchors are headings, diffs show what is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCKS = re.DOTALL | re.MULTILINE
LINK = re.compile(r"\]\(([^)\s]+)\)")


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=BLOCKS)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> Iterator[str]:
    """Links within the repository that lead nowhere."""
    for link in LINK.findall(without_code(page.read_text("utf-8"))):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("# One two\n[a](#one-two) [b](#three) [c](b.md) [d](https://x.example) `[e](f.md)`\n")
    assert list(broken(page)) == ["#three", "b.md"]


def test_anchors_that_errors_print_are_headings_and_each_is_printed() -> None:
    printed = {
        anchor
        for path in ROOT.glob("pytest_ciliumwg/**/*.py")
        for anchor in re.findall(r"more_on\(['\"]([\w-]+)['\"]\)", path.read_text("utf-8"))
    }
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8").partition("# Questions")[0]
    assert printed == set(re.findall(r"^## ([\w-]+)$", text, re.MULTILINE))


ADDING = (ROOT / "docs" / "adding.md").read_text("utf-8")
DIFFS = re.findall(r"^```diff (\S+)\n(.*?)^```", ADDING, BLOCKS)


@pytest.mark.parametrize(("path", "diff"), DIFFS, ids=[path for path, _ in DIFFS])
def test_a_diff_shows_what_is_there(path: str, diff: str) -> None:
    lines = (ROOT / path).read_text("utf-8").splitlines()
    added = [line[1:] for line in diff.splitlines()]
    assert added
    assert [line for line in added if line not in lines] == []
