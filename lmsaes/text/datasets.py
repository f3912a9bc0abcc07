"""Where text comes from: datasets of every kind, as documents from any one on.

A dataset is one or more local files, a folder written by `save_to_disk`, or a name on the Hugging
Face hub; several of them make a mixture.
"""

import glob
import hashlib
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import Any, TypeVar, cast

from zstandard import ZstdError

from lmsaes.errors import ConfigError, DataError, first_line
from lmsaes.provenance import DatasetRecord
from lmsaes.text._compat import fingerprint_of

_BUILDERS = {
    ".txt": "text",
    ".jsonl": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
}
# what stands beside data and is none, by the first part of its name
_BESIDE_DATA = {"readme", "license", "licence", "dataset_info", "dataset_infos", "dataset_dict"}
_COMPRESSED = {".gz", ".zst", ".xz", ".bz2"}
# what reading a damaged or missing file or a failing network raises, decompressors included
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zlib.error, LZMAError, ZstdError)

Setting = TypeVar("Setting")

_SHUFFLED_AT_ONCE = 10_000  # documents of a stream, which can't be permuted as a whole


@dataclass(frozen=True)
class TextSource:
    """A dataset's documents from any one on, and what tells this dataset from others.

    `documents(start)` gives strings, or lists of token ids where the column holds those.
    """

    record: DatasetRecord
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
    """Opens a dataset.

    dataset: a local .txt, .jsonl, .json, .csv or .parquet file (also compressed), a glob or a
    folder of such files of one kind, a folder written by `save_to_disk`, or a Hugging Face name.
    Of a folder whose files' names tell their splits (`test-00000.jsonl`) those of `split` are read;
    hidden files, README, LICENSE and dataset descriptions are left out. A name that is there is
    that file or folder, whatever signs it has. A .txt file is one document.

    shuffle: permutes the documents by `seed`; of files and streams, the files and then always
    10 000 documents at once.

    Raises DataError when there is no such dataset, split or column.
    """
    from datasets import IterableDataset

    path = Path(dataset)
    try:
        if path.is_file():
            _check_whole(dataset, split)
            data, fingerprint = _open_files([path]), _file_fingerprint(path)
        elif path.is_dir() and _is_saved(path):
            data, fingerprint = _open_saved(path, split)
        elif files := _files(dataset, split):
            data, fingerprint = _open_files(files), _files_fingerprint(files)
        else:
            data, fingerprint = _open_hub(dataset, config, split, revision, streaming)
    except (*_UNREADABLE, ImportError) as error:
        raise DataError(f"can't read the dataset '{dataset}': {first_line(error)}") from error
    except StopIteration as error:  # what `datasets` lets out of a file without a first row
        raise DataError(f"can't read the dataset '{dataset}': it is empty or cut off") from error
    if shuffle and isinstance(data, IterableDataset):
        data = data.shuffle(seed=seed, buffer_size=_SHUFFLED_AT_ONCE)
    elif shuffle:
        data = data.shuffle(seed=seed)
    name = str(path.resolve()) if path.exists() else dataset
    record = DatasetRecord(
        dataset=name,
        config=config,
        split=split,
        revision=revision,
        text_column=column,
        fingerprint=fingerprint,
    )
    return TextSource(record, lambda start: _documents(data, name, column, start))


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


def _files(dataset: str, split: str) -> list[Path]:
    """A folder's data files of a split, or those a glob names, in order; none for other names."""
    if Path(dataset).is_dir():
        folder = Path(dataset)
        found = sorted(p for p in folder.rglob("*") if p.is_file() and _is_data(p, folder))
        if not found:
            raise DataError(
                f"the folder '{dataset}' holds no dataset",
                "give a folder of save_to_disk, or one of " + ", ".join(_BUILDERS) + " files",
            )
        return _of_split(found, folder, split)
    if not any(mark in dataset for mark in "*?["):
        return []
    found = sorted(Path(p) for p in glob.glob(dataset, recursive=True) if Path(p).is_file())  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not found:
        raise DataError(f"no file matches '{dataset}'")
    _check_whole(dataset, split)
    return found


def _check_whole(dataset: str, split: str) -> None:
    if split != "train":
        raise DataError(
            f"'{dataset}' names files, which have no split '{split}'",
            "name that split's own files and leave out --split",
        )


def _of_split(files: list[Path], folder: Path, split: str) -> list[Path]:
    """Those files of a folder whose names `datasets` takes for `split`; all, if none names one."""
    from datasets.data_files import DataFilesList, get_data_patterns

    base = glob.escape(str(folder.resolve()))
    splits: dict[str, list[Path]] = {}
    for name, patterns in get_data_patterns(base).items():
        named = {Path(path) for path in DataFilesList.from_patterns(patterns, base_path=base)}
        splits[str(name)] = [path for path in files if path.resolve() in named]
    if untold := [path for path in files if not any(path in found for found in splits.values())]:
        raise DataError(
            f"names in the folder '{folder}' tell of the splits {', '.join(splits)}, but not that "
            f"of '{untold[0].name}'",
            "name the wanted files by a glob",
        )
    if not splits.get(split):
        has = ", ".join(name for name, found in splits.items() if found)
        raise DataError(f"the folder '{folder}' has no split '{split}'", f"it has: {has}")
    return splits[split]


def _is_data(path: Path, folder: Path) -> bool:
    """Whether a file in a folder of data is data: not hidden, nor a description."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return (
        not hidden and path.name.split(".")[0].lower() not in _BESIDE_DATA and bool(_builder(path))
    )


def _builder(path: Path) -> str | None:
    """What `datasets` calls the file's kind; None for a kind that can't be read."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return _BUILDERS.get(suffixes[-1] if suffixes else "")


def _open_files(paths: list[Path]) -> Any:
    from datasets import load_dataset

    kinds: dict[str, Path] = {}
    for path in paths:
        if (kind := _builder(path)) is None:
            raise DataError(
                f"'{path}' is of no kind that can be read",
                "give " + ", ".join(_BUILDERS) + " files",
            )
        kinds[kind] = path
    if len(kinds) > 1:
        raise DataError(
            "files of several kinds: " + ", ".join(sorted(str(p) for p in kinds.values())),
            "name those of one kind by a glob, or give each kind a --dataset of its own",
        )
    builder = next(iter(kinds))
    options: dict[str, Any] = {"sample_by": "document"} if builder == "text" else {}
    # streaming reads the files themselves, where a download would copy them into a cache first
    return load_dataset(
        builder,
        # escaped, because `datasets` takes names for globs
        data_files=[glob.escape(str(path.resolve())) for path in paths],
        split="train",
        streaming=True,
        **options,
    )


def _is_saved(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("state.json", "dataset_dict.json"))


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

    if name.startswith(("/", "./", "../", "~")) or Path(name).suffix in {
        *_BUILDERS,
        *_COMPRESSED,
    }:
        raise DataError(f"there is no file or folder '{name}'")
    try:
        data = load_dataset(name, config, split=split, revision=revision, streaming=streaming)
    except _UNREADABLE as error:
        raise DataError(
            f"can't load the dataset '{name}': it is neither a local file or folder nor to be had "
            f"from the Hugging Face hub ({first_line(error)})",
            "check the name, the split and the network",
        ) from error
    return data, fingerprint_of(data) or revision or "stream"


def _documents(dataset: Any, name: str, column: str, start: int) -> Iterator[str | list[int]]:
    from datasets import Dataset
    from datasets.exceptions import DatasetsError

    columns: list[str] | None = dataset.column_names
    if columns is not None:
        _check_column(column, columns, name)
        dataset = dataset.select_columns([column])
    at_end = isinstance(dataset, Dataset) and start >= len(dataset)
    if at_end:  # which `skip` refuses
        return
    rows = cast("Iterator[dict[str, Any]]", iter(dataset.skip(start) if start else dataset))
    number = start
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except (DatasetsError, *_UNREADABLE) as error:
            raise DataError(
                f"can't read '{name}' after document {number}: {first_line(error)}"
            ) from error
        _check_column(column, row, name)
        value = row[column]
        if not isinstance(value, str | list):
            raise DataError(
                f"column '{column}' of '{name}' holds {type(value).__name__}, not text",
                "choose another with --text-column",
            )
        yield cast("str | list[int]", value)
        number += 1


def _check_column(column: str, columns: Any, name: str) -> None:
    if column not in columns:
        raise DataError(
            f"the dataset '{name}' has no column '{column}'",
            "choose one of these with --text-column: " + ", ".join(columns),
        )


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


def _files_fingerprint(paths: list[Path]) -> str:
    parts = [f"{path.name} {_file_fingerprint(path)}" for path in paths]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
