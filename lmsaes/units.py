"""Counts, sizes, ranges and times as people write them: `200k` tokens, `4GiB`, `0:512`, `2 min`."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, ValidationError

from lmsaes.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ByteSize, TypeAdapter

_LARGEST = 2**63 - 1  # what files, tensors and databases can count to
_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}


def parse_count(text: str | float) -> int:
    """`200k`, `1.5M`, `2B` or a whole number such as 5000 or 2e4 as an integer.

    Raises ConfigError when it is neither, or not a whole number, or a text of a negative one.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text <= _LARGEST:
        return text
    cleaned = str(text).strip().lower().replace("_", "").replace(",", "")
    suffix = cleaned[-1:] if cleaned[-1:] in "kmbgt" else ""
    try:
        value = float(cleaned.removesuffix(suffix)) * _SUFFIXES[suffix]
    except ValueError:
        value = -1.0
    if not 0 <= value <= _LARGEST or value != round(value):
        raise ConfigError(f"'{text}' is not a count", "write it as 5000, 200k, 100M or 1.5B")
    return round(value)


def parse_bytes(text: str | float) -> int:
    """`4GiB`, `500MB` or a plain number of bytes as an integer.

    Raises ConfigError when it is neither.
    """
    try:
        size = int(_byte_size().validate_python(text))
    except (ValidationError, OverflowError):
        size = -1
    if not 0 <= size <= _LARGEST:
        raise ConfigError(f"'{text}' is not a size", "write it as 512MiB, 4GiB or 2TB")
    return size


@functools.cache
def _byte_size() -> "TypeAdapter[ByteSize]":
    from pydantic import ByteSize, TypeAdapter  # 50 ms, which help texts can do without

    return TypeAdapter(ByteSize)


def _for_pydantic(parse: Callable[[Any], int]) -> Callable[[Any], int]:
    """`parse` as a validator: pydantic then names the setting whose value is wrong."""

    def validate(value: Any) -> int:
        try:
            return parse(value)
        except ConfigError as error:
            raise ValueError(f"{error}; {error.hint}") from None

    return validate


Count = Annotated[int, BeforeValidator(_for_pydantic(parse_count))]
"""A setting that `parse_count` reads."""
Bytes = Annotated[int, BeforeValidator(_for_pydantic(parse_bytes))]
"""A setting that `parse_bytes` reads."""


def parse_range(text: str, what: str) -> slice:
    """`0:512`, `100:` or `:200` as a slice; `what` is numbered, such as contexts.

    Raises ConfigError for anything else.
    """
    start, colon, stop = text.partition(":")
    if not colon or not all(part == "" or part.isdecimal() for part in (start, stop)):
        raise ConfigError(f"'{text}' is not a range of {what}", "write it as 0:512")
    return slice(int(start) if start else None, int(stop) if stop else None)


def format_count(count: float) -> str:
    """A count in three significant digits: `200k`, `1.13M`."""
    for suffix, unit in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * unit:  # 999 936 is 1M, and not 1e+03k
            return f"{count / unit:.3g}{suffix}"
    return f"{count:.3g}"


def format_bytes(size: float) -> str:
    """A size in binary units: `512 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}" if size < 1000 else f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"


def exact_count(count: int) -> str:
    """A count that `parse_count` reads back as it is: `200M`, `4096`."""
    for suffix, unit in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= 10 * unit and count % unit == 0:
            return f"{count // unit}{suffix}"
    return str(count)


def exact_bytes(size: int) -> str:
    """A size that `parse_bytes` reads back as it is: `4GiB`, `512MiB`."""
    for suffix, unit in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size and size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)


def format_duration(seconds: float) -> str:
    """A time that is left or has passed, in two units at most: `40 s`, `12 min`, `3 h 05 min`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60:02} min" if hours < 100 else f"{hours // 24} d {hours % 24} h"
