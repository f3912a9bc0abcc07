"""Every message that the page on troubleshooting lists is one that the code has."""

import ast
import re

from tests.docs.pages import ROOT, read

PAGE = "docs/troubleshooting.md"


def templates() -> list[str]:
    """Every text in the sources, with … where a value is put in."""
    return [
        _template(node)
        for room in ("lmsaes", "cli", "cache_tools", "server")
        for file in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.JoinedStr | ast.Constant)
    ]


def _template(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_template, node.values))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[sd]", "…", node.value)  # of a log line
    return "…"


def messages() -> list[str]:
    return re.findall(r"^\| `(.+?)` \|", read(PAGE), re.MULTILINE)


def test_every_message_is_one_of_the_sources():
    known = templates()
    assert len(messages()) > 30
    for message in messages():
        assert any(message in text for text in known), message


def test_the_page_is_found():
    for page in ("README.md", "docs/caching.md", "docs/training.md"):
        assert "troubleshooting.md" in read(page)
