"""One column of a parquet or Arrow file, or of an Arrow table, as text and token ids."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmsaes.errors import DataError
from lmsaes.text.compressed import COMPRESSED, open_bytes

_ROWS_AT_ONCE = 256


def column_names(path: Path, kind: str) -> list[str]:
    """The columns of a parquet or Arrow file."""
    if kind == "parquet":
        with _parquet(path) as file:
            return list(file.schema_arrow.names)
    with _ArrowFile(path) as file:
        return list(file.schema.names)


def read_parquet(path: Path, column: str, skip: int) -> Generator[tuple[int, Any], None, int]:
    """A reader as `rows.py` has them. Groups of rows that are passed over are not read."""
    with _parquet(path) as file:
        total = file.metadata.num_rows
        if column not in file.schema_arrow.names:
            yield from ((number, None) for number in range(skip + 1, total + 1))
            return total
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            number = first
            first += rows
            if first <= skip:
                continue
            for batch in file.iter_batches(_ROWS_AT_ONCE, [group], [column], use_threads=False):
                yield from _numbered(_column(batch, column), number, skip, column, f"'{path}'")
                number += len(batch)
        return total


def read_arrow(path: Path, column: str, skip: int) -> Generator[tuple[int, Any], None, int]:
    """A reader as `rows.py` has them."""
    number = 0
    with _ArrowFile(path) as file:
        for batch in file.batches(column):
            if column in batch.schema.names:
                yield from _numbered(_column(batch, column), number, skip, column, f"'{path}'")
            else:
                first = max(number, skip)
                yield from ((n, None) for n in range(first + 1, number + len(batch) + 1))
            number += len(batch)
    return number


def _column(batch: Any, column: str) -> Any:
    return batch.column(batch.schema.names.index(column))  # the first of that name


def _numbered(
    array: Any, before: int, skip: int, column: str, place: str
) -> Iterator[tuple[int, Any]]:
    passed = max(0, skip - before)
    values = column_values(array.slice(passed), column, place)
    return enumerate(values, before + passed + 1)


def column_values(array: Any, column: str, place: str) -> Iterator[Any]:
    """What an Arrow array holds: text as bytes, lists of numbers as numpy arrays, None for null.

    Raises DataError for a column of another type.
    """
    kinds, array = pa.types, _plain(array)
    kind = array.type
    if kinds.is_null(kind):
        return iter([None] * len(array))
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        # decoded one by one, so that what is no UTF-8 is told with its row
        return iter(pc.cast(array, pa.large_binary()).to_pylist())
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_binary_view(kind):
        return iter(array.to_pylist())
    if _is_list(kind):
        return (_numbers(item.values) if item.is_valid else None for item in array)
    raise DataError(
        f"column '{column}' of {place} holds {kind}, not text",
        "choose another with --text-column",
    )


def _numbers(array: Any) -> np.ndarray:
    """A list's numbers; those of the lists in a list follow each other."""
    array = _plain(array)
    while _is_list(array.type):
        array = _plain(array.flatten())
    if len(array) == 0:
        return np.empty(0, np.int32)
    return array.to_numpy(zero_copy_only=False)


def _plain(array: Any) -> Any:
    """An array without what only says how it is stored or shown."""
    while True:
        if isinstance(array.type, pa.BaseExtensionType):
            array = array.storage
        elif pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        else:
            return array


def _is_list(kind: Any) -> bool:
    kinds = pa.types
    return (
        kinds.is_list(kind)
        or kinds.is_large_list(kind)
        or kinds.is_fixed_size_list(kind)
        or kinds.is_list_view(kind)
        or kinds.is_large_list_view(kind)
    )


def _parquet(path: Path) -> Any:
    if path.suffix.lower() in COMPRESSED:
        raise _compressed_again(path)
    # a buffer, and nothing read ahead: memory is that of some pages, not of whole columns
    return pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)


class _ArrowFile:
    """Arrow's stream or file format, of which one column is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_bytes(path) as file:
            self._is_stream = file.read(6) != b"ARROW1"
        if not self._is_stream and path.suffix.lower() in COMPRESSED:
            raise _compressed_again(path)
        self._open: list[Any] = []

    def __enter__(self) -> "_ArrowFile":
        self.schema = self._reader(None).schema
        return self

    def __exit__(self, *_: object) -> None:
        for each in reversed(self._open):
            each.close()

    def batches(self, column: str) -> Iterator[Any]:
        names = self.schema.names
        # where it has not the column, any other says how many rows there are
        fields = [names.index(column) if column in names else 0] if names else None
        reader = self._reader(pa.ipc.IpcReadOptions(included_fields=fields))
        if self._is_stream:
            yield from reader
        else:
            yield from map(reader.get_batch, range(reader.num_record_batches))

    def _reader(self, options: Any) -> Any:
        plain = self._path.suffix.lower() not in COMPRESSED
        source = pa.memory_map(str(self._path)) if plain else open_bytes(self._path)
        self._open.append(source)
        if self._is_stream:
            return pa.ipc.open_stream(source, options=options)
        return pa.ipc.open_file(source, options=options)


def _compressed_again(path: Path) -> DataError:
    return DataError(
        f"'{path}' is compressed around its own compression, and can't be read in parts",
        f"decompress it to '{path.with_suffix('').name}'",
    )
