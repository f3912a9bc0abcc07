"""The same cache in another format, dtype, compression, or size of shards and blocks."""

from lmsaes.cache import ActivationCache, Compression, Location, StorageDtype, StorageFormat

from .copy import CopyReport, Run, copy, plan


def convert(
    source: ActivationCache,
    out: Location,
    format: StorageFormat | None = None,
    dtype: StorageDtype | None = None,
    compression: Compression | None = None,
    shard_size: int | str | None = None,
    block_size: int | str | None = None,
) -> CopyReport:
    """Writes `source` to `out`, a folder or an object store; what is None stays as it is.

    shard_size, block_size: bytes of the widest hook, in its new dtype and at two bytes a value.
    Interrupted, the same call goes on. Raises ConfigError or CacheError, as `copy` does.
    """
    runs = [Run(source, 0, source.contexts)]
    wanted = plan(
        runs,
        format=format,
        dtype=dtype,
        compression=compression,
        shard_size=shard_size,
        block_size=block_size,
    )
    return copy(runs, out, wanted)
