"""A page as a test reads it: what is where, and whether the document is well formed."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "input", "img", "hr"}
SVG_VOID = {"path", "rect", "line"}


class Page(HTMLParser):
    """Elements with their attributes and text, in the order of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], int]] = []
        """Name, attributes, depth."""
        self.texts: list[list[str]] = []
        self.problems: list[str] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        self.problems += [f"<{self.elements[number][0]}> is not closed" for number in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.problems.append(f"<{tag}> has an attribute twice")
        self.elements.append((tag, {name: value or "" for name, value in attrs}, len(self._open)))
        self.texts.append([])
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag in SVG_VOID:
            self._open.pop()
        else:
            self.problems.append(f"<{tag}/> closes itself")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self.elements[self._open[-1]][0] != tag:
            self.problems.append(f"</{tag}> closes nothing, line {self.getpos()[0]}")
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for number in self._open:
            self.texts[number].append(data)

    def all(self, *tags: str) -> list[tuple[dict[str, str], str]]:
        """(Attributes, text) of all elements of these names."""
        return [
            (attributes, " ".join("".join(words).split()))
            for (tag, attributes, _), words in zip(self.elements, self.texts, strict=True)
            if tag in tags
        ]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes, _ in self.elements if "id" in attributes]

    def text_of(self, anchor: str) -> str:
        """What is told at an anchor."""
        found = [number for number, (_, attributes, _) in enumerate(self.elements) if attributes.get("id") == anchor]
        return " ".join("".join(self.texts[found[0]]).split())

    def links_of(self, anchor: str) -> list[str]:
        """The links within the element at an anchor."""
        start = next(n for n, (_, attributes, _) in enumerate(self.elements) if attributes.get("id") == anchor)
        inside = []
        for tag, attributes, depth in self.elements[start + 1 :]:
            if depth <= self.elements[start][2]:
                break
            if tag == "a":
                inside.append(attributes["href"].removeprefix("#"))
        return inside
