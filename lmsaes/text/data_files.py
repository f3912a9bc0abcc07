"""Which local files a dataset's name means, of what kind they are, and what tells them from others.

data/  ─► data/train-0.jsonl, data/train-1.jsonl (its files of one split)
"""

import glob
import hashlib
import re
from pathlib import Path

from lmsaes.errors import DataError
from lmsaes.text.compressed import COMPRESSED

KINDS = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
"""What a file holds, by the end of its name before that of a compression."""

# kinds that may lie in one folder: their rows are alike
_FAMILIES = {"jsonl": "json", "tsv": "csv"}
# what stands beside data and is none, by the first part of its name
_BESIDE_DATA = {"readme", "license", "licence", "dataset_info", "dataset_infos", "dataset_dict"}
_SHARD = re.compile(r"data/(\w+(?:\.\w+)*)-\d{5}-of-\d{5}.*\..*")


def find_files(dataset: str, split: str) -> list[Path]:
    """The data files of a split that a file's, a folder's or a glob's name means, in their order;
    none for other names.

    A name that is there is no glob. Raises DataError where it means no data, or no such split.
    """
    path = Path(dataset)
    try:
        if path.is_file():
            _check_whole(dataset, split)
            return [path]
        if path.is_dir():
            return _in_folder(path, split)
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise DataError(f"can't read the dataset '{dataset}': {error.strerror}") from None
    if "://" in dataset or not any(mark in dataset for mark in "*?["):
        return []
    found = sorted(Path(p) for p in glob.glob(dataset, recursive=True) if Path(p).is_file())  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not found:
        raise DataError(f"no file matches '{dataset}'")
    _check_whole(dataset, split)
    return found


def kind_of(path: Path) -> str | None:
    """What a file holds, by its name; None for a kind that can't be read."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return KINDS.get(suffixes[-1] if suffixes else "")


def check_kinds(paths: list[Path]) -> None:
    """Raises DataError unless all files are of one kind that can be read."""
    families: dict[str, Path] = {}
    for path in paths:
        kind = kind_of(path)
        if kind is None:
            raise DataError(
                f"'{path}' is of no kind that can be read", "give " + ", ".join(KINDS) + " files"
            )
        families[_FAMILIES.get(kind, kind)] = path
    if len(families) > 1:
        raise DataError(
            "files of several kinds: " + ", ".join(sorted(str(p) for p in families.values())),
            "name those of one kind by a glob, or give each kind a --dataset of its own",
        )


def fingerprint_of_files(paths: list[Path]) -> str:
    """A hash of what tells these files' content from another."""
    if len(paths) == 1:
        return _file_fingerprint(paths[0])
    parts = [f"{path.name} {_file_fingerprint(path)}" for path in paths]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


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


def _check_whole(dataset: str, split: str) -> None:
    if split != "train":
        raise DataError(
            f"'{dataset}' names files, which have no split '{split}'",
            "name that split's own files and leave out --split",
        )


def _in_folder(folder: Path, split: str) -> list[Path]:
    found = sorted(p for p in folder.rglob("*") if p.is_file() and _is_data(p, folder))
    if not found:
        raise DataError(
            f"the folder '{folder}' holds no dataset",
            "give a folder of save_to_disk, or one of " + ", ".join(KINDS) + " files",
        )
    splits = _splits(found, folder)
    if untold := [path for path in found if not any(path in files for files in splits.values())]:
        raise DataError(
            f"names in the folder '{folder}' tell of the splits {', '.join(splits)}, but not that "
            f"of '{untold[0].name}'",
            "name the wanted files by a glob",
        )
    if split not in splits:
        raise DataError(
            f"the folder '{folder}' has no split '{split}'", f"it has: {', '.join(splits)}"
        )
    return splits[split]


def _is_data(path: Path, folder: Path) -> bool:
    """Whether a file in a folder of data is data: not hidden, nor a description."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return (
        not hidden
        and path.name.split(".")[0].lower() not in _BESIDE_DATA
        and kind_of(path) is not None
    )


def _splits(files: list[Path], folder: Path) -> dict[str, list[Path]]:
    """Files by the split that `datasets` takes their names for; all are `train` if none tells.

    It looks for `data/SPLIT-00000-of-00001` first, then for folders' names, then for files'.
    """
    from datasets.data_files import NON_WORDS_CHARS, SPLIT_KEYWORDS

    names = {path: path.relative_to(folder) for path in files}
    sharded: dict[str, list[Path]] = {}
    for path, name in names.items():
        if found := _SHARD.fullmatch(name.as_posix()):
            sharded.setdefault(found[1], []).append(path)
    if sharded:
        return sharded
    by_folder: dict[str, list[Path]] = {}
    by_name: dict[str, list[Path]] = {}
    for split, keywords in SPLIT_KEYWORDS.items():
        keyword = f"(?:.*[{NON_WORDS_CHARS}])?(?:{'|'.join(keywords)})"
        in_folder = re.compile(f"{keyword}(?:[{NON_WORDS_CHARS}].*)?")
        in_name = re.compile(f"{keyword}[{NON_WORDS_CHARS}].*")
        for path, name in names.items():
            if any(map(in_folder.fullmatch, name.parts[:-1])):
                by_folder.setdefault(str(split), []).append(path)
            if in_name.fullmatch(name.name):
                by_name.setdefault(str(split), []).append(path)
    return by_folder or by_name or {"train": files}
