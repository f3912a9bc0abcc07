"""One column of one file, row by row: nothing else of the file is looked at.

    jsonl ──► lines ────────┐
    json ───► values ───────┤
    csv, tsv ► records ─────┼─► (row, value) ─► document: text, or token ids
    txt ────► the whole ────┤
    parquet, arrow ─────────┘   (columns.py)

Each reader passes over `skip` rows, yields the number of each further row, from 1 on, with what
the column holds there, None where it has nothing, and returns how many rows the file has.
"""

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from lmsaes.errors import DataError, first_line, nearest
from lmsaes.text.columns import column_names, read_arrow, read_parquet
from lmsaes.text.compressed import (
    LONGEST,
    PART,
    UNREADABLE,
    decode,
    read_lines,
    read_text,
    too_long,
    without_surrogates,
)
from lmsaes.text.data_files import kind_of

Rows = Generator[tuple[int, Any], None, int]

_PEEKED = 1000  # rows of a JSON file whose keys show its columns
_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_NAMED_COLUMNS, _NAME_LENGTH = 20, 40  # of those that an error lists


@dataclass(frozen=True)
class TextFile:
    """A .txt file as a document of any length, read in parts."""

    path: Path

    def __iter__(self) -> Iterator[str]:
        newlines = io.IncrementalNewlineDecoder(None, translate=True)
        try:
            for part in itertools.chain(read_text(self.path), [""]):
                yield newlines.decode(part, final=not part)
        except UNREADABLE as error:
            raise _unreadable(self.path, "", error) from error


Document = str | list[Any] | np.ndarray | TextFile
"""Text, or token ids (lists of lists follow each other)."""


class Row(NamedTuple):
    """A document and the row, from 1 on, that it stands in; rows of lines are called lines."""

    where: str | Path
    word: str
    number: int
    document: Document

    @property
    def place(self) -> str:
        return f"{self.word} {self.number} of '{self.where}'"


def read_rows(paths: Iterable[Path], column: str, skip: int = 0) -> Iterator[Row]:
    """The documents of files of one column, after the first `skip`.

    Null, missing and empty text are empty documents. Raises DataError, which names the file and
    the row, for what can't be read or is neither text nor a list.
    """
    for path in paths:
        kind = str(kind_of(path))
        rows, number = _READERS[kind](path, column, skip), 0
        word = "line" if kind == "jsonl" else "row"
        while True:
            try:
                number, value = next(rows)
            except StopIteration as end:
                skip = max(0, skip - end.value)
                break
            except UNREADABLE as error:
                after = f" after {word} {number}" if number else ""
                raise _unreadable(path, after, error) from error
            row = Row(path, word, number, "")
            yield row._replace(document=as_document(value, column, row.place))


def check_column(paths: Sequence[Path], column: str) -> None:
    """Raises DataError when no file has the column, with those that there are."""
    seen: dict[str, None] = {}
    for path in paths:
        try:
            for name in _columns(path):
                if name == column:
                    return
                seen[name] = None
        except UNREADABLE as error:
            raise _unreadable(path, "", error) from error
    names = f"'{paths[0]}'" + (f" and {len(paths) - 1} others" if len(paths) > 1 else "")
    if not seen:
        raise DataError(f"there is not one row in {names}")
    raise missing_column(column, seen, names)


def missing_column(column: str, columns: Iterable[str], where: str) -> DataError:
    """The error that there is no such column, with those that there are, the nearest first."""
    names = list(columns)
    ordered = dict.fromkeys([*nearest(column, names, 1), *names])
    shown = [name[:_NAME_LENGTH] for name in itertools.islice(ordered, _NAMED_COLUMNS)]
    more = f", and {len(ordered) - len(shown)} more" if len(ordered) > len(shown) else ""
    return DataError(
        f"no column '{column}' in {where}",
        f"choose one of these with --text-column: {', '.join(shown)}{more}",
    )


def as_document(value: Any, column: str, place: str) -> Document:
    """What a column holds as a document. Raises DataError when it is neither text nor a list."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""  # what pandas writes for nothing is NaN
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, bytes):
        return decode(value, place)
    if isinstance(value, list | np.ndarray | TextFile):
        return cast("Document", value)
    raise DataError(
        f"column '{column}' holds {type(value).__name__}, not text, in {place}",
        "choose another with --text-column",
    )


def _unreadable(path: Path, after: str, error: BaseException) -> DataError:
    return DataError(f"can't read '{path}'{after}: {first_line(error)}")


def _columns(path: Path) -> Iterator[str]:
    kind = kind_of(path)
    if kind == "text":
        yield "text"
    elif kind in ("csv", "tsv"):
        yield from next(_records(path), [])
    elif kind in ("parquet", "arrow"):
        yield from column_names(path, kind)
    else:
        values = _json_lines(path, 0) if kind == "jsonl" else _json_values(path)
        for _, value in itertools.islice(values, _PEEKED):
            yield from value


def _read_jsonl(path: Path, column: str, skip: int) -> Rows:
    values = _json_lines(path, skip)
    while True:
        try:
            number, value = next(values)
        except StopIteration as end:
            return end.value
        yield number, value.get(column)


def _json_lines(path: Path, skip: int) -> Generator[tuple[int, dict[str, Any]], None, int]:
    rows = 0
    for number, line in read_lines(path):
        if line.isspace():
            continue
        rows += 1
        if rows > skip:
            place = f"line {number} of '{path}'"
            text = decode(line, place).strip().removeprefix("\ufeff")  # files that were joined
            try:
                value = _loads(text)
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{place} is not JSON: {error.msg} at character {error.pos + 1}"
                ) from None
            except RecursionError:
                raise DataError(f"{place} is nested too deeply") from None
            yield number, _object(value, place)
    return rows


def _read_json(path: Path, column: str, skip: int) -> Rows:
    number = 0
    for number, value in _json_values(path):
        if number > skip:
            yield number, value.get(column)
    return number


def _json_values(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a list, or those that follow each other, without reading the file whole."""
    parts = read_text(path)
    text, at, number = "", 0, 0
    is_list, closed = False, False
    while True:
        at = cast("re.Match[str]", _SPACE.match(text, at)).end()
        if at == len(text):
            part = next(parts, None)
            if part is None:
                break
            text, at = part, 0
            continue
        if closed:
            raise DataError(f"something follows the list in '{path}'")
        if number == 0 and not is_list and text[at] == "[":
            is_list, at = True, at + 1
        elif is_list and text[at] in ",]":
            closed, at = text[at] == "]", at + 1
        else:
            number += 1
            place = f"row {number} of '{path}'"
            value, text, at = _next_value(text, at, parts, place)
            yield number, _object(value, place)
    if is_list and not closed:
        raise DataError(f"the list in '{path}' is cut off after row {number}")


def _next_value(text: str, at: int, parts: Iterator[str], place: str) -> tuple[Any, str, int]:
    """The JSON value at `at`; the text, with as much more of it as it took; where it ends."""
    while True:
        try:
            value, end = _DECODER.raw_decode(text, at)
            return value, text, end
        except json.JSONDecodeError as error:
            if len(text) - at > LONGEST:
                raise too_long(place) from None
            more = "".join(itertools.islice(parts, 1 + (len(text) - at) // PART))
            if not more:
                raise DataError(
                    f"{place} is not JSON: {error.msg} at its character {error.pos - at + 1}"
                ) from None
            text, at = text[at:] + more, 0
        except RecursionError:
            raise DataError(f"{place} is nested too deeply") from None


def _integer(digits: str) -> int | float:
    """Python makes no int of thousands of digits, which stand in columns that nobody asked for."""
    return int(digits) if len(digits) < 400 else float("inf")


_DECODER = json.JSONDecoder(parse_int=_integer)


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # too many digits
        return _DECODER.decode(text)


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(
            f"{place} is {type(value).__name__}, not an object with columns",
            'write each document as {"text": "…"}',
        )
    return cast("dict[str, Any]", value)


def _read_csv(path: Path, column: str, skip: int) -> Rows:
    records = _records(path)
    header = next(records, [])
    index = header.index(column) if column in header else len(header)
    number = 0
    for number, record in enumerate(records, 1):
        if number > skip:
            # a record may be short, or longer than the header
            yield number, record[index] if index < min(len(record), len(header)) else None
    return number


def _records(path: Path) -> Iterator[list[str]]:
    """A CSV file's records, the header first; lines with nothing on them are none."""
    delimiter = "\t" if kind_of(path) == "tsv" else ","
    reader = csv.reader(_csv_lines(path), delimiter=delimiter, strict=True)
    number = 0
    while True:
        # the limit is the process's: other readers keep theirs
        before = csv.field_size_limit(LONGEST)
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field limit" in str(error):
                raise too_long(f"a field in row {number} of '{path}'") from None
            raise DataError(
                f"row {number} of '{path}' (line {reader.line_num}) is not CSV: {error}"
            ) from None
        finally:
            csv.field_size_limit(before)
        if record:
            yield record
            number += 1


def _csv_lines(path: Path) -> Iterator[str]:
    for number, line in read_lines(path):
        text = decode(line, f"line {number} of '{path}'")
        if "\r" in text[:-2]:  # old Macintosh line ends
            yield from re.findall(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+$", text)
        else:
            yield text


def _read_txt(path: Path, column: str, skip: int) -> Rows:
    if skip == 0:
        text = TextFile(path)
        parts = list(itertools.islice(text, 2))
        # a short one is a text like others
        yield 1, text if len(parts) > 1 and parts[1] else "".join(parts)
    return 1


_READERS: dict[str, Callable[[Path, str, int], Rows]] = {
    "jsonl": _read_jsonl,
    "json": _read_json,
    "csv": _read_csv,
    "tsv": _read_csv,
    "text": _read_txt,
    "parquet": read_parquet,
    "arrow": read_arrow,
}
