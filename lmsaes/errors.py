"""The exceptions that lmsaes raises on purpose.

    LmsaesError
    ├── ConfigError     an argument or a configuration that can't work
    ├── ModelError      a language model, tokenizer or hook that can't be used
    ├── DataError       a dataset or text that can't be read
    ├── CacheError      an activation cache that is missing, damaged, locked or of another kind
    ├── SAEError        a saved SAE that is missing, damaged or doesn't fit
    ├── DatabaseError   a database that can't be reached or refuses
    └── RankError       another process of the same run that has failed
        └── ReportedError   what another process of the same run has reported already

Each carries one line that says what is wrong and, in `hint`, what to do about it. The command
line prints both and exits with code 1.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_OUT_OF_MEMORY = re.compile("can't allocate memory|out of memory", re.IGNORECASE)


class LmsaesError(Exception):
    """What is wrong, in one line; `hint` says what to do."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(LmsaesError):
    """An argument or a configuration that can't work."""


class ModelError(LmsaesError):
    """A language model, tokenizer or hook that can't be used."""


class DataError(LmsaesError):
    """A dataset or text that can't be read."""


class CacheError(LmsaesError):
    """An activation cache that is missing, damaged, locked or of another kind."""


class SAEError(LmsaesError):
    """A saved SAE that is missing, damaged or doesn't fit."""


class DatabaseError(LmsaesError):
    """A database that can't be reached or refuses."""


class RankError(LmsaesError):
    """Another process of the same run that has failed or can't be reached."""


class ReportedError(RankError):
    """What another process of the same run has reported already: this one ends without a word."""


def first_line(error: BaseException) -> str:
    """What another library's exception says, in one line without a final period."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be had: Python's, the host's by torch, or a GPU's."""
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Those of `names` that look most like `name`, the likest first: what may have been meant."""
    return get_close_matches(name, list(names), count, cutoff=0)
