"""How a command ends: failures in one line with their exit code, and the command to go on with.

Exit codes: 0 done, 1 a failure told in one line, 2 bad usage, 130 interrupted.
"""

import errno
import functools
import inspect
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lmsaes.addresses import local_path, shown_address, shown_text
from lmsaes.errors import LmsaesError, ReportedError, first_line, is_out_of_memory

_DebugOption = Annotated[bool, typer.Option("--debug", help="Show a traceback on failure.")]


def in_one_line(function: Callable[..., None]) -> Callable[..., None]:
    """The command with --debug, without which a failure is one line."""

    @functools.wraps(function)
    def run(*, debug: bool, **arguments: Any) -> None:
        try:
            function(**{name: _at_home(value) for name, value in arguments.items()})
        except LmsaesError as error:
            if debug:
                raise
            if not isinstance(error, ReportedError):
                _tell(str(error), error.hint)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            if debug:
                raise
            if os.environ.get("RANK", "0") == "0":  # of a torchrun's processes one speaks for all
                typer.echo("interrupted; run the same command again to continue", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # whoever read the output (head, say) has seen enough; what is left goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except Exception as error:
            if debug or isinstance(error, typer.Exit | typer.Abort | typer.BadParameter):
                raise
            unforeseen = (
                f"something unforeseen happened: {type(error).__name__}: {first_line(error)}",
                "run it again with --debug and report the traceback",
            )
            _tell(*(_ordinary(error) or unforeseen))
            raise typer.Exit(1) from None

    signature = inspect.signature(function)
    flag = inspect.Parameter(
        "debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_DebugOption
    )
    named = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=[*named, flag])  # type: ignore[attr-defined]
    run.__annotations__ = {**function.__annotations__, "debug": _DebugOption}
    return run


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_HINTS = {
    **dict.fromkeys(_NO_ROOM, "make room and run the same command again"),
    errno.EFBIG: "its disk, or a limit of this shell (ulimit -f), takes no file as large",
    errno.EROFS: "choose a place on another disk",
    errno.EACCES: "check who may read and write it",
    errno.EPERM: "check who may read and write it",
    errno.ENOTDIR: "a file is where a folder should be: choose another place",
    errno.EISDIR: "give a file, not a folder",
}


def _ordinary(error: Exception) -> tuple[str, str | None] | None:
    """What the system says of a file, of memory or of a name, in words, and what to do; None for
    what is a fault of ours. Where a file's part in the work is known, a room has told more before
    it comes to this.
    """
    if isinstance(error, OSError) and error.strerror:
        files = [os.fsdecode(name) for name in (error.filename, error.filename2) if name]
        where = " and ".join(files) or "a file or address"
        if error.errno in _NO_ROOM:
            return f"no space left on the disk of {where}", _HINTS[error.errno]
        return f"{where}: {error.strerror.lower()}", _HINTS.get(error.errno or 0)
    said = first_line(error)
    if isinstance(error, RuntimeError) and "Symlink loop" in said:  # Python before 3.13
        return f"{said.rpartition('from ')[2]} is a link that leads to itself", None
    if is_out_of_memory(error):
        return f"there is not enough memory: {said}", None
    if "surrogates not allowed" in said:
        return "a name or text is not UTF-8: " + said.rpartition("UnicodeEncodeError: ")[2], None
    return None


def _at_home(value: Any) -> Any:
    """A path without `~`, which no shell takes out of `--out=~/x`; settings see to their own."""
    return local_path(value) if isinstance(value, Path) else value


def _tell(message: str, hint: str | None) -> None:
    typer.echo("error: " + _one_line(message), err=True)
    if hint:
        typer.echo("       " + _one_line(hint), err=True)


def _one_line(text: str) -> str:
    """Without line breaks and what else moves a terminal's cursor; other spaces stay, which may be
    a path's."""
    text = text.encode(errors="replace").decode()  # of a path that is not UTF-8
    plain = re.sub(r"\s*[\r\n]+\s*", " ", shown_text(text).strip())
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "\ufffd", plain)


NONE = "–"
"""What stands for a figure that was not measured."""


def figure(value: float | None, form: str) -> str:
    """A figure of a table, formatted as `.3f` says; a dash where it was not measured."""
    return NONE if value is None else format(value, form)


def share(value: float | None) -> str:
    """A share as percent; a dash where it was not measured."""
    return NONE if value is None else f"{100 * value:.1f} %"


def analyzed(features: int, start: int, stop: int) -> str:
    """How many features an analysis has; of a part of an SAE's, which of how many."""
    return str(features) if stop - start == features else f"{start}:{stop} of {features}"


def say_next(done: str, *words: str, **environment: str) -> None:
    """A command's last line: what is done, and the command that goes on, ready to be pasted."""
    settings = "".join(f"{name}={shlex.quote(value)} " for name, value in environment.items())
    typer.echo(f"{done}; next: {settings}lmsaes {shlex.join(words)}")


def say_where(db: str | None) -> None:
    """The next command, for the same database, whatever shell it is pasted into."""
    folder = os.environ.get("LMSAES_DB_FOLDER")
    if db is not None:
        say_next("done", "serve", "--db", db if shown_address(db) == db else "URI")
    elif folder and not os.environ.get("LMSAES_DB"):
        say_next("done", "serve", LMSAES_DB_FOLDER=folder)
    else:
        say_next("done", "serve")
