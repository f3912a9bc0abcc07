"""Commands that are imported when they are asked for, and help in sections.

`lmsaes --help` needs the names and first lines of all commands and none of their modules.
"""

import importlib
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from lmsaes.addresses import shown_text
from lmsaes.cli.messages import in_one_line

_LAST = "Options"  # the section of --help, --debug and what has no other
_WIDTH = {"max_content_width": 100}
# typer has it from click, or as its own
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


@dataclass(frozen=True)
class Command:
    """Where a command is defined, as `module:function`, and the first line of its help."""

    place: str
    summary: str


class Sections(TyperCommand):
    """A command whose help has its options under headings."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            name, text = record
            argument = param.param_type_name == "argument"
            heading = getattr(param, "rich_help_panel", None)
            heading = heading or ("Arguments" if argument else _LAST)
            if argument:
                name = name.partition(" <")[0]  # typer adds Python's name of its type
            sections.setdefault(heading, []).append((name, text))
        last = sections.pop(_LAST, [])
        for heading, records in [*sections.items(), (_LAST, last)]:
            with formatter.section(heading):
                formatter.write_dl(records)


class _Commands(MutableMapping[str, Any]):
    """Commands by name, each made when it is first looked at."""

    def __init__(self, table: dict[str, Command]) -> None:
        self._table = table
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module, _, attribute = self._table[name].place.partition(":")
            found = getattr(importlib.import_module(module), attribute)
            self._made[name] = _as_command(name, found)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


def _as_command(name: str, found: Any) -> Any:
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name, cls=Sections, context_settings=_WIDTH)(in_one_line(found))
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    return command


def lazy_app(table: dict[str, Command], help: str) -> typer.Typer:
    """A typer app of these commands."""

    class Group(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = _Commands(table)

        def list_commands(self, ctx: Any) -> list[str]:
            return list(table)

        def invoke(self, ctx: Any) -> Any:
            try:
                return super().invoke(ctx)
            except _UsageError as error:  # an address in the wrong place may hold a password
                error.message = shown_text(error.message)
                raise

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, command.summary) for name, command in table.items()])

    # Plain help: a third of the time that rich's boxes take, and all of it fits a narrow terminal.
    return typer.Typer(
        cls=Group,
        callback=lambda: None,  # so that it is a group, though nothing is registered yet
        help=help,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_WIDTH,
    )
