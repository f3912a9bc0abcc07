"""Documents as a deterministic, seekable stream of contexts of equal size.

    documents ─► token ids ─► pieces, by turns from each dataset ─► contexts

Packed, documents follow each other, each closed by the separator (the end-of-text token), and are
cut into contexts; or each document has a context of its own, whose rest is padding. With `bos`,
each context starts with the beginning-of-text token. A `TextPosition` says where the stream
stands, so that it can start again from there.
"""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmsaes.errors import DataError
from lmsaes.provenance import DatasetPosition, TextPosition, TextRecord
from lmsaes.text.datasets import TextSource
from lmsaes.text.tokenizer import Encoder

PADDING = -1  # the document of a position that is only there to fill a context


@dataclass(frozen=True)
class Contexts:
    """Some contexts of text."""

    tokens: np.ndarray  # int32 [contexts, context_size]
    documents: np.ndarray  # int32 [contexts, context_size]; padding is −1

    def __len__(self) -> int:
        return len(self.tokens)


class ContextStream:
    """The contexts of one or several datasets from a position on. `take` gives the next ones.

    Of several, the next document is always of the dataset that is furthest behind its share of
    the tokens: shares hold anywhere in the stream to within one document, whatever the lengths
    of documents, and nothing is drawn at random. The stream ends when that dataset has ended.
    """

    def __init__(
        self,
        sources: Sequence[TextSource],
        tokenizer: Any,
        record: TextRecord,
        vocabulary: int,
        start: TextPosition | None = None,
    ) -> None:
        """record: how to pack. vocabulary: token ids must be below it, or DataError is raised."""
        self._sources, self._record, self._vocabulary = sources, record, vocabulary
        self._encoder = Encoder(tokenizer, record.special_tokens)
        self._position = start or TextPosition()
        self._pieces: deque[_Piece] = deque()
        self._available = 0
        self._stream = self._laid_out()
        self._empty, self._documents = self._position.empty, 0
        self.ended_by: str | None = None

    @property
    def empty(self) -> int:
        """Documents without any token among the first `documents`."""
        return self._empty

    @property
    def documents(self) -> int:
        """Documents up to the last one that contexts were filled from, or all at the text's end."""
        return self._documents

    @property
    def position(self) -> TextPosition:
        """Where the stream stands after the contexts taken so far."""
        return self._position

    def take(self, contexts: int) -> Contexts:
        """The next contexts; fewer than asked only at the text's end.

        Tokens that no longer fill a context at the end are left out.
        """
        size = self._record.context_size
        fresh = self._fresh
        while self._available < contexts * fresh and (piece := next(self._stream, None)):
            self._pieces.append(piece)
            self._available += len(piece.tokens)
        taken = min(contexts, self._available // fresh)
        tokens = np.empty((taken, size), np.int32)
        documents = np.empty((taken, size), np.int32)
        new_tokens, new_documents = self._consume(taken * fresh)
        tokens[:, size - fresh :] = new_tokens.reshape(taken, fresh)
        documents[:, size - fresh :] = new_documents.reshape(taken, fresh)
        if self._record.bos_id is not None:
            tokens[:, 0] = self._record.bos_id
            documents[:, 0] = documents[:, 1]
        return Contexts(tokens, documents)

    @property
    def _fresh(self) -> int:
        """Positions of a context that are not its beginning-of-text token."""
        return self._record.context_size - (self._record.bos_id is not None)

    def _consume(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        tokens = np.empty(count, np.int32)
        documents = np.empty(count, np.int32)
        self._available -= count
        done = 0
        while done < count:
            piece = self._pieces.popleft()
            head, rest = piece.cut(count - done)
            end = done + len(head.tokens)
            tokens[done:end] = head.tokens
            documents[done:end] = head.document
            if head.padding:
                documents[end - head.padding : end] = PADDING
            if rest is not None:
                self._pieces.appendleft(rest)
            done = end
            if done == count:
                self._position = head.end
        return tokens, documents

    def _laid_out(self) -> "Iterator[_Piece]":
        """Pieces as they are to follow each other in contexts, from the starting position on."""
        start = self._position
        pieces = self._by_turns()
        if self._record.packing == "packed":
            laid_out = self._closed(pieces)
        else:
            laid_out = self._padded(pieces)
        for piece in laid_out:
            if piece.document > start.document or piece.first >= start.token:
                yield piece
            elif (rest := piece.cut(start.token - piece.first)[1]) is not None:
                yield rest

    def _closed(self, pieces: "Iterator[_Piece]") -> "Iterator[_Piece]":
        """Adds the separator to the end of each document that is not empty."""
        separator = self._record.separator_id
        for piece in pieces:
            if piece.last and separator is not None and piece.first + len(piece.tokens) > 0:
                yield replace(piece, tokens=np.append(piece.tokens, np.int32(separator)))
            elif len(piece.tokens):
                yield piece

    def _padded(self, pieces: "Iterator[_Piece]") -> "Iterator[_Piece]":
        """Lays each document out in contexts of its own, the last one filled up."""
        fresh = self._fresh
        for document in _whole_documents(pieces):
            length = len(document.tokens)
            kept = min(length, fresh) if self._record.packing == "truncate" else length
            for first in range(0, kept, fresh):
                tokens = np.full(fresh, self._record.padding_id, np.int32)
                part = document.tokens[first : min(first + fresh, kept)]
                tokens[: len(part)] = part
                yield replace(document, first=first, tokens=tokens, padding=fresh - len(part))

    def _by_turns(self) -> "Iterator[_Piece]":
        """Document after document, each from the dataset that is furthest behind its share."""
        start = self._position
        several = len(self._sources) > 1
        shares = [source.record.share for source in self._sources]
        before = (
            list(start.mixture) if start.mixture else [DatasetPosition() for _ in self._sources]
        )
        if not several:
            before = [DatasetPosition(documents=start.document)]
        streams = [
            self._encoder.encode(source, position.documents)
            for source, position in zip(self._sources, before, strict=True)
        ]
        for number in itertools.count(start.document):
            behind = min(range(len(before)), key=lambda i: before[i].tokens / shares[i])
            source, empty = self._sources[behind], self._empty
            length = 0
            for ids, last in streams[behind]:
                tokens = self._checked(ids, source, before[behind].documents)
                mixture = tuple(before) if several else ()
                self._documents = number + 1
                self._empty = empty + (last and length + len(tokens) == 0)
                yield _Piece(number, mixture, empty, length, tokens, last)
                length += len(tokens)
                if last:
                    break
            else:
                self.ended_by = source.record.dataset
                return
            if self._record.packing == "truncate":
                length = min(length, self._fresh)
            before[behind] = DatasetPosition(
                documents=before[behind].documents + 1, tokens=before[behind].tokens + length
            )

    def _checked(self, ids: list[Any] | np.ndarray, source: TextSource, number: int) -> np.ndarray:
        """Token ids as int32, or DataError when they are no ids of this model."""
        while isinstance(ids, list) and ids and all(isinstance(each, list) for each in ids):
            ids = list(itertools.chain.from_iterable(ids))
        if len(ids) == 0:
            return np.empty(0, np.int32)
        try:
            tokens = np.asarray(ids)
        except ValueError:  # lists beside numbers
            tokens = np.empty((0, 0))
        if tokens.ndim == 1 and tokens.dtype.kind in "iu":
            wrong = tokens[(tokens < 0) | (tokens >= self._vocabulary)]
            if len(wrong) == 0:
                return tokens.astype(np.int32)
        elif isinstance(ids, list) and all(type(each) is int for each in ids):
            wrong = [each for each in ids if not 0 <= each < self._vocabulary]  # beyond 64 bits
        else:
            raise DataError(
                f"{source.place(number)} is neither text nor a list of token ids",
                "choose another column with --text-column",
            )
        raise DataError(
            f"{source.place(number)} holds token id {wrong[0]}, but the model has only "
            f"{self._vocabulary} tokens",
            "the dataset, or the model's tokenizer, is of another model",
        )


@dataclass(frozen=True)
class _Piece:
    """Tokens `first` and following of a document; the last `padding` of them fill a context.

    before: where the datasets of a mixture stood before the document. empty: documents without
    tokens before it. last: whether the document ends with this piece.
    """

    document: int
    before: tuple[DatasetPosition, ...]
    empty: int
    first: int
    tokens: np.ndarray  # int32
    last: bool
    padding: int = 0

    @property
    def end(self) -> TextPosition:
        """Where the text stands after this piece."""
        return TextPosition(
            document=self.document,
            token=self.first + len(self.tokens),
            mixture=self.before,
            empty=self.empty,
        )

    def cut(self, count: int) -> "tuple[_Piece, _Piece | None]":
        """The first `count` tokens, and what is left of them if anything is."""
        if count >= len(self.tokens):
            return self, None
        padded = max(0, count - (len(self.tokens) - self.padding))
        head = replace(self, tokens=self.tokens[:count], last=False, padding=padded)
        rest = replace(
            self,
            first=self.first + count,
            tokens=self.tokens[count:],
            padding=self.padding - padded,
        )
        return head, rest


def _whole_documents(pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    parts: list[np.ndarray] = []
    for piece in pieces:
        parts.append(piece.tokens)
        if piece.last:
            yield replace(piece, first=0, tokens=np.concatenate(parts))
            parts = []
