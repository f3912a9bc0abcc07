"""What pages promise beside their code: links, paths, figures, and the words of the field."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.docs import commands
from tests.docs.pages import PAGES, ROOT, anchors, code_spans, links, read

SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for room in ("benchmarks", "examples")
    for path in (ROOT / room).rglob("*.*")
    if path.suffix in (".py", ".toml")
)
# Notes are a log: they describe the code of their time.
TODAY = [page for page in PAGES if not page.startswith("docs/notes/")]

LEFT = (
    r"harvest|rereading|recheck|\bTap\b|quantities|KeptRows|\bkept rows|ledger|\bgrowth\b"
    r"|\bfilling\.py|\bfeed\.py|\bsources\.py|[Oo]rdinary (row|position|token)"
    r"|\*ordinary\*|Units\.restore|\bfolded\b|centre|dead_after|revive_after"
    r"|(taken|take|takes) (it |them |a feature )?up\b|shuffle[_-]memory|other-rounding|companion"
    r"|p-anneal\b|\b(is|are|be) told\b|is (not )?said|`decay`|`precision`|unit_decoder|winners"
    r"|(?i:look(s|ing)? after a cache)|from lmsaes import [^\n]*\bgenerate\b|\bgenerate\(model"
)
"""Words that the project has left for those of the field."""

BRITISH = (
    r"(?i)\b(colour|behaviour|neighbour|favour|honour|labell|modell|travell|catalogue|centred?\b"
    r"|grey|licence|artefact|whilst|analys(e|ed|ing)\b"
    r"|\w*(normal|initial|optim|organ|recogn|serial|general|visual|summar|minim|maxim|token|special"
    r"|regular|orthogonal|material|penal|util|real|emphas|standard|synchron|critic|final)"
    r"is(e|ed|es|er|ing|ation)\b)"
)
_PATH = re.compile(
    r"^(?:lmsaes|cli|cache_tools|server|ui|tests|benchmarks|examples|docs)/[\w./*-]+$"
)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_images_lead_somewhere(page: str):
    folder = (ROOT / page).parent
    for target in links(page):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (folder / path).resolve() if path else ROOT / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(file.relative_to(ROOT).as_posix()), f"{page}: {target}"


@pytest.mark.parametrize("page", TODAY)
def test_paths_of_the_repository_that_a_page_names_exist(page: str):
    for span in code_spans(page):
        if _PATH.match(span):
            assert list(ROOT.glob(span.rstrip("/"))), f"{page}: {span}"


@pytest.mark.parametrize("page", TODAY)
def test_make_targets_that_a_page_names_exist(page: str):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for span in [*code_spans(page), *read(page).splitlines()]:
        if found := re.match(r"make ([a-z-]+)", span):
            assert found[1] in targets, f"{page}: {span}"


@pytest.mark.parametrize("file", [*PAGES, *SCRIPTS])
def test_a_page_uses_the_words_of_the_field(file: str):
    assert list(_found(LEFT, read(file))) == []


@pytest.mark.parametrize("file", [*PAGES, *SCRIPTS])
def test_a_page_is_in_american_spelling(file: str):
    assert list(_found(BRITISH, read(file))) == []


def test_help_uses_the_words_of_the_field_in_american_spelling():
    texts = list(_help(commands.COMMAND))
    assert len(texts) > 50
    for text in texts:
        assert list(_found(f"{LEFT}|{BRITISH.replace('(?i)', '')}", text)) == []


def test_figures_of_readme_are_those_of_the_benchmarks_report():
    report = read("benchmarks/RESULTS.md")
    table = re.findall(r"^\|.*\| ([\d.; ]+) \| `benchmarks/(\w+\.py)` \|$", read("README.md"), re.M)
    assert len(table) > 5
    for figures, script in table:
        section = report.split(f"## {script}\n")[1].split("\n## ")[0]
        ratios = re.findall(r"^\|.*?\|.*?\|.*?\| ([\d.]+) \|.*\|$", section, re.MULTILINE)
        for figure in figures.split("; "):
            digits = len(figure.partition(".")[2])
            rounded = {f"{float(ratio):.{digits}f}" for ratio in ratios}
            assert figure in rounded, f"{script} has no ratio of {figure}"


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("features are taken up later", LEFT),
        ("--shuffle-memory 4GiB", LEFT),
        ("ordinary rows", LEFT),
        ("normalised rows", BRITISH),
        ("one colour", BRITISH),
        ("we analyse it", BRITISH),
    ],
)
def test_words_that_were_left_are_noticed(text: str, pattern: str):
    assert list(_found(pattern, text))


def _found(pattern: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.search(pattern, line):
            yield f"{number}: {found[0]}"


def _help(command: Any) -> Iterator[str]:
    yield command.help or ""
    for parameter in command.params:
        yield getattr(parameter, "help", None) or ""
    if hasattr(command, "list_commands"):
        context = command.context_class(command)
        for name in command.list_commands(context):
            yield from _help(command.get_command(context, name))
