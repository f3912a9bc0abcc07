"""Stage two: one read of the cache, many SAEs.

    cache, or a running model ──► loader ──► Sweep (sweep.py) ──► an SAE's folder each

A run's SAEs don't depend on each other: those that are finished stay as they are, and one that
diverged and is asked for with another learning rate is trained alone, from the same first batch.
"""

import logging
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from lmsaes.addresses import expand_home
from lmsaes.cache import ActivationCache
from lmsaes.capture import LiveRows
from lmsaes.configuration import takes, write_config
from lmsaes.errors import ConfigError
from lmsaes.loader import ShuffledLoader, StreamLoader
from lmsaes.parallel import join_ranks
from lmsaes.sae import SAEConfig, weights_digest
from lmsaes.training.allocator import keep_freed_memory
from lmsaes.training.checkpoint import Checkpoint, checkpoint_of, remove_checkpoints
from lmsaes.training.config import TRAIN_CONFIG, TrainConfig
from lmsaes.training.kept import remove_kept
from lmsaes.training.live import forget_rows, know_rows
from lmsaes.training.members import TrainedSAE, clear_diverged, member, remove_members
from lmsaes.training.memory_plan import MemoryPlan
from lmsaes.training.run_folder import check_folder, lock_run
from lmsaes.training.schedules import steps_for
from lmsaes.training.settings import RunSettings
from lmsaes.training.source import (
    RowLoader,
    Source,
    check_shuffle,
    loader_of,
    open_source,
    settings_of,
)
from lmsaes.training.speed import SPEED
from lmsaes.training.split import Split, split_run
from lmsaes.training.sweep import Sweep

_log = logging.getLogger("lmsaes")


@takes(TrainConfig, "sae")
def train(
    cache: ActivationCache | str | Path | None,
    configs: SAEConfig | Sequence[SAEConfig],
    *,
    out: str | Path,
    overwrite: bool = False,
    **settings: Any,
) -> list[TrainedSAE]:
    """Trains every configured SAE on the same batches of a cache: `lmsaes train`.

    With `live`, a mapping with `model` and `dataset` and the other settings of `LiveConfig`, and
    None as the cache, the model runs while they train and nothing of its activations is stored.

    The settings are those of `TrainConfig`, listed below; counts and sizes may be texts such as
    "200M" and "4GiB". `train.toml` in the run's folder keeps them.

    Called again with the same arguments it continues an unfinished run, and returns a finished
    one's results; `shuffle_buffer` may then be another one, if it holds the run's pool.

    On a CPU it changes one thing of its process for good: the C library keeps freed memory
    (`keep_freed_memory`). While it runs, the run's folder is locked.

    Raises ConfigError for arguments that can't work or differ from those of the run in `out`,
    CacheError for a cache that can't be read, and KeyboardInterrupt, with the state saved, after
    SIGINT or SIGTERM.

    cache: an opened cache, its folder or URL; None with `live`
    configs: the SAEs; those that name no hook read `hook`
    out: folder of the run
    overwrite: replace the run that is there
    """
    source, config, saes, asked = prepared(cache, configs, out, settings)
    run = Path(config.out)
    with join_ranks() as ranks:
        begun = check_folder(run, asked, overwrite)
        if begun is not None and begun.saes == saes:
            there = _members(run, saes)
            ranks.wait()  # nobody removes anything before all have looked
            if len(there) == len(saes):
                if ranks.rank == 0:
                    _log.info("%s is finished: nothing to do", run)
                    remove_checkpoints(run)
                return _results(there, saes)
        split = split_run(config, saes, source, ranks)
        with lock_run(run) if ranks.rank == 0 else nullcontext():
            there = _train(source, saes, config, asked, overwrite, split)
            if ranks.size > 1:
                there = _members(run, saes)
                ranks.wait()  # the run stays locked until everybody has read it
        return _results(there, saes)


def _train(
    source: Source,
    saes: tuple[SAEConfig, ...],
    config: TrainConfig,
    asked: dict[str, Any],
    overwrite: bool,
    split: Split,
) -> dict[str, TrainedSAE]:
    """Trains what is missing of the run, or this rank's part of it; what became of that."""
    run, first = Path(config.out), split.ranks.rank == 0
    split.ranks.wait()  # until the first rank has the run's lock
    begun = check_folder(run, asked, overwrite)  # another process may have been here meanwhile
    if split.ranks.size > 1:
        begun = _begin_together(source, saes, config, asked, begun, split)
    there = {} if begun is None else _members(run, split.saes)
    if begun is not None and begun.saes != saes:  # in what diverged
        begun = RunSettings.model_validate(asked | {"pool_rows": begun.pool_rows})
        begun.write(run)
        write_config(run / TRAIN_CONFIG, config)
    stopped = False
    try:
        while waiting := [sae for sae in split.saes if sae.name not in there]:
            asked_of = [sae.model_dump(mode="json") for sae in waiting]
            checkpoint = None if begun is None else checkpoint_of(run, asked_of)
            if checkpoint is not None:
                waiting = _in_checkpoint(checkpoint, waiting)
            split.together.wait()  # what is read next is what all read
            share = split.rows.rank, split.rows.size
            with closing(loader_of(source, waiting, config, begun, *share)) as loader:
                if begun is None and not config.allow_poor_shuffle:
                    check_shuffle(loader)
                memory = memory_plan(
                    source, waiting, config.batch_size, loader, split.features.size
                )
                memory.check()
                steps = steps_for(config.tokens, loader.rows, config.batch_size, len(loader))
                loader.last_epoch = (steps - 1) // len(loader)
                now = RunSettings.model_validate(asked | {"pool_rows": loader.pool_rows})
                if begun is None:
                    _write_new(run, now, config)
                    begun = now
                if isinstance(loader, StreamLoader):
                    assert isinstance(source, LiveRows)
                    know_rows(source, loader, waiting, run, split.lead, first)
                sweep = Sweep(source, waiting, now, run, loader, steps, config, split)
                if first and not (run / TRAIN_CONFIG).is_file():
                    write_config(run / TRAIN_CONFIG, config)
                for sae in waiting if split.lead else ():
                    clear_diverged(run, sae.name)  # with other settings
                there |= {result.name: result for result in sweep.train(checkpoint, memory)}
    except KeyboardInterrupt:
        stopped = True
    if split.ranks.any(stopped):
        raise KeyboardInterrupt
    if first:
        remove_checkpoints(run)
    return there


def _begin_together(
    source: Source,
    saes: tuple[SAEConfig, ...],
    config: TrainConfig,
    asked: dict[str, Any],
    begun: RunSettings | None,
    split: Split,
) -> RunSettings:
    """The run's settings, which the first rank decides on and writes, as one process would."""
    run = Path(config.out)
    if split.ranks.rank == 0 and (begun is None or begun.saes != saes):
        if begun is not None:  # other settings for what diverged
            pool_rows = begun.pool_rows
        else:
            with closing(loader_of(source, saes, config, None)) as loader:
                if not config.allow_poor_shuffle:
                    check_shuffle(loader)
                pool_rows = loader.pool_rows
        now = RunSettings.model_validate(asked | {"pool_rows": pool_rows})
        if begun is None:
            _write_new(run, now, config)
        else:
            now.write(run)
            write_config(run / TRAIN_CONFIG, config)
    split.ranks.wait()
    return RunSettings.read(run)


def _write_new(run: Path, settings: RunSettings, config: TrainConfig) -> None:
    """Begins the run in its folder, where another one may be."""
    remove_checkpoints(run)
    remove_members(run)
    remove_kept(run)
    forget_rows(run)
    (run / SPEED).unlink(missing_ok=True)
    (run / TRAIN_CONFIG).unlink(missing_ok=True)
    settings.write(run)
    write_config(run / TRAIN_CONFIG, config)


def prepared(
    cache: ActivationCache | str | Path | None,
    configs: SAEConfig | Sequence[SAEConfig],
    out: str | Path,
    settings: dict[str, Any],
) -> tuple[Source, TrainConfig, tuple[SAEConfig, ...], dict[str, Any]]:
    """The opened source of rows, the whole configuration, its SAEs with their hooks, and what
    `run.json` keeps of all that, but for the size of the pool. Raises ConfigError for what can't
    work.
    """
    opened = None
    if cache is not None:
        opened = cache if isinstance(cache, ActivationCache) else ActivationCache.open(cache)
    tables = (configs,) if isinstance(configs, SAEConfig) else tuple(configs)
    where = None if opened is None else str(opened.path.resolve())
    config = TrainConfig.of({"cache": where, "out": out, "sae": tables, **settings})
    source = open_source(opened, config)
    if isinstance(source, LiveRows):
        config = config.model_copy(update={"live": source.config})
    saes = tuple(_with_hook(sae, config.hook, source) for sae in config.saes)
    asked: dict[str, Any] = {
        **settings_of(source, config),
        "tokens": config.tokens,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "drop_special": config.drop_special,
        "skip_positions": config.skip_positions,
        "max_norm": config.max_norm,
        "log_every": config.log_every,
        "keep": config.keep,
        "keep_spacing": config.keep_spacing,
        "starts": {
            sae.name: weights_digest(Path(expand_home(sae.start_from)))
            for sae in saes
            if sae.start_from is not None
        },
        "saes": [sae.model_dump() for sae in saes],
    }
    return source, config, saes, asked


def _members(run: Path, saes: Sequence[SAEConfig]) -> dict[str, TrainedSAE]:
    """The SAEs that the run has, by name: finished, or set aside."""
    found = {sae.name: member(run, sae) for sae in saes}
    return {name: result for name, result in found.items() if result is not None}


def _in_checkpoint(checkpoint: Checkpoint, saes: Sequence[SAEConfig]) -> list[SAEConfig]:
    """Those of the SAEs that go on from the checkpoint."""
    begun = checkpoint.state["saes"]
    return [sae for sae in saes if sae.model_dump(mode="json") in begun]


def _results(there: dict[str, TrainedSAE], saes: Sequence[SAEConfig]) -> list[TrainedSAE]:
    """What became of the SAEs, in their order. Raises ConfigError when all of them diverged."""
    results = [there[sae.name] for sae in saes]
    divergences = [result.diverged for result in results if result.diverged is not None]
    if len(divergences) == len(results):
        raise ConfigError("; ".join(each.message for each in divergences), divergences[0].hint)
    return results


def memory_plan(
    source: Source,
    saes: Sequence[SAEConfig],
    batch_size: int,
    loader: RowLoader,
    features: int = 1,
) -> MemoryPlan:
    """What training these SAEs from this loader takes in one process, which has one of so many
    parts of their features, and of the loader's rows its part.
    """
    if loader.device.type == "cpu":
        keep_freed_memory()
    size, hooks = loader.world_size, source.hooks
    pool, on_host = loader.memory_for(loader.pool_rows), loader.host_memory
    if isinstance(loader, ShuffledLoader):  # whose pool ranks share
        width = sum(hooks[hook].d_model for hook in loader.hooks)
        pool, on_host = min(pool // size, 4 * loader.cache.rows * width), on_host // size
    rows = -(-batch_size // size)
    return MemoryPlan.of(hooks, saes, rows, pool, on_host, loader.device, features)


def _with_hook(config: SAEConfig, hook: str | None, source: Source) -> SAEConfig:
    """The SAE with the hook it reads. Raises ConfigError where it doesn't fit the source."""
    names = list(source.hooks)
    if not config.hooks and config.hook is None:
        if hook is None and len(names) > 1:
            raise ConfigError("--hook is missing", "one of: " + ", ".join(names))
        config = config.model_copy(update={"hook": hook or names[0]})
    widths = [source.hooks[source.check_hook(name)].d_model for name in config.inputs]
    source.check_hook(config.outputs[0])
    if len(set(widths)) > 1:
        raise ConfigError(
            f"{config.name}: the hooks of a crosscoder have different widths: {sorted(set(widths))}"
        )
    features, k = config.width(sum(widths)), getattr(config, "k", 1)
    if features < max(k, 1):
        raise ConfigError(
            f"{config.name}: {sum(widths)} dimensions make {features} features, and k is {k}",
            "give more --features, a larger --expansion, or a smaller --k",
        )
    return config
