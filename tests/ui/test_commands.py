"""The commands that the viewer shows are ones that the command line takes."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from lmsaes.cli.app import app

SOURCES = Path(__file__).parents[2] / "ui" / "src"
COMMAND = re.compile(r"lmsaes (?!import)[a-z][^\"`<]*")
SHOWN = COMMAND.findall((SOURCES / "commands.ts").read_text())
# With the address of the database that a page shows, as `withDatabase` adds it.
ELSEWHERE = [f"{line} --db mongodb://host/name" for line in SHOWN if " analyze " in line]


@pytest.mark.parametrize("line", SHOWN + ELSEWHERE)
def test_every_command_shown_parses(line: str) -> None:
    _, name, *words = shlex.split(line)
    command = typer.main.get_command(app).commands[name]
    assert command.make_context(name, words).params


def test_commands_stand_in_one_file_alone() -> None:
    assert len(SHOWN) == 12
    for source in SOURCES.rglob("*.ts*"):
        # schema.ts is generated from what the server says of itself
        if source.name not in ("commands.ts", "schema.ts"):
            assert not COMMAND.search(source.read_text()), source
