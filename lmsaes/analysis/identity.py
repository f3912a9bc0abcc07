"""What an analysis is made from, which decides whether the one in the database is current, and
the name that an SAE has there.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmsaes.cache import ActivationCache, shard_file
from lmsaes.database import SAERecord, check_name, is_name
from lmsaes.errors import ConfigError

VERSION = 5
"""Of what an analysis computes: a new one makes old analyses stale."""

_LENGTH = 120


def made_from(
    sae: str, cache: ActivationCache, hooks: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that an analysis depends on.

    sae: its `sae_hash`; hooks: those that it reads, and the one that it gives where that is
    another.
    """
    model, text = cache.manifest.model, cache.manifest.text
    return {
        "version": VERSION,
        "sae": sae,
        "hooks": list(hooks),
        "cache": cache.identity,
        "rows": cache.rows,
        "activations": _rows_hash(cache, hooks),
        "model_config": model.config_hash,
        "model_weights": model.weights_hash,
        "tokenizer": text.tokenizer_hash,
        **settings,
    }


def _rows_hash(cache: ActivationCache, hooks: Sequence[str]) -> str:
    """A short hash of the stored rows, by the digests of their files."""
    specs = [spec for hook in hooks for spec in cache.stored(hook)]
    manifest = cache.manifest
    return _hash(
        [
            shard.files[shard_file(manifest, spec, shard.index)].sha256
            for shard in manifest.shards
            for spec in specs
        ]
    )


def _hash(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def name_saes(
    saes: Mapping[Path, str], records: Mapping[str, SAERecord], name: str | None = None
) -> dict[Path, str]:
    """A name in the database for each SAE folder: one that it has already, or `run:sae`.

    Where that is another SAE's, as when two runs of one name lie in different places, the folders
    above are put in front. What can't stand in an address is written otherwise.

    saes: each folder's `sae_hash`; records: what is in the database, by name; name: what a single
    SAE is to be called. Raises ConfigError where `name` is another SAE's.
    """

    if name is not None:
        check_name(name)
        folder, there = next(iter(saes)), records.get(name)
        if there is not None and not _is_of(there, folder, saes[folder]):
            raise ConfigError(
                f"'{name}' is in the database as another SAE's name ({there.sae_path})",
                "choose another with --name",
            )
        return {folder: name}
    names: dict[Path, str] = {}
    for folder, sae in saes.items():  # those that have a name keep it, whichever comes first
        its_own = (
            each
            for each in _candidates(folder)
            if each in records and _is_of(records[each], folder, sae)
        )
        if (found := next(its_own, None)) is not None and found not in names.values():
            names[folder] = found
    for folder in saes:
        if folder not in names:
            taken = {*records, *names.values()}
            names[folder] = next(each for each in _candidates(folder) if each not in taken)
    return {folder: names[folder] for folder in saes}


def _is_of(record: SAERecord, folder: Path, sae: str) -> bool:
    return record.sae_hash == sae or Path(record.sae_path) == folder


def plain_name(folder: Path) -> str:
    """What an SAE folder is called where nothing is in the way: `run:sae`."""
    return f"{folder.parent.name}:{folder.name}"


def _candidates(folder: Path) -> Iterator[str]:
    """Names for an SAE folder, the plainest first; the last is its alone."""
    above = [each.name for each in folder.parents if each.name]
    for count in range(1, max(len(above), 1) + 1):
        yield _usable([*reversed(above[:count]), folder.name])
    yield _with_digest(_usable([*reversed(above[:1]), folder.name]), str(folder))


def _usable(parts: Sequence[str]) -> str:
    """Folders' names as one that fits an address: `above.run:sae`, as it is where that fits."""
    name = f"{'.'.join(parts[:-1])}:{parts[-1]}"
    if is_name(name):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._:-]+", "-", plain)
    plain = re.sub(r"^[^A-Za-z0-9]+", "", plain).rstrip(":-") or "sae"
    return plain if len(plain) <= _LENGTH else _with_digest(plain, name)


def _with_digest(name: str, text: str) -> str:
    """A name's beginning, and what tells it from those of other texts."""
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{name[: _LENGTH - len(digest) - 1]}-{digest}"
