"""The blocks of code of README and docs run: commands, Python and TOML, on the bundled model.

Each page runs from top to bottom, after README and in the same folder, as a reader goes through
them. What needs a hub, a server or hours is replaced by SUBSTITUTIONS or left out by SKIPPED. A
block after a comment `<!-- not run: why -->` isn't run; test_commands.py parses its commands.
"""

import gzip
import itertools
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from typer.testing import CliRunner

from lmsaes.cli.app import app
from lmsaes.database.embedded import EmbeddedServer
from lmsaes.demo import MODEL, TEXT
from tests.docs import commands
from tests.docs.pages import PAGES, Block, blocks

SUBSTITUTIONS = {
    # models and text of a hub: the bundled ones, of which the tests use the beginning
    "--model gpt2": f"--model {MODEL}",
    'model="gpt2"': f'model="{MODEL}"',
    'load("gpt2")': f'load("{MODEL}", "cpu")',
    "lmsaes/demo/model": str(MODEL),
    "Skylion007/openwebtext --streaming": "text.jsonl",
    "lmsaes/demo/text.jsonl.gz": "text.jsonl",
    "--dataset data.parquet": "--dataset text.jsonl",
    'model = "gpt2"': f'model = "{MODEL}"',
    'dataset = "data.parquet"': 'dataset = "text.jsonl"',
    # GPT-2 has twelve blocks, the bundled model four
    "blocks.8.": "blocks.2.",
    # counts that take seconds
    "--tokens 100M": "--tokens 4k",
    "--tokens 20M": "--tokens 4k",
    "--tokens 5M": "--tokens 8k",
    "--tokens 1M": "--tokens 24k",
    'tokens = "100M"': 'tokens = "4k"',
    'tokens = "20M"': 'tokens = "4k"',
    'tokens="20M"': 'tokens="4k"',
    "--features 0:512": "--features 0:128",
    "--features 512:1024": "--features 128:256",
    "--contexts 0:512": "--contexts 0:64",
    "--contexts 512:1024": "--contexts 64:128",
    "--flops 400T": "--flops 400T --seconds 0.3",
    # counts and widths that are left at their defaults
    "--out caches/mixed": "--out caches/mixed --tokens 4k",
    "--out runs/gpt2-8": "--out runs/gpt2-8 --tokens 4k --features 256",
    "--out runs/transcoders\n": "--out runs/transcoders --tokens 4k --features 128\n",
    "--verify 50": "--verify 4",
    "--out runs/seed-1": "--out runs/seed-1 --tokens 4k --features 256",
    "--expansion 16": "--expansion 2",
    'architecture = "topk"': 'architecture = "topk"\nfeatures = 256',
    'architecture = "relu"': 'architecture = "relu"\nfeatures = 256',
    "k=32)": "k=32, features=256)",
    "l1=2)": "l1=2, features=256)",
    'out="cache")': 'out="cache", tokens="4k")',
    'out="run")': 'out="run", tokens="4k")',
    # another machine's database: the embedded one
    '"mongodb://localhost:27017"': "ADDRESS",
    "run:topk": "gpt2-8:topk-32",
}
_OLD = re.compile("|".join(re.escape(text) for text in SUBSTITUTIONS))
SKIPPED = {
    "lmsaes serve": "it serves until Ctrl-C",
    "lmsaes demo": "tests/cli runs it",
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder where README has been followed, and the texts lie that pages name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("reader"))
        patch.delenv("LMSAES_DB", raising=False)
        patch.setenv("LMSAES_DB_FOLDER", str(Path("db").resolve()))
        with gzip.open(TEXT, "rt") as file:
            lines = list(itertools.islice(file, 40))
        Path("text.jsonl").write_text("".join(lines))
        Path("web.jsonl.zst").write_bytes(zstandard.compress("".join(lines).encode()))
        contents = [json.loads(line)["text"] for line in lines]
        pq.write_table(pa.table({"content": contents}), "code.parquet")
        run_page("README.md")
        yield


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if page != "README.md" and any(block.not_run is None for block in blocks(page))
    ],
)
@pytest.mark.usefixtures("reader")
def test_the_blocks_of_readme_and_of_a_page_run(page: str):
    run_page(page)


def run_page(page: str) -> None:
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.not_run is not None:
            continue
        if block.language == "python":
            _execute(block, names)
        elif block.language == "toml":
            _write(block)
        else:
            for words, output in _session(block):
                _run(words, fails=output.startswith("error:"))


def test_substitutions_are_of_texts_that_pages_have():
    together = "".join(block.text for page in PAGES for block in blocks(page))
    assert [text for text in SUBSTITUTIONS if text not in together] == []


def _session(block: Block) -> Iterator[tuple[list[str], str]]:
    """Each command of a block, and what is shown of its output."""
    lines = _substituted(block).replace("\\\n", " ").splitlines()
    starts = [number for number, line in enumerate(lines) if commands.of_line(line) is not None]
    for start, stop in itertools.pairwise([*starts, len(lines)]):
        if not any(lines[start].removeprefix("$ ").startswith(each) for each in SKIPPED):
            words = commands.of_line(lines[start])
            assert words is not None
            yield words, "\n".join(lines[start + 1 : stop])


def _run(words: list[str], fails: bool) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == fails, f"lmsaes {shlex.join(words)}\n{result.output}"
    for command in commands.next_commands(result.output):
        commands.check(command, complete=True)


def _execute(block: Block, names: dict[str, Any]) -> None:
    code = compile("\n" * block.line + _substituted(block), block.page, "exec")
    if "ADDRESS" in code.co_names:
        with EmbeddedServer() as server:
            exec(code, names | {"ADDRESS": server.uri})
    else:
        exec(code, names)


def _write(block: Block) -> None:
    """Into the file that its first line names."""
    text = _substituted(block)
    Path(text.partition("\n")[0].removeprefix("# ")).write_text(text)


def _substituted(block: Block) -> str:
    return _OLD.sub(lambda found: SUBSTITUTIONS[found[0]], block.text)
