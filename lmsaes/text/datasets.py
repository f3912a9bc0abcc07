"""Where text comes from: datasets of every kind, as documents from any one on.

A dataset is one or more local files, a folder written by `save_to_disk`, or a name on the Hugging
Face hub; several of them make a mixture.

    files ──► data_files.py (which) ─► rows.py (what their column holds) ─┐
    saved ──► Arrow tables ───────────────────────────────────────────────┼─► documents
    hub ────► `datasets` ─────────────────────────────────────────────────┘
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from lmsaes.errors import ConfigError, DataError, first_line
from lmsaes.provenance import DatasetRecord
from lmsaes.text._compat import fingerprint_of
from lmsaes.text.columns import column_values
from lmsaes.text.compressed import COMPRESSED, UNREADABLE
from lmsaes.text.data_files import KINDS, check_kinds, find_files, fingerprint_of_files, kind_of
from lmsaes.text.rows import Document, Row, as_document, check_column, missing_column, read_rows

Setting = TypeVar("Setting")

_SHUFFLED_AT_ONCE = 10_000  # documents of files or a stream, which can't be permuted as a whole
_ROWS_AT_ONCE = 256
# what `datasets` calls the kinds of files that it is given by URL
_BUILDERS = {"jsonl": "json", "tsv": "csv"}

_Rows = Callable[[int], Iterator[Row]]


@dataclass(frozen=True)
class TextSource:
    """A dataset's documents from any one on, and what tells this dataset from others.

    `documents(start)` gives text, or lists of token ids where the column holds those; text that is
    null or missing is empty. `find` says where a document, by its number, stands in the dataset.
    """

    record: DatasetRecord
    documents: Callable[[int], Iterator[Document]]
    find: Callable[[int], str] | None = None

    def place(self, number: int) -> str:
        """Where a document, by its number from 0 on, is to be found, for people."""
        if self.find is not None:
            return self.find(number)
        return f"document {number} of '{self.record.dataset}'"


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
    """Opens a dataset.

    dataset: a local .txt, .jsonl, .json, .csv, .tsv, .parquet or .arrow file (also compressed), a
    glob or a folder of such files of one kind, a folder written by `save_to_disk`, or a Hugging
    Face name. Of a folder whose files' names tell their splits (`test-00000.jsonl`) those of
    `split` are read; hidden files, README, LICENSE and dataset descriptions are left out. A name
    that is there is that file or folder, whatever signs it has. A .txt file is one document.

    shuffle: permutes the documents by `seed`; of files and streams, the files and then always
    10 000 documents at once.

    Raises DataError when there is no such dataset, split or column, or not one document.
    """
    path = Path(dataset)
    order = seed if shuffle else None
    try:
        files: list[Path] = []
        if _is_saved(path):
            data, fingerprint = _open_saved(path, split)
            rows = _rows_of(data, dataset, column, order)
        elif files := find_files(dataset, split):
            check_kinds(files)
            check_column(files, column)
            rows, fingerprint = _rows_of_files(files, column, order), fingerprint_of_files(files)
            if shuffle:  # by lmsaes and not by `datasets`, whose orders change with its versions
                fingerprint = _hash(f"{fingerprint} in windows of {_SHUFFLED_AT_ONCE}")
        else:
            data, fingerprint = _open_hub(dataset, config, split, revision, streaming)
            rows = _rows_of(data, dataset, column, order)
        if path.exists() and next(rows(0), None) is None:
            raise DataError(f"the dataset '{dataset}' has not one document")
    except (*UNREADABLE, ImportError) as error:
        raise DataError(f"can't read the dataset '{dataset}': {first_line(error)}") from error
    record = DatasetRecord(
        # a glob too: the cache may be gone on with from another folder
        dataset=str(path.resolve() if path.exists() else path.absolute() if files else dataset),
        config=config,
        split=split,
        revision=revision,
        text_column=column,
        fingerprint=fingerprint,
    )
    return TextSource(
        record,
        lambda start: (row.document for row in rows(start)),
        lambda number: next(rows(number)).place,
    )


def load_mixture(
    datasets: Sequence[str],
    mix: Sequence[float] | None = None,
    split: str | Sequence[str] = "train",
    column: str | Sequence[str] = "text",
    config: str | Sequence[str | None] | None = None,
    revision: str | Sequence[str | None] | None = None,
    streaming: bool = False,
    shuffle: bool = False,
    seed: int = 0,
) -> list[TextSource]:
    """Opens one or several datasets; each one's record has its share of all tokens.

    mix: a positive weight for each; without it the shares are equal. The other settings hold for
    all datasets, or are sequences with one entry for each. Raises ConfigError when their numbers
    don't fit, and what `load_text` raises.
    """
    count = len(datasets)
    if count == 0:
        raise ConfigError("no dataset was given", "add --dataset text.jsonl, say")
    shares = _shares(mix, count)
    splits = _for_each(split, count, "--split")
    columns = _for_each(column, count, "--text-column")
    configs = _for_each(config, count, "--dataset-config")
    revisions = _for_each(revision, count, "--dataset-revision")
    sources: list[TextSource] = []
    for index, share in enumerate(shares):
        source = load_text(
            datasets[index], splits[index], columns[index], configs[index], revisions[index],
            streaming, shuffle, seed,
        )  # fmt: skip
        record = source.record.model_copy(update={"share": share})
        sources.append(TextSource(record, source.documents))
    return sources


def reopen(record: DatasetRecord, shuffle: bool, seed: int) -> TextSource:
    """The dataset that a manifest tells of, as it was opened then.

    Raises DataError when it can't be had, or is not the same any more.
    """
    # what is streamed from a hub has no fingerprint of its own
    streaming = record.fingerprint in ("stream", record.revision)
    source = load_text(
        record.dataset, record.split, record.text_column, record.config, record.revision,
        streaming, shuffle, seed,
    )  # fmt: skip
    if source.record.fingerprint != record.fingerprint:
        raise DataError(f"the dataset '{record.dataset}' has changed")
    return TextSource(record, source.documents)


def _shares(mix: Sequence[float] | None, datasets: int) -> list[float]:
    weights = list(mix) if mix else [1.0] * datasets
    if len(weights) != datasets:
        raise ConfigError(
            f"--mix is given {len(weights)} times for {datasets} datasets",
            "give one --mix for each --dataset, or none for equal shares",
        )
    if not all(0 < weight < math.inf for weight in weights):
        raise ConfigError(
            "the weights of a mixture must be positive: " + ", ".join(f"{w:g}" for w in weights),
            "leave out a dataset that is not wanted",
        )
    return [weight / sum(weights) for weight in weights]


def _for_each(value: Setting | Sequence[Setting], datasets: int, option: str) -> list[Setting]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [cast("Setting", value)] * datasets
    values = list(cast("Sequence[Setting]", value))
    if len(values) == 1:
        return values * datasets
    if len(values) != datasets:
        raise ConfigError(
            f"{option} is given {len(values)} times for {datasets} datasets",
            "give it once for all, or once for each --dataset",
        )
    return values


def _rows_of_files(files: list[Path], column: str, seed: int | None) -> _Rows:
    if seed is None:
        return lambda start: read_rows(files, column, start)
    permuted = [files[i] for i in np.random.default_rng(seed).permutation(len(files))]
    return lambda start: _in_windows(lambda skip: read_rows(permuted, column, skip), seed, start)


def _in_windows(rows: _Rows, seed: int, start: int) -> Iterator[Row]:
    """Rows permuted within windows, each by itself, so that any can be the first that is read."""
    number = start // _SHUFFLED_AT_ONCE
    skip = start % _SHUFFLED_AT_ONCE
    found = rows(number * _SHUFFLED_AT_ONCE)
    while window := list(itertools.islice(found, _SHUFFLED_AT_ONCE)):
        order = np.random.default_rng([seed, number]).permutation(len(window))
        yield from (window[i] for i in order[skip:])
        number, skip = number + 1, 0


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _open_saved(path: Path, split: str) -> tuple[Any, str]:
    from datasets import DatasetDict, load_from_disk

    data: Any = load_from_disk(str(path))
    if isinstance(data, DatasetDict):
        if split not in data:
            raise DataError(
                f"'{path}' has no split '{split}'", "it has: " + ", ".join(map(str, data))
            )
        data = data[split]
    return data, str(fingerprint_of(data))


def _open_hub(
    name: str, config: str | None, split: str, revision: str | None, streaming: bool
) -> tuple[Any, str]:
    from datasets import load_dataset

    if name.startswith(("/", "./", "../", "~")) or (
        "://" not in name and Path(name).suffix in {*KINDS, *COMPRESSED}
    ):
        raise DataError(f"there is no file or folder '{name}'")
    settings: dict[str, Any] = {"split": split, "revision": revision, "streaming": streaming}
    try:
        if (kind := kind_of(Path(name))) is not None:  # a file by its URL
            builder = _BUILDERS.get(kind, kind)
            data = load_dataset(builder, data_files={split: name}, **settings)
        else:
            data = load_dataset(name.removeprefix("hf://datasets/"), config, **settings)
    except UNREADABLE as error:
        raise DataError(
            f"can't load the dataset '{name}': it is neither a local file or folder nor to be had "
            f"from the Hugging Face hub ({first_line(error)})",
            "check the name, the split and the network",
        ) from error
    return data, fingerprint_of(data) or revision or "stream"


def _rows_of(data: Any, name: str, column: str, seed: int | None) -> _Rows:
    """Rows of what `datasets` has opened, in whatever format it was left."""
    from datasets import Dataset

    if data.column_names is not None and column not in data.column_names:
        raise missing_column(column, data.column_names, f"'{name}'")
    if data.column_names is not None:
        data = data.select_columns([column])
    if not isinstance(data, Dataset):
        if seed is not None:
            data = data.shuffle(seed=seed, buffer_size=_SHUFFLED_AT_ONCE)
        return lambda start: _rows_of_stream(data, name, column, start)
    order = np.arange(len(data))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(data))
        data = data.select(order)
    return lambda start: _rows_of_table(data, name, column, order, start)


def _rows_of_table(
    data: Any, name: str, column: str, order: np.ndarray, start: int
) -> Iterator[Row]:
    if start >= len(data):  # which `skip` refuses
        return
    number = start
    for table in data.with_format("arrow").skip(start).iter(_ROWS_AT_ONCE):
        for chunk in table.column(0).chunks:
            for value in column_values(chunk, column, f"'{name}'"):
                row = Row(name, "row", int(order[number]) + 1, "")
                yield row._replace(document=as_document(value, column, row.place))
                number += 1


def _rows_of_stream(data: Any, name: str, column: str, start: int) -> Iterator[Row]:
    from datasets.exceptions import DatasetsError

    rows = cast("Iterator[dict[str, Any]]", iter(data.skip(start) if start else data))
    for number in itertools.count(start + 1):
        row = Row(name, "row", number, "")
        try:
            found = next(rows, None)
        except (DatasetsError, *UNREADABLE) as error:
            raise DataError(f"can't read {row.place}: {first_line(error)}") from error
        if found is None:
            return
        if number == 1 and column not in found:
            raise missing_column(column, found, f"'{name}'")
        yield row._replace(document=as_document(found.get(column), column, row.place))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
