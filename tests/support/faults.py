"""Commands that are halted in the middle, and commands whose files can't grow.

first = halted("lmsaes.capture.run:fill", "cache", "--model", …)    # there, until it is killed
done = without_room(0, "train", …)                                  # no byte can be written
"""

import importlib
import os
import resource
import sys
import time
from collections.abc import Mapping

from typer.testing import CliRunner

from tests.support.commands import Started, command, start_function

_THERE = "halted there"


def halted(place: str, *words: str, environment: Mapping[str, str] | None = None) -> Started:
    """`lmsaes WORDS`, once it has come to a function, `module:name`, which waits forever."""
    started = start_function(_halt, place, *words, environment=environment)
    while _THERE not in started.stdout:
        assert started.returncode is None, started.stderr
        time.sleep(0.01)
    return started


def _halt(place: str, *words: str) -> None:
    module, _, name = place.partition(":")
    *owners, last = name.split(".")
    owner = importlib.import_module(module)
    for each in owners:
        owner = getattr(owner, each)

    def wait(*_: object, **__: object) -> None:
        os.write(1, _THERE.encode())
        time.sleep(600)

    setattr(owner, last, wait)
    command(*words)


def without_room(size: int, *words: str, environment: Mapping[str, str] | None = None) -> Started:
    """Runs `lmsaes WORDS` where no file can have more than `size` bytes: writing fails in the
    system, whichever library writes, as it does on a full disk.
    """
    started = start_function(_limited, size, *words, environment=environment)
    started.wait()
    return started


def _limited(size: int, *words: str) -> None:
    from lmsaes.cli.app import app

    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    done = CliRunner().invoke(app, list(words))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    sys.exit(done.exit_code)
