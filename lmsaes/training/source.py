"""Where a run's rows come from: a cache, or a model that runs while the SAEs train.

cache   ──► ShuffledLoader ──┐
                             ├──► the same loop (sweep.py)
LiveRows ──► StreamLoader  ──┘     live.py: what a cache would know of the rows beforehand
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lmsaes.cache import ActivationCache, bytes_per_value
from lmsaes.capture import LiveRows, LiveStream
from lmsaes.errors import ConfigError
from lmsaes.loader import ENOUGH_BLOCKS, ShuffledLoader, StreamLoader
from lmsaes.parallel import own_device, resolve_device
from lmsaes.sae import SAEConfig
from lmsaes.training.config import TrainConfig
from lmsaes.training.settings import RunSettings

Source = ActivationCache | LiveRows
RowLoader = ShuffledLoader | StreamLoader


def open_source(cache: ActivationCache | None, config: TrainConfig) -> Source:
    """What the configuration names: `cache` where that is open already.

    Raises CacheError for a cache that can't be read, and what `LiveRows` does.
    """
    if config.live is None:
        assert config.cache is not None
        return ActivationCache.open(config.cache) if cache is None else cache
    if config.hook is None and not all(sae.hooks or sae.hook for sae in config.saes):
        raise ConfigError("--hook is missing", "give --hook blocks.8.hook_resid_pre, say")
    return LiveRows(config.live, config.named_hooks, config.tokens)


def settings_of(source: Source, config: TrainConfig) -> dict[str, Any]:
    """What `run.json` keeps of the source."""
    found: dict[str, Any] = {"cache_identity": source.identity}
    if isinstance(source, LiveRows):
        return {**found, "live": source.config.model_dump(mode="json")}
    contexts = config.contexts_of(source.contexts)
    return {**found, "cache_rows": source.rows, "contexts": contexts}


def loader_of(
    source: Source,
    saes: Sequence[SAEConfig],
    config: TrainConfig,
    begun: RunSettings | None,
    rank: int = 0,
    world_size: int = 1,
) -> RowLoader:
    """The batches of these SAEs, from the first on; a rank's share of them."""
    hooks = list(dict.fromkeys(hook for sae in saes for hook in (*sae.inputs, *sae.outputs)))
    device = resolve_device(own_device(config.device))
    pool_device = config.pool_device and resolve_device(config.pool_device)
    pool_rows = None if begun is None else begun.pool_rows
    if isinstance(source, LiveRows):
        return StreamLoader(
            source.stream(hooks, config.drop_special, config.skip_positions),
            config.tokens,
            config.batch_size,
            config.shuffle_buffer,
            config.seed,
            rank,
            world_size,
            device,
            pool_device,
            pool_rows,
        )
    return ShuffledLoader(
        source,
        hooks=hooks,
        batch_size=config.batch_size,
        memory=config.shuffle_buffer,
        seed=config.seed,
        rank=rank,
        world_size=world_size,
        device=device,
        pool_device=pool_device,
        drop_special=config.drop_special,
        skip_positions=config.skip_positions,
        max_norm=config.max_norm,
        drop_not_finite=True,
        contexts=config.contexts_of(source.contexts),
        pool_rows=pool_rows,
    )


def check_shuffle(loader: RowLoader) -> None:
    """Raises ConfigError when the pool is so small that the order of the text would show."""
    if isinstance(loader, StreamLoader):
        loader.check_shuffle()
        return
    if loader.shuffles_well:
        return
    raise ConfigError(
        f"this shuffle memory mixes rows of {loader.pool_blocks:.0f} blocks at a time, and the"
        f" order of the text would show; {ENOUGH_BLOCKS} are enough",
        f"give --shuffle-buffer {loader.memory_to_shuffle_well // 2**20 + 1}MiB, or"
        " --allow-poor-shuffle",
    )


def provenance_of(source: Source, loader: RowLoader, settings: RunSettings) -> Mapping[str, Any]:
    """What an SAE's `Provenance` says of its rows."""
    text = source.manifest.text
    # of the whole run's hooks, so that it is the same however many processes shared the SAEs
    names = {hook for sae in settings.saes for hook in (*sae.inputs, *sae.outputs)}
    records = [source.hooks[name] for name in names]
    row_bytes = sum(record.d_model * bytes_per_value(record.dtype) for record in records)
    found: dict[str, Any] = {
        "cache_identity": source.identity,
        "model": source.manifest.model.name,
        "dataset": text.dataset,
        "context_size": text.context_size,
        "prepend_bos": text.bos,
        "weights": source.manifest.model.weights,
        "shuffle_buffer": loader.pool_rows * row_bytes,
    }
    if isinstance(loader, StreamLoader):
        assert isinstance(loader.stream, LiveStream)
        return {
            **found,
            "contexts": loader.stream.contexts_read(loader.read_from),
            "rows_not_finite": loader.stream.not_finite(loader.read_from),
        }
    assert isinstance(source, ActivationCache)
    return {
        **found,
        "cache": str(source.path.resolve()),
        "contexts": settings.contexts or source.contexts,
        "cache_rows": source.rows,
        "rows": loader.rows,
        "rows_not_finite": loader.rows_not_finite,
    }
