"""Command-line options from a stage's configuration: nothing about them is declared twice.

    TrainConfig.tokens: Count, "Tokens to train on.", in "What to train", 200M
      ─► --tokens COUNT   Tokens to train on. [default: 200M]

An option that wasn't given is None, so that a file of --config can say it instead.
"""

import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lmsaes.configuration import StageConfig, option_name, read_config, shown
from lmsaes.units import Bytes, Count, exact_bytes, exact_count

_Config = TypeVar("_Config", bound=StageConfig)

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file of these settings, such as a result's folder keeps; options given here"
        " win. [default: none]",
    ),
]

_METAVARS = {str: "TEXT", int: "N", float: "NUMBER"}
_SPOKEN_DEFAULT = re.compile(r"\s*\(default: (.*)\)(\.?)$")


def with_options(
    options: Iterable[inspect.Parameter],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Has typer see these options instead of a function's `**given`."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function)
        own = [
            p.replace(kind=p.KEYWORD_ONLY)
            for p in signature.parameters.values()
            if p.kind is not p.VAR_KEYWORD
        ]
        parameters = [*options, *own]
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {p.name: p.annotation for p in parameters}
        return function

    return decorate


def options_of(
    config: type[BaseModel],
    names: Iterable[str] | None = None,
    group: str | None = None,
    defaults: Mapping[str, str] = types.MappingProxyType({}),
) -> list[inspect.Parameter]:
    """An option for each field of a configuration, or for those named.

    group: their heading where fields have none of their own. defaults: what is used without the
    option, in words, where the field doesn't say it.
    """
    return [
        _option(name, config.model_fields[name], group, defaults.get(name))
        for name in (config.model_fields if names is None else names)
    ]


def options_of_table(
    config: type[BaseModel], table: str, group: str, taken: Iterable[str]
) -> list[inspect.Parameter]:
    """An option for each field of a table inside a configuration, under the heading `group`: their
    parameters begin with the table's name, and so do the flags of names that are `taken`.
    """
    found: list[inspect.Parameter] = []
    taken = set(taken)
    for name, field in config.model_fields.items():
        flag = option_name(name, field)
        flag = f"{table}-{flag}" if name in taken else flag
        needed = f"with --{table}: " if field.is_required() else ""
        found.append(_option(f"{table}_{name}", field, group, None, flag, needed))
    return found


def table_from(given: dict[str, Any], table: str, config: type[BaseModel]) -> dict[str, Any]:
    """What was given of such options, by the fields' names; taken out of `given`."""
    return only_given({name: given.pop(f"{table}_{name}") for name in config.model_fields})


def _option(
    name: str,
    field: FieldInfo,
    group: str | None,
    default: str | None,
    flag: str | None = None,
    needed: str = "",
) -> inspect.Parameter:
    """flag: without its dashes, where the field doesn't say it. needed: when it is required."""
    unit = _unit(field)
    kind = _kind(field.annotation)
    several = get_origin(kind) is tuple
    kind = get_args(kind)[0] if several else kind
    choices = ""
    if several and get_origin(kind) is Literal:  # of which typer has no lists
        choices, kind = f"[{'|'.join(get_args(kind))}]", str
    if unit is not None:
        kind = str
    heading = shown(field, "group") if flag is None else None
    flag = "--" + (flag or option_name(name, field))
    if kind is bool:
        flag = f"{flag}/--no-{flag[2:]}"
    option = typer.Option(
        flag,
        help=_help(field, default, needed),
        metavar=shown(field, "metavar") or unit or choices or _METAVARS.get(kind),
        show_default=False,
        rich_help_panel=heading or group,
    )
    annotation: Any = Annotated[list[kind] | None if several else kind | None, option]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _unit(field: FieldInfo) -> str | None:
    """COUNT or SIZE for a field that takes 100M or 4GiB; None for others."""
    validators = [*field.metadata]
    for part in get_args(field.annotation):
        validators += get_args(part)
    for unit, kind in (("COUNT", Count), ("SIZE", Bytes)):
        if get_args(kind)[1] in validators:
            return unit
    return None


def _kind(annotation: Any) -> Any:
    """A type without its None and its validators."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (types.UnionType, Union):
        (kind,) = (part for part in get_args(annotation) if part is not type(None))
        return _kind(kind)
    return annotation


def _help(field: FieldInfo, default: str | None, needed: str) -> str:
    text = field.description or ""
    spoken = _SPOKEN_DEFAULT.search(text)
    if spoken:
        text = text[: spoken.start()] + spoken[2]
        default = default or spoken[1]
    if field.is_required():
        return f"{text} [{needed}required]"
    return f"{text} [default: {default or _in_words(field)}]"


def _in_words(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
    if _unit(field) == "COUNT":
        return exact_count(value)
    if _unit(field) == "SIZE":
        return exact_bytes(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def choice(name: str, values: Sequence[str], help: str, group: str) -> inspect.Parameter:
    """An option that takes one of `values`, of which the first is the default."""
    kind: Any = Literal[tuple(values)]  # pyright: ignore[reportInvalidTypeForm]
    option = typer.Option(f"--{name}", help=f"{help} [default: {values[0]}]", rich_help_panel=group)
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def settings_from(
    config: type[_Config], file: Path | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings of a file, under the fields' names, and over them those that were given.

    Raises ConfigError when the file can't be read.
    """
    found = {} if file is None else config.normalized(read_config(file))
    return {**found, **only_given(given)}


def only_given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that stand on the command line."""
    return {name: value for name, value in options.items() if value is not None and value != []}
