"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .arrays import (
    array_specs,
    bytes_per_value,
    contexts_per_block,
    hook_specs,
    only_zarr,
    shard_file,
)
from .blocks import Block, BlockFiles, is_resident, map_file
from .commits import (
    CAPTURE_CONFIG,
    committed_shards,
    data_files,
    inside,
    named_files,
    pooled_statistics,
    remove_cache,
    remove_leftovers,
    shard_moments,
)
from .extend import extended_manifest
from .int8 import CHANNELS, Channels, read_channels, write_channels
from .kinds import Compression, StorageDtype, StorageFormat
from .location import (
    LOCK,
    Location,
    Lock,
    check_room,
    file_sizes,
    free_space,
    locate,
    lock_cache,
    sha256,
)
from .manifest import (
    MANIFEST,
    HookRecord,
    Manifest,
    SourceRecord,
    check_hook_name,
    read_manifest,
    write_manifest,
)
from .reader import ActivationCache, check_files, valid_positions
from .readers import hold_for_reading, without_readers
from .shards import (
    SHARD_LIST,
    FileRecord,
    ShardRecord,
    listed_shards,
    read_shards,
    shard_record_file,
)
from .statistics import HookMoments, finite_rows, within_float32
from .writer import CacheWriter

__all__ = [
    "CAPTURE_CONFIG",
    "CHANNELS",
    "LOCK",
    "MANIFEST",
    "SHARD_LIST",
    "ActivationCache",
    "Block",
    "BlockFiles",
    "CacheWriter",
    "Channels",
    "Compression",
    "FileRecord",
    "HookMoments",
    "HookRecord",
    "Location",
    "Lock",
    "Manifest",
    "ShardRecord",
    "SourceRecord",
    "StorageDtype",
    "StorageFormat",
    "array_specs",
    "bytes_per_value",
    "check_files",
    "check_hook_name",
    "check_room",
    "committed_shards",
    "contexts_per_block",
    "data_files",
    "extended_manifest",
    "file_sizes",
    "finite_rows",
    "free_space",
    "hold_for_reading",
    "hook_specs",
    "inside",
    "is_resident",
    "listed_shards",
    "locate",
    "lock_cache",
    "map_file",
    "named_files",
    "only_zarr",
    "pooled_statistics",
    "read_channels",
    "read_manifest",
    "read_shards",
    "remove_cache",
    "remove_leftovers",
    "sha256",
    "shard_file",
    "shard_moments",
    "shard_record_file",
    "valid_positions",
    "within_float32",
    "without_readers",
    "write_channels",
    "write_manifest",
]
