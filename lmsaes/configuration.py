"""A stage's configuration: one typed object that the command line, a TOML file and Python fill.

    --option ──┐
    file.toml ─┼─► StageConfig.of (checked before anything is loaded) ─► the stage
    arguments ─┘                                                           └─► kept as TOML

A field's description is the help of its option, where a final "(default: …)" says what None means.
"""

import inspect
import json
import os
import reprlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast, get_args

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from lmsaes.addresses import (
    KEYS_OF_STORES,
    check_local,
    check_without_keys,
    expand_home,
    shown_text,
)
from lmsaes.atomic import WritesWhole, replace_file
from lmsaes.errors import ConfigError, nearest

_LONGEST_PATH, _DEEPEST_PATH = 4095, 255  # Linux has no longer ones
_Function = TypeVar("_Function", bound=Callable[..., Any])


def setting(
    description: str,
    group: str,
    *,
    option: str | None = None,
    metavar: str | None = None,
    **limits: Any,
) -> Any:
    """A field of a configuration, with what its command says of it.

    group: the heading that help puts it under. option: the option's name where it is not the
    field's. metavar: what stands for its value in help. limits: what pydantic checks, as `gt=0`.
    """
    shown: dict[str, Any] = {"group": group, "option": option, "metavar": metavar}
    return Field(description=description, json_schema_extra=shown, **limits)


def _as_text(value: Any) -> Any:
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_PATH:
        raise ValueError(f"{len(value)} letters are more than any path may have")
    if value.count("/") > _DEEPEST_PATH:
        raise ValueError(f"{value.count('/')} folders inside each other are too many")
    return check_without_keys(expand_home(value), KEYS_OF_STORES)


def _as_texts(value: Any) -> Any:
    if value is None:
        return ()
    if isinstance(value, str | os.PathLike):
        return (_as_text(value),)
    return tuple(map(_as_text, value)) if isinstance(value, list | tuple) else value


def _as_sequence(value: Any) -> Any:
    if value is None:
        return ()
    return (value,) if isinstance(value, int | float | str) else value


Text = Annotated[str, BeforeValidator(_as_text)]
"""A name, a URL or a path (`~` is the home folder). An address with a password in it is refused."""
LocalPath = Annotated[Text, AfterValidator(check_local)]
"""A path of this machine (`~` is the home folder); an address is refused."""
Texts = Annotated[tuple[str, ...], BeforeValidator(_as_texts)]
"""Several of them; one alone may stand without a list."""
Floats = Annotated[tuple[float, ...], BeforeValidator(_as_sequence)]
Integers = Annotated[tuple[int, ...], BeforeValidator(_as_sequence)]


class StageConfig(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True):
    """What one run of a stage was asked for. `of` makes it with errors of one line."""

    stage: ClassVar[str]
    """The stage's name in messages: its command's."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """Settings of former versions, by what they are called now."""
    singular: ClassVar[Mapping[str, str]] = {}
    """Other names that a setting may be given by, such as `hook` for `hooks`."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The configuration with these settings.

        Raises ConfigError that names the setting which is missing, unknown or impossible.
        """
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise explain(error, cls) from None

    @classmethod
    def known_settings(cls) -> list[str]:
        """All that may be set."""
        return list(cls.model_fields)

    @classmethod
    def normalized(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings under the fields' names: dashes may stand for underscores, and one may be given
        by its singular. Raises ConfigError for one that has been renamed."""
        found = {key.replace("-", "_"): value for key, value in settings.items()}
        for key in found:
            if key in cls.renamed:
                raise ConfigError(f"'{key}' is now called '{cls.renamed[key]}'")
        return {cls.singular.get(key, key): value for key, value in found.items()}

    @model_validator(mode="before")
    @classmethod
    def _by_the_fields_names(cls, settings: Any) -> Any:
        return cls.normalized(settings) if isinstance(settings, Mapping) else settings


def explain(error: ValidationError, config: type[StageConfig]) -> ConfigError:
    """What pydantic found wrong first, in one line that names the setting."""
    first = error.errors()[0]
    within, name = _place(first["loc"])
    option = "--" + _option(config, name)
    if first["type"] == "missing":
        return ConfigError(f"{within}{option} is missing", f"give {option}, or set it in --config")
    if first["type"] == "extra_forbidden":
        owner = _table(config, first["loc"])
        return unknown_setting(owner.stage, name, owner.known_settings())
    cause = first.get("ctx", {}).get("error")
    if cause is not None:
        return ConfigError(f"{within}{name}{': ' if name else ''}{cause}")
    what = first["msg"].removeprefix("Input ")
    given = reprlib.repr(_without_keys(first["input"]))
    return ConfigError(f"{within}{name}{' ' if name else ''}{what}, not {given}")


def _without_keys(given: Any) -> Any:
    if isinstance(given, str):
        return shown_text(given)
    return shown_text(str(given)) if isinstance(given, list | tuple | dict | set) else given


def unknown_setting(owner: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error that `owner` has no setting `name`, with the nearest that it has."""
    return ConfigError(
        f"{owner} has no setting '{name}'", "nearest: " + ", ".join(nearest(name, known))
    )


def _option(config: type[StageConfig], name: str) -> str:
    field = config.model_fields.get(name)
    return name.replace("_", "-") if field is None else option_name(name, field)


def option_name(name: str, field: FieldInfo) -> str:
    """What a field is called on the command line, without its dashes."""
    return str(shown(field, "option") or name.replace("_", "-"))


def shown(field: FieldInfo, key: str) -> Any:
    """What `setting` was told of a field: its group, option or metavar."""
    extra = field.json_schema_extra
    return extra.get(key) if isinstance(extra, dict) else None


def _place(where: tuple[int | str, ...]) -> tuple[str, str]:
    """Of ("sae", 1, "topk", "k"): "sae 2: " and "k"; of ("live", "model"): "live: " and "model".

    Places inside a list are left out.
    """
    if len(where) < 2:
        return "", str(where[0]) if where else ""
    if not isinstance(where[1], int):
        return f"{where[0]}: ", ".".join(map(str, where[1:]))
    names = [each for each in where[3:] if isinstance(each, str)]
    return f"{where[0]} {where[1] + 1}: ", names[-1] if names else ""


def _table(config: type[StageConfig], where: tuple[int | str, ...]) -> type[StageConfig]:
    """The configuration that a setting belongs to: the whole one, or a table inside it."""
    field = config.model_fields.get(str(where[0])) if len(where) > 1 else None
    kinds = get_args(field.annotation) if field is not None else ()
    tables = [k for k in kinds if inspect.isclass(k) and issubclass(k, StageConfig)]
    return tables[0] if tables else config


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, or a JSON file where its name ends so.

    Raises ConfigError, in one line, for what can't be read or holds no settings.
    """
    is_json = path.suffix.lower() == ".json"
    kind = "JSON" if is_json else "TOML"
    try:
        text = path.read_bytes().decode("utf-8-sig")
        content = json.loads(text) if is_json else tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", "give --config a TOML file") from None
    except IsADirectoryError:
        inside = sorted(file.name for file in path.glob("*.toml"))
        hint = f"give {path / inside[0]}" if inside else "give --config a TOML file"
        raise ConfigError(f"{path} is a folder", hint) from None
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply for a configuration") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", f"write it as {kind} in UTF-8") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not {kind}: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no settings", 'write them as {"name": value, …}')
    return cast(dict[str, Any], content)


def write_config(path: Path | WritesWhole, config: StageConfig) -> None:
    """Puts the configuration at `path`, whole or not at all; what is None is left out."""
    again = f"# lmsaes {config.stage} --config THIS_FILE --out ELSEWHERE makes it again\n"
    content = again + tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
    replace_file(path, content.encode())


def takes(config: type[StageConfig], *named: str) -> Callable[[_Function], _Function]:
    """Has help() and editors that run the code show a function's `**settings` as the fields of
    `config`, but for those that it names itself (`named`: under another name)."""

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        left_out = {*named, *(p.name for p in own)}
        fields = {n: f for n, f in config.model_fields.items() if n not in left_out}
        added = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.get_default(),
                annotation=field.annotation,
            )
            for name, field in fields.items()
        ]
        function.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
        lines = [f"{name}: {field.description}" for name, field in fields.items()]
        function.__doc__ = f"{inspect.getdoc(function)}\n\n" + "\n".join(lines)
        return function

    return decorate
