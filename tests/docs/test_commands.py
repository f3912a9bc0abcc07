"""Every `lmsaes …` that a page, a docstring, a hint, a help text or the viewer names parses."""

import re

import pytest

from tests.docs import commands
from tests.docs.pages import PAGES, ROOT, blocks, code_spans

MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for room in ("lmsaes", "cli", "cache_tools", "server", "benchmarks", "examples")
    for path in (ROOT / room).rglob("*.py")
    # local links to the rooms beside lmsaes
    if not any(parent.is_symlink() for parent in path.parents)
)
SETTINGS = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("examples/*.toml", "lmsaes/demo/*.toml", "server/.env.example")
    for path in sorted(ROOT.glob(pattern))
]
_SPAN = re.compile(r"`(lmsaes [^`]+)`")


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_parse(page: str):
    for block in blocks(page):
        for line in block.lines():
            _check_code(line)
    for span in code_spans(page):
        for words in commands.of_span(span):
            commands.check(words, complete=False)


@pytest.mark.parametrize("module", MODULES)
def test_commands_of_a_module_parse(module: str):
    documented, others = commands.strings(ROOT / module)
    for text in documented:
        _check_documented(text)
    for text in others:
        for words in commands.next_commands(text):
            commands.check(words, complete=True)
        for words in commands.of_sentence(text):
            commands.check(words, complete=False)


@pytest.mark.parametrize("file", SETTINGS)
def test_commands_of_a_settings_file_parse(file: str):
    text = re.sub(r"\\\n#?\s*", "", (ROOT / file).read_text())
    for line in text.splitlines():
        if (words := commands.of_line(line)) is not None:
            commands.check(words, complete=True)


def test_commands_of_the_viewer_can_be_pasted():
    found: list[list[str]] = []
    files = sorted((ROOT / "ui" / "src").rglob("*.ts*"))
    for file in (file for file in files if file.name != "schema.ts"):  # the server's own words
        text = re.sub(r"\$?\{[^{}]*\}", commands.FIELD, file.read_text())
        for line in re.findall(r"(?<!from )lmsaes [a-z](?:'[^'\n]*'|[^<>\"'`\n])*", text):
            words = commands.of_line(line)
            assert words is not None
            commands.check(words, complete=True)
            found.append(words)
    assert found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("run `lmsaes cache` first", ["cache"]),
        ("run the same lmsaes cache command again: it continues", ["cache"]),
        ("drop it with: lmsaes tools verify --repair CACHE, then go on",
         ["tools", "verify", "--repair", "CACHE"]),
        ("train one with: lmsaes train --out 1", ["train", "--out", "1"]),
        ("was copied by lmsaes tools", ["tools"]),
        ("take it with lmsaes load-it FILE", ["load-it"]),
    ],
)  # fmt: skip
def test_commands_are_found_in_sentences(text: str, found: list[str]):
    assert list(commands.of_sentence(text)) == [found]


def test_sentences_about_the_library_name_no_command():
    assert list(commands.of_sentence("this lmsaes reads 1; from lmsaes import SAE")) == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("analyse RUN --cache CACHE", "no command 'analyse'"),
        ("analyze RUN", "cache"),
        ("analyze RUN --cache CACHE --topp 4", "--topp"),
        ("tools bench CACHE --seconds many", "valid number"),
        ("tools mend CACHE", "no command 'mend'"),
        ("serve extra", "unexpected extra argument"),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str, why: str):
    with pytest.raises(Exception, match=why):
        commands.check(line.split(), complete=True)


def _check_code(line: str) -> None:
    words = commands.of_line(line)
    if words is not None:
        commands.check(words, complete=True)
        return
    for words in commands.next_commands(line):
        commands.check(words, complete=True)
    for words in commands.of_sentence(line):
        commands.check(words, complete=False)


def _check_documented(text: str) -> None:
    for span in _SPAN.findall(" ".join(text.split())):
        for words in commands.of_span(span):
            commands.check(words, complete=False)
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        # a column of explanations may follow a command
        words = commands.of_line(re.split(r"(?<=\S)   ", line)[0])
        if words is not None and (line.startswith(" ") or words[0] in commands.names()):
            commands.check(words, complete=False)
