"""Counts and sizes as people write them: `200k` tokens, `4GiB` of memory."""

from pydantic import ByteSize, TypeAdapter, ValidationError

from lmsaes.errors import ConfigError

_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
_byte_size = TypeAdapter(ByteSize)


def parse_count(text: str | int) -> int:
    """`200k`, `1.5M`, `2B` or a plain number as an integer.

    Raises ConfigError when it is neither, or not a whole number, or negative.
    """
    if isinstance(text, int):
        return text
    cleaned = text.strip().lower().replace("_", "").replace(",", "")
    suffix = cleaned[-1:] if cleaned[-1:] in "kmbgt" else ""
    try:
        value = float(cleaned.removesuffix(suffix)) * _SUFFIXES[suffix]
    except ValueError:
        value = -1.0
    if value < 0 or value != round(value):
        raise ConfigError(f"'{text}' is not a count", "write it as 5000, 200k, 100M or 1.5B")
    return round(value)


def parse_bytes(text: str | int) -> int:
    """`4GiB`, `500MB` or a plain number of bytes as an integer.

    Raises ConfigError when it is neither.
    """
    try:
        return int(_byte_size.validate_python(text))
    except ValidationError:
        raise ConfigError(f"'{text}' is not a size", "write it as 512MiB, 4GiB or 2TB") from None


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
