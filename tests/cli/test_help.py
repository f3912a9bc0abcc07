"""What help promises: it loads nothing heavy, and shows every default."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from lmsaes.cli.app import app

HEAVY = {"torch", "numpy", "transformers", "transformer_lens", "datasets", "zarr", "pymongo",
         "safetensors", "fastapi", "uvicorn", "filelock", "rich"}  # fmt: skip
COMMANDS = [
    (), ("cache",), ("train",), ("eval",), ("analyze",), ("show",), ("steer",), ("trace",),
    ("explain",),
    ("serve",), ("import",), ("export",), ("prune",), ("runs",),
    ("demo",), ("tools",), ("db",),
    *(("tools", name) for name in ("inspect", "verify", "sample", "rm", "convert", "slice", "merge",
                                   "shuffle", "bench")),
    *(("runs", name) for name in ("list", "show", "compare")),
    *(("db", name) for name in ("list", "show", "rename", "rm", "gc", "dump", "restore")),
]  # fmt: skip
named = pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "lmsaes")


def commands(group: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        yield (*words, name), command
        if hasattr(command, "list_commands"):
            yield from commands(command, *words, name)


ALL = dict(commands(typer.main.get_command(app)))


def test_these_are_all_the_commands():
    assert {(), *ALL} == set(COMMANDS)


@named
def test_help_loads_nothing_heavy(words: tuple[str, ...]):
    code = (
        "import sys; sys.argv[0] = 'lmsaes'\n"
        "from lmsaes.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: print('loaded', *sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *words, "--help"], capture_output=True, text=True, check=True
    )
    help, _, loaded = result.stdout.partition("loaded ")
    assert help.startswith("Usage: lmsaes " + " ".join(words))
    assert not HEAVY & set(loaded.split())


def records(command: Any) -> Iterator[tuple[Any, str]]:
    context = typer.Context(command)
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is not None:
            yield param, record[1]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_option_says_what_happens_without_it(words: tuple[str, ...]):
    """Its default, or that it is required; a flag that can only be switched on is off."""
    for param, text in records(ALL[words]):
        switch = param.param_type_name == "option" and param.is_flag and not param.secondary_opts
        if not switch and param.param_type_name == "option":
            assert "[default: " in text or "required]" in text, (param.opts, text)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_help_text_is_a_whole_phrase(words: tuple[str, ...]):
    command = ALL[words]
    assert command.help[0].isupper()
    assert command.help.partition("\n")[0].endswith(".")
    for param, text in records(command):
        assert text[0].isupper(), (param.opts, text)
        assert text.partition(" [")[0].rstrip().endswith((".", "….")), (param.opts, text)


def test_the_list_of_commands_tells_what_each_says_of_itself():
    group = typer.main.get_command(app)
    for parent in (group, ALL[("tools",)]):
        context = typer.Context(parent)
        shown = " ".join(parent.get_help(context).split())
        for name in parent.list_commands(context):
            summary = " ".join(parent.get_command(context, name).help.split("\n\n")[0].split())
            assert f"{name} {summary}" in shown


def test_options_of_a_stage_stand_in_groups():
    text = ALL[("train",)].get_help(typer.Context(ALL[("train",)]))
    headings = [line for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings[:3] == ["What to train:", "Rows of the cache:", "Run:"]
    assert headings[-1] == "Options:"


def test_an_saes_configuration_is_imported_without_torch():
    code = "import sys; from lmsaes.sae import TopKConfig; TopKConfig(k=3); print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"torch", "numpy"} & set(result.stdout.split())
