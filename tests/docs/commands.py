"""Command lines of `lmsaes` in texts, and whether the real command line understands them.

Three kinds of text name commands: a line of code, which is to work as it stands; a span in
backticks, which may leave out what is required (`lmsaes cache --compile`); and a sentence, where
the command ends at the first word that can't belong to it ("run lmsaes cache again").
"""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from lmsaes.cli.app import app

COMMAND = get_command(app)
FIELD = "1"
"""What an f-string's field, and a placeholder such as CACHE or N, is replaced by."""

_LINE = re.compile(r"^\s*(?:\$ |# +)?(?:\w+=\S+ )*(?:torchrun .*?)?lmsaes (?!=)(.+)")
_NEXT = re.compile(r"\bnext: lmsaes ([^`\n]+)")
_NAMED = re.compile(r"(?<![\w/.'=-])lmsaes (?=[\w-])")
_LIBRARY = re.compile(r"\b(?:from|import|this|the|by|of|that|which) $")
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*…?$")


def check(words: list[str], complete: bool) -> None:
    """Raises when the command line doesn't take these words.

    complete: nothing that is required may be missing, unless an ellipsis stands for it.
    """
    complete = complete and "…" not in words
    rest = [FIELD if _PLACEHOLDER.match(word) else word for word in words if word != "…"]
    command: Any = COMMAND
    while rest and _is_group(command):
        name = rest.pop(0)
        if name == "--help":
            return
        command = _subcommand(command, name)
    while not _is_group(command):
        try:
            command.make_context(command.name, list(rest))
            missing = _missing(command, rest) if complete else []
            assert not missing, f"{command.name} needs {', '.join(missing)}"
            return
        except Exception as error:
            # typer brings its own copy of click, so that its classes have no public home
            if complete or type(error).__name__ != "MissingParameter":
                raise
            option = error.param.opts[0]  # pyright: ignore
            rest += [option, FIELD] if option.startswith("-") else [FIELD]


def of_line(line: str) -> list[str] | None:
    """The words after `lmsaes` of a line of code, or None."""
    found = _LINE.match(line)
    return None if found is None else shlex.split(found[1], comments=True)


def of_span(span: str) -> list[list[str]]:
    """The command lines of a span in backticks; `lmsaes tools inspect | sample` are two."""
    first, *others = span.split(" | ")
    words = of_line(first)
    if words is None:
        return []
    return [words, *([*words[:-1], *shlex.split(other)] for other in others)]


def of_sentence(text: str) -> Iterator[list[str]]:
    """The command lines that a sentence names without backticks."""
    for found in _NAMED.finditer(text):
        words = text[found.end() :].split()
        name = words[0].strip("`'\",.;:)")
        library = _LIBRARY.search(text[: found.start()])
        if name == "import" and library:  # from lmsaes import …
            continue
        if name not in names() and (name == FIELD or library):
            continue
        yield _leading(words)


def names() -> list[str]:
    """The commands that there are."""
    return _names(COMMAND)


def next_commands(text: str) -> list[list[str]]:
    """The commands after `next:`, which are printed to be pasted."""
    return [shlex.split(found) for found in _NEXT.findall(text)]


def strings(file: Path) -> tuple[list[str], list[str]]:
    """A module's docstrings, and its other texts with their f-strings' fields replaced."""
    tree = ast.parse(file.read_text())
    documented: list[str] = []
    others: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if isinstance(node.value.value, str):
                documented.append(node.value.value)
            return
        text = _text(node)
        if text is not None:
            others.append(text)
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return documented, others


def _text(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(_text(value) or FIELD for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = _text(left), _text(right)
            return None if parts == (None, None) else "".join(part or FIELD for part in parts)
        case ast.IfExp(body=body, orelse=otherwise):
            return _text(body) or _text(otherwise)
        case _:
            return None


def _leading(words: list[str]) -> list[str]:
    """The words of a sentence, up to the first that can't belong to the command."""
    taken: list[str] = []
    command: Any = COMMAND
    value = False
    for word in words:
        bare = word.strip("`'\"“”,.;:()")
        if _is_group(command):
            if command is not COMMAND and bare not in _names(command):
                break
            taken.append(bare)
            if bare not in _names(command):
                break
            command = _subcommand(command, bare)
        elif value or bare.startswith("--") or bare == FIELD or _PLACEHOLDER.match(bare):
            taken.append(bare)
            value = not value and _takes_value(command, bare)
        else:
            break
        if word.rstrip("`'\"") != bare and word[-1] in ",.;:)":
            break
    return taken


def _missing(command: Any, words: list[str]) -> list[str]:
    """The options that help calls required, which a file of settings may have instead."""
    if "--config" in words:
        return []
    given = [*words, "--hook"] if "--transcoders" in words else words
    return [
        each.opts[0]
        for each in command.params
        if (getattr(each, "help", None) or "").endswith("[required]") and each.opts[0] not in given
    ]


def _is_group(command: Any) -> bool:
    return hasattr(command, "list_commands")


def _names(group: Any) -> list[str]:
    return group.list_commands(group.context_class(group))


def _subcommand(group: Any, name: str) -> Any:
    found = group.get_command(group.context_class(group), name)
    assert found is not None, f"there is no command '{name}': {', '.join(_names(group))}"
    return found


def _takes_value(command: Any, option: str) -> bool:
    return any(option in each.opts and not each.is_flag for each in command.params)
