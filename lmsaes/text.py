"""A dataset as a deterministic, seekable stream of packed contexts.

Documents follow each other, each closed by the separator (the end-of-text token), and are cut
into contexts of equal size; with `bos`, each context starts with the beginning-of-text token.
A `TextPosition` says where the stream stands, so that it can start again from there.
"""

import hashlib
import itertools
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from lmsaes.cache.manifest import TextPosition
from lmsaes.errors import DataError

# Long documents are tokenised in pieces, cut before white space, where tokenisers cut as well.
_PIECE_CHARACTERS = 1 << 18
_BATCH_CHARACTERS = 1 << 20
_CUT = re.compile(r"(?<=\S)\s")

_BUILDERS = {
    ".txt": "text",
    ".jsonl": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
}
_PACKED = {".gz", ".zst", ".xz", ".bz2"}


@dataclass(frozen=True)
class TextSource:
    """A dataset's documents from any one on, and what tells this dataset from others.

    `documents(start)` gives strings, or lists of token ids where the column holds those.
    """

    name: str
    fingerprint: str
    documents: Callable[[int], Iterator[str | list[int]]]


def load_text(
    dataset: str,
    split: str = "train",
    column: str = "text",
    config: str | None = None,
    revision: str | None = None,
    streaming: bool = False,
    shuffle: bool = False,
    seed: int = 0,
) -> TextSource:
    """Opens a dataset: a local .txt, .jsonl, .json, .csv or .parquet file (also compressed), a
    folder written by `save_to_disk`, or a Hugging Face name.

    A .txt file is one document. `shuffle` permutes the documents by `seed`. Raises DataError
    when there is no such dataset, split or column.
    """
    from datasets import disable_progress_bars

    disable_progress_bars()
    path = Path(dataset)
    try:
        if path.is_file():
            data, fingerprint = _open_file(path), _file_fingerprint(path)
        elif path.is_dir():
            data, fingerprint = _open_folder(path, split)
        else:
            data, fingerprint = _open_hub(dataset, config, split, revision, streaming)
    except DataError:
        raise
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise DataError(f"can't read the dataset '{dataset}': {_first_line(error)}") from None
    if shuffle:
        data = data.shuffle(seed=seed)
    name = str(path.resolve()) if path.exists() else dataset
    return TextSource(name, fingerprint, lambda start: _documents(data, name, column, start))


def _open_file(path: Path) -> Any:
    from datasets import load_dataset

    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    builder = _BUILDERS.get(suffixes[-1] if suffixes else "")
    if builder is None:
        raise DataError(
            f"'{path}' is of no kind that can be read", "give " + ", ".join(_BUILDERS) + " files"
        )
    options: dict[str, Any] = {"sample_by": "document"} if builder == "text" else {}
    # streaming reads the file itself, where a download would copy it into a cache first
    return load_dataset(
        builder, data_files=str(path.resolve()), split="train", streaming=True, **options
    )


def _open_folder(path: Path, split: str) -> tuple[Any, str]:
    from datasets import DatasetDict, load_from_disk

    try:
        data: Any = load_from_disk(str(path))
    except FileNotFoundError:
        raise DataError(
            f"the folder '{path}' holds no dataset",
            "give a folder written by datasets' save_to_disk, or a file",
        ) from None
    if isinstance(data, DatasetDict):
        if split not in data:
            raise DataError(
                f"'{path}' has no split '{split}'", "it has: " + ", ".join(map(str, data))
            )
        data = data[split]
    return data, str(getattr(data, "_fingerprint"))  # noqa: B009 - datasets has no public name


def _open_hub(
    name: str, config: str | None, split: str, revision: str | None, streaming: bool
) -> tuple[Any, str]:
    from datasets import load_dataset

    if name.startswith(("/", "./", "../", "~")) or Path(name).suffix in {*_BUILDERS, *_PACKED}:
        raise DataError(f"there is no file or folder '{name}'")
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    try:
        data = load_dataset(name, config, split=split, revision=revision, streaming=streaming)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"can't load the dataset '{name}': it is neither a local file or folder nor to be had "
            f"from the Hugging Face hub ({_first_line(error)})",
            "check the name, the split and the network",
        ) from None
    return data, str(getattr(data, "_fingerprint", None) or revision or "stream")


def _documents(data: Any, name: str, column: str, start: int) -> Iterator[str | list[int]]:
    rows = data.skip(start) if start else data
    for row in rows:
        if column not in row:
            raise DataError(
                f"the dataset '{name}' has no column '{column}'", "it has: " + ", ".join(row)
            )
        value = row[column]
        if not isinstance(value, str | list):
            raise DataError(
                f"column '{column}' of '{name}' holds {type(value).__name__}, not text",
                "choose another with --text-column",
            )
        yield cast("str | list[int]", value)


def _file_fingerprint(path: Path) -> str:
    """A hash of the size and of pieces spread over the file: all of it when it is small."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    pieces, piece = 256, 1 << 16
    with path.open("rb") as file:
        for index in range(pieces):
            file.seek(max(0, size - piece) * index // (pieces - 1))
            digest.update(file.read(piece))
            if size <= piece:
                break
    return digest.hexdigest()[:16]


class PackedText:
    """Contexts of a text source from a position on. `take` gives the next ones."""

    def __init__(
        self,
        source: TextSource,
        tokenizer: Any,
        context_size: int,
        bos_id: int | None,
        separator_id: int | None,
        start: TextPosition | None = None,
    ) -> None:
        self._tokenizer, self._size = tokenizer, context_size
        self._bos_id, self._separator_id = bos_id, separator_id
        self._position = start or TextPosition()
        self._stream = self._tokenised(source)
        self._pieces: deque[_Piece] = deque()
        self._available = 0

    @property
    def position(self) -> TextPosition:
        """Where the stream stands after the contexts taken so far."""
        return self._position

    def take(self, contexts: int) -> np.ndarray:
        """The next contexts, int32 [n, context_size]; fewer than asked only at the text's end.

        Tokens that no longer fill a context at the end are left out.
        """
        fresh = self._size - (self._bos_id is not None)
        while self._available < contexts * fresh and (piece := next(self._stream, None)):
            self._pieces.append(piece)
            self._available += len(piece.tokens)
        taken = min(contexts, self._available // fresh)
        packed = np.empty((taken, self._size), dtype=np.int32)
        if self._bos_id is not None:
            packed[:, 0] = self._bos_id
        packed[:, self._size - fresh :] = self._consume(taken * fresh).reshape(taken, fresh)
        return packed

    def _consume(self, count: int) -> np.ndarray:
        parts: list[np.ndarray] = []
        self._available -= count
        while count:
            piece = self._pieces.popleft()
            part, rest = piece.tokens[:count], piece.tokens[count:]
            parts.append(part)
            count -= len(part)
            end = piece.first + len(part)
            self._position = TextPosition(document=piece.document, token=end)
            if len(rest):
                self._pieces.appendleft(_Piece(piece.document, end, rest))
        return np.concatenate(parts) if parts else np.empty(0, np.int32)

    def _tokenised(self, source: TextSource) -> "Iterator[_Piece]":
        """Token ids of document after document, in pieces, from the starting position on."""
        start = self._position
        first = 0
        for document, text, last in _batched_pieces(source, start.document, self._tokenise):
            tokens = np.asarray(text, dtype=np.int32)
            if last and self._separator_id is not None:
                tokens = np.append(tokens, np.int32(self._separator_id))
            skip = max(0, start.token - first) if document == start.document else 0
            if skip < len(tokens):
                yield _Piece(document, first + skip, tokens[skip:])
            first = 0 if last else first + len(tokens)

    def _tokenise(self, texts: list[str]) -> list[list[int]]:
        return self._tokenizer(
            texts, add_special_tokens=False, return_attention_mask=False, verbose=False
        )["input_ids"]


@dataclass(frozen=True)
class _Piece:
    """Tokens `first` and following of a document."""

    document: int
    first: int
    tokens: np.ndarray


def _batched_pieces(
    source: TextSource, start: int, tokenise: Callable[[list[str]], list[list[int]]]
) -> Iterator[tuple[int, list[int], bool]]:
    """(document, token ids, whether the document ends) for each piece, tokenised in batches."""
    batch: list[tuple[int, str | list[int], bool]] = []
    size = 0
    for document, content in zip(itertools.count(start), source.documents(start), strict=False):
        pieces = _cut(content) if isinstance(content, str) else [content]
        for index, piece in enumerate(pieces):
            batch.append((document, piece, index == len(pieces) - 1))
            size += len(piece)
            if size >= _BATCH_CHARACTERS:
                yield from _tokenise_batch(batch, tokenise)
                batch, size = [], 0
    yield from _tokenise_batch(batch, tokenise)


def _tokenise_batch(
    batch: list[tuple[int, str | list[int], bool]],
    tokenise: Callable[[list[str]], list[list[int]]],
) -> Iterator[tuple[int, list[int], bool]]:
    texts = [piece for _, piece, _ in batch if isinstance(piece, str)]
    ids = iter(tokenise(texts) if texts else [])
    for document, piece, last in batch:
        yield document, next(ids) if isinstance(piece, str) else piece, last


def _cut(text: str) -> list[str]:
    """Pieces of a long text; empty texts give none."""
    pieces: list[str] = []
    start = 0
    while len(text) - start > _PIECE_CHARACTERS:
        match = _CUT.search(text, start + _PIECE_CHARACTERS - 1)
        if match is None:
            break
        pieces.append(text[start : match.start()])
        start = match.start()
    if text[start:]:
        pieces.append(text[start:])
    return pieces


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


# Threads inside the tokeniser are safe here: nothing forks after it has run.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
