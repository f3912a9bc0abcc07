"""A file's bytes, lines and text, whether it is compressed or not, a bounded piece at a time."""

import bz2
import codecs
import gzip
import io
import itertools
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

from lmsaes.errors import DataError
from lmsaes.units import format_bytes

LONGEST = 64 << 20
"""Bytes of the longest line, JSON value or field that is read at once."""

PART = 1 << 20
"""Bytes that are read at a time."""

UNREADABLE = (
    OSError, EOFError, ValueError, RuntimeError,
    zlib.error, lzma.LZMAError, zstandard.ZstdError, pa.ArrowException,
)  # fmt: skip
"""What reading a damaged or missing file or a failing network raises, decompressors included."""

_BOM = codecs.BOM_UTF8


def _by_arrow(codec: str) -> Callable[[Path], Any]:
    return lambda path: pa.input_stream(str(path), compression=codec)


COMPRESSED: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": lambda path: _Zstandard(path),
    ".lz4": _by_arrow("lz4"),
    ".br": _by_arrow("brotli"),
}
"""How to open a compressed file, by the end of its name."""


def open_bytes(path: Path) -> io.BufferedReader:
    """The decompressed content of a file."""
    opened: Any = COMPRESSED.get(path.suffix.lower(), lambda p: p.open("rb", buffering=0))(path)
    return io.BufferedReader(opened, PART)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line's number, from 1 on, and its bytes, without the file's byte order mark.

    Raises DataError for a line longer than `LONGEST`.
    """
    with open_bytes(path) as file:
        for number in itertools.count(1):
            line = file.readline(LONGEST + 1)
            if not line:
                return
            if len(line) > LONGEST:
                raise too_long(f"line {number} of '{path}'")
            yield number, line.removeprefix(_BOM) if number == 1 else line


def read_text(path: Path) -> Iterator[str]:
    """A file's text in parts, without its byte order mark. Raises DataError unless it is UTF-8."""
    rest, position = b"", 0
    with open_bytes(path) as file:
        while True:
            data = file.read(PART)
            rest += data
            if position == 0 and rest.startswith(_BOM):
                rest, position = rest[len(_BOM) :], len(_BOM)
            text, used = _decoded(rest, f"'{path}'", position, not data)
            rest, position = rest[used:], position + used
            if text:
                yield text
            if not data:
                return


def decode(data: bytes, place: str) -> str:
    """UTF-8 bytes as text. Raises DataError, which names the place, where they are none."""
    return _decoded(data, place, 0, True)[0]


def without_surrogates(text: str) -> str:
    """Text that UTF-8 can hold: half a character (a lone surrogate) becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # pairs that stand as two halves become the character that they are
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def too_long(place: str) -> DataError:
    return DataError(
        f"{place} is longer than {format_bytes(LONGEST)}",
        "cut it into documents, or put it into a .txt file, which is one document of any length",
    )


def _decoded(data: bytes, place: str, position: int, final: bool) -> tuple[str, int]:
    """Text, and how many bytes it took; the last character may be cut off unless `final`."""
    try:
        return codecs.utf_8_decode(data, "strict", final)
    except UnicodeDecodeError as error:
        wrong = error
    try:
        text, used = codecs.utf_8_decode(data, "surrogatepass", final)
        return without_surrogates(text), used
    except UnicodeDecodeError:
        raise DataError(
            f"{place} is not UTF-8 text: byte {position + wrong.start + 1} is "
            f"0x{data[wrong.start]:02x}",
            "write it in UTF-8",
        ) from None


class _Zstandard(io.RawIOBase):
    """A zstandard file of any number of frames and any window (`--long`).

    zstandard's own readers take a file that is cut off for one that ends.
    """

    # what this decompresses to at once is bounded: at most 32 768 times as much
    _READ = 1 << 11

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._context = zstandard.ZstdDecompressor(max_window_size=1 << 31)
        self._frame = self._context.decompressobj()
        self._begun = False
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any, /) -> int:
        while not self._ready:
            data = self._file.read(self._READ)
            if self._frame.eof:
                data = self._frame.unused_data + data
                self._frame, self._begun = self._context.decompressobj(), False
            if not data:
                if self._begun:
                    raise EOFError("the compressed data is cut off")
                return 0
            self._begun = True
            self._ready = memoryview(self._frame.decompress(data))
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size
