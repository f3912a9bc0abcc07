"""`manifest.json`: what a cache is. Which of its shards are committed stands in `shards.py`.

Strict JSON, read with validation and replaced atomically. docs/cache-format.md is the
specification; where it and this file differ, this file is wrong.
"""

import hashlib
import json
import re
import shlex
from typing import Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lmsaes.atomic import replace_file
from lmsaes.cache.kinds import Compression, StorageDtype, StorageFormat
from lmsaes.cache.location import Location
from lmsaes.cache.shards import ShardRecord, from_format_1, is_inside, listed_shards, read_shards
from lmsaes.errors import CacheError
from lmsaes.provenance import ComputeRecord, ModelRecord, Record, TextRecord

FORMAT_VERSION = 2
MANIFEST = "manifest.json"


class Statistics(Record, allow_inf_nan=False):
    """Running statistics of one hook's rows, in the activations' own units."""

    count: int = Field(ge=0, lt=2**63)
    mean: list[float]
    variance: list[float]
    mean_norm: float
    mean_squared_norm: float
    min: float
    max: float
    left_out: int = Field(default=0, ge=0, lt=2**63)
    """Rows that are not finite, and count in none of these."""


class HookRecord(Record):
    """One hook point: its width, how it is stored, and the statistics of what is committed.

    `statistics` covers every row; `valid` leaves out special tokens and each context's first
    position, as training does by default; both are null until the cache is complete.
    `storage_error` is the share of the valid rows'
    variance that storing them lost. `channels` is the digest of an int8 hook's channels.
    """

    d_model: int = Field(gt=0, lt=2**31)
    heads: int | None = None
    """Attention heads whose vectors follow each other in a row; None where it is one vector."""
    dtype: StorageDtype
    channels: str | None = None
    storage_error: float | None = None
    statistics: Statistics | None = None
    valid: Statistics | None = Field(
        default=None, validation_alias=AliasChoices("valid", "ordinary")
    )

    @model_validator(mode="after")
    def _channels_are_as_many_as_its_width(self) -> Self:
        for found in (self.statistics, self.valid):
            if found and not len(found.mean) == len(found.variance) == self.d_model:
                raise ValueError(f"its statistics are not of {self.d_model} channels")
        return self


class SourceRecord(Record):
    """Consecutive contexts of another cache that were copied into this one."""

    content: str
    """Hash of what that cache held: `Manifest.content`."""
    text: TextRecord
    compute: ComputeRecord
    other_compute: tuple[ComputeRecord, ...] = ()
    """How some of its shards were computed instead."""
    first_context: int = Field(ge=0)
    """In the packed text's own numbering."""
    contexts: int = Field(gt=0)
    dtypes: dict[str, tuple[StorageDtype, ...]]
    """By hook, what it was stored as before: a copy is no more exact than the coarsest."""
    storage_errors: dict[str, float | None]
    """By hook, the share of its variance that storing it before has lost; None: not measured."""


class Manifest(BaseModel):
    """Everything that is known of a cache without opening its shards.

    `documents`: whether the cache keeps the document of each position. `adding`: hooks that are
    being written for contexts that are there already, and can't be read yet. `shard_size`,
    `block_size`: what was asked for in bytes of the widest hook. `shards_sha256`: of the list of
    all shards, once the cache is complete. `shards`: those that can be read, which follow each
    other from context 0 on; they are no part of the file.
    """

    model_config = ConfigDict(extra="forbid")

    format_version: Literal[1, 2] = FORMAT_VERSION
    format: StorageFormat
    compression: Compression = "none"
    model: ModelRecord
    text: TextRecord
    compute: ComputeRecord
    documents: bool = False
    hooks: dict[str, HookRecord]
    adding: dict[str, HookRecord] = Field(default_factory=dict[str, HookRecord])
    shard_size: int | None = None
    block_size: int | None = None
    shard_contexts: int = Field(gt=0, lt=2**63)
    block_contexts: int = Field(gt=0, lt=2**63)
    contexts_requested: int = Field(gt=0, lt=2**63)
    complete: bool = False
    text_exhausted: bool = False
    shards_sha256: str | None = None
    sources: list[SourceRecord] = Field(default_factory=list[SourceRecord])
    versions: dict[str, str] = Field(default_factory=dict[str, str])
    created: str
    shards: list[ShardRecord] = Field(default_factory=list[ShardRecord], exclude=True)

    @property
    def contexts(self) -> int:
        """Contexts that are committed and can be read."""
        return self.shards[-1].stop if self.shards else 0

    @property
    def identity(self) -> str:
        """A short hash of what context c is: equal for equal model, text and packing.

        A copy has its source's, however it is stored, as long as its contexts have the same
        numbers: parts of one text that follow each other are one. Defaults are left out, so that
        a field that is added later changes no older hash.
        """
        runs: list[SourceRecord] = []
        for source in self.sources:
            last = runs[-1] if runs else None
            if last and _follows(last, source):
                contexts = last.contexts + source.contexts
                runs[-1] = last.model_copy(update={"contexts": contexts})
            else:
                runs.append(source)
        if len(runs) > 1 or (runs and runs[0].first_context):
            numbered = {"text", "compute", "first_context", "contexts"}
            return _hash([_json(self.model), *(_json(run, numbered) for run in runs)])
        return _hash([_json(self.model), _json(self.text), _json(self.compute)])

    @property
    def content(self) -> str:
        """A hash of everything that is committed, by the files' digests."""
        return _hash([_json(shard) for shard in self.shards])

    def shard_span(self, index: int) -> tuple[int, int]:
        """First context and number of contexts of shard `index` of the finished cache."""
        first = index * self.shard_contexts
        return first, min(self.shard_contexts, self.contexts_requested - first)

    @property
    def channel_digests(self) -> dict[str, str]:
        """The digest of each int8 hook's channels, once they are fixed."""
        hooks = self.hooks | self.adding
        return {hook: r.channels for hook, r in hooks.items() if r.channels is not None}

    @property
    def hooks_to_write(self) -> dict[str, HookRecord]:
        """The hooks that a writer has to write next: those being added alone, or all."""
        return self.adding or self.hooks

    @property
    def shards_requested(self) -> int:
        return -(-self.contexts_requested // self.shard_contexts)


def _follows(last: SourceRecord, source: SourceRecord) -> bool:
    same = (last.text, last.compute) == (source.text, source.compute)
    return same and last.first_context + last.contexts == source.first_context


def _json(record: BaseModel, fields: set[str] | None = None) -> dict[str, Any]:
    return record.model_dump(mode="json", include=fields, exclude_defaults=True)


def _hash(parts: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read_manifest(folder: Location) -> Manifest:
    """The validated manifest of the cache in `folder`, with the shards that can be read.

    Raises CacheError when there is none, or it is not valid, or of another format version.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CacheError(
            f"'{folder}' is not an activation cache: it has no {MANIFEST}",
            f"make one with: lmsaes cache --out {shlex.quote(str(folder))}",
        ) from None
    except OSError as error:
        raise CacheError(f"can't read {path}: {error.strerror}") from None
    try:
        found: dict[str, Any] = json.loads(content)
        version = found.get("format_version")
    except (ValueError, AttributeError):
        raise CacheError(f"{path} is not valid JSON: the file is damaged") from None
    if version not in (1, FORMAT_VERSION):
        raise CacheError(
            f"{path} is of cache format version {version}; this lmsaes reads 1 and "
            f"{FORMAT_VERSION}",
            "use the lmsaes that wrote it, or a newer one",
        )
    contexts = found.pop("contexts", None)
    if version == 1:
        found["shards"] = from_format_1(found.get("shards"))
    if version == FORMAT_VERSION and "shards" in found:
        raise CacheError(f"{path} is not a valid manifest: shards: a list is of format 1 alone")
    try:
        manifest = Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CacheError(f"{path} is not a valid manifest: {where}: {first['msg']}") from None
    if version == FORMAT_VERSION:
        manifest.shards = _readable_shards(folder, manifest)
    _check_shards(manifest, path)
    # of format 2, a damaged shard is told by what reads it, not here
    expected = manifest.contexts if version == 1 else manifest.contexts_requested
    if contexts not in (None, expected):
        raise CacheError(
            f"{path} is not valid: it should hold {expected} contexts, it says {contexts}"
        )
    return manifest


def _readable_shards(folder: Location, manifest: Manifest) -> list[ShardRecord]:
    """The shards from the first on, as far as they follow each other."""
    found = None
    if manifest.complete and manifest.shards_sha256 is not None:
        found = listed_shards(folder, manifest.shards_sha256)
    if found is None:  # under way; or killed between a new list and its manifest
        found = read_shards(folder)
    readable: list[ShardRecord] = []
    while (record := found.get(len(readable))) is not None:
        readable.append(record)
        if record.contexts != manifest.shard_contexts:
            break  # a short shard is the last
    return readable


def _check_shards(manifest: Manifest, path: Location) -> None:
    """Shards must follow each other by whole shards, and their files lie inside the cache."""
    for hook, record in manifest.hooks.items():
        if manifest.shards and record.dtype == "int8" and record.channels is None:
            raise CacheError(f"{path} is not valid: hook '{hook}' is int8 and has no channels")
    for number, shard in enumerate(manifest.shards):
        short = shard.contexts != manifest.shard_contexts and shard is not manifest.shards[-1]
        if (shard.index, shard.first_context) != (
            number,
            number * manifest.shard_contexts,
        ) or short:
            raise CacheError(f"{path} is not valid: shard {shard.index} starts in the wrong place")
        if not all(map(is_inside, shard.files)):
            raise CacheError(f"{path} is not valid: shard {shard.index} names a file outside it")
    copied = sum(source.contexts for source in manifest.sources)
    if copied > manifest.contexts_requested:
        raise CacheError(
            f"{path} is not valid: its sources hold {copied} contexts, it asks for "
            f"{manifest.contexts_requested}"
        )


def write_manifest(folder: Location, manifest: Manifest) -> None:
    """Replaces the manifest of `folder` in one step that survives a crash at any instant.

    Shards are committed by files of their own (`shards.py`). A complete cache's manifest says how
    many contexts there are, for other readers: ours count the shards.
    """
    fields = json.loads(manifest.model_dump_json())
    if manifest.complete:
        fields["contexts"] = manifest.contexts_requested  # all of them
    content = json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False)
    replace_file(folder / MANIFEST, content.encode())


_HOOK_NAME = re.compile(r"[A-Za-z0-9_.\-]+")


def check_hook_name(name: str) -> None:
    """Raises CacheError unless `name` is safe as a folder's name."""
    if not _HOOK_NAME.fullmatch(name) or name.startswith("."):
        raise CacheError(f"'{name}' can't be a hook's name in a cache")
