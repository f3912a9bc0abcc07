"""The pages of the documentation: their code blocks, code spans, links and anchors."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "lmsaes/demo/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of code. not_run: why it can't be run here, from the comment before it."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    def lines(self) -> list[str]:
        """Its lines, those that end in a backslash joined with the next."""
        return re.sub(r"\\\n\s*#?\s*", "", self.text).splitlines()


def read(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str) -> list[Block]:
    found: list[Block] = []
    before: Token | None = None
    for token in _MARKDOWN.parse(read(page)):
        if token.type == "fence":
            comment = _NOT_RUN.match(before.content) if before is not None else None
            why = None if comment is None else comment[1]
            assert token.map is not None
            found.append(Block(page, token.map[0] + 1, token.info.strip(), token.content, why))
        before = token if token.type == "html_block" else None
    return found


def code_spans(page: str) -> list[str]:
    """What stands in backticks, fenced blocks aside."""
    return [token.content for token in _inline(page) if token.type == "code_inline"]


def links(page: str) -> list[str]:
    """The targets of links and images."""
    found = [token.attrGet("href") or token.attrGet("src") for token in _inline(page)]
    return [str(target) for target in found if target is not None]


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives to the page's headings."""
    tokens = _MARKDOWN.parse(read(page))
    titles = [
        "".join(child.content for child in text.children or ())
        for heading, text in itertools.pairwise(tokens)
        if heading.type == "heading_open"
    ]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _inline(page: str) -> Iterator[Token]:
    for token in _MARKDOWN.parse(read(page)):
        yield from token.children or ()
