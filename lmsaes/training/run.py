"""Stage two: one read of the cache, many SAEs.

cache ──► loader ──► batch ──► normalized once ──┬──► SAE 1: step
                                                 ├──► SAE 2: step
                                                 └──► …
"""

import json
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmsaes.cache import ActivationCache
from lmsaes.configuration import takes, write_config
from lmsaes.errors import ConfigError
from lmsaes.loader import ShuffledLoader
from lmsaes.parallel import resolve_device
from lmsaes.progress import progress
from lmsaes.sae import NormalizationKind, Provenance, SAEConfig
from lmsaes.training.allocator import keep_freed_memory
from lmsaes.training.checkpoint import load_checkpoint, remove_checkpoints, save_checkpoint
from lmsaes.training.config import TRAIN_CONFIG, TrainConfig
from lmsaes.training.initialization import new_sae, sample_rows
from lmsaes.training.interrupts import interruptible
from lmsaes.training.normalization import FROM_ROWS, Normalization
from lmsaes.training.parallel_steps import ParallelSteps
from lmsaes.training.resources import check_memory, check_shuffle, memory_needed
from lmsaes.training.run_folder import (
    LOCK_FILE,
    TrainedSAE,
    check_folder,
    finished,
    forget_later_metrics,
    lock_run,
    remove_run,
)
from lmsaes.training.schedules import DEAD_WINDOW
from lmsaes.training.settings import RUN_FILE, RunSettings
from lmsaes.training.trainer import SAETrainer
from lmsaes.training.wandb_log import WandbLog
from lmsaes.units import format_bytes, format_count

_log = logging.getLogger("lmsaes")


@takes(TrainConfig, "sae")
def train(
    cache: ActivationCache | str | Path,
    configs: SAEConfig | Sequence[SAEConfig],
    *,
    out: str | Path,
    overwrite: bool = False,
    **settings: Any,
) -> list[TrainedSAE]:
    """Trains every configured SAE on the same batches of a cache: `lmsaes train`.

    The settings are those of `TrainConfig`, listed below; counts and sizes may be texts such as
    "200M" and "4GiB". `train.toml` in the run's folder keeps them.

    Called again with the same arguments it continues an unfinished run, and returns a finished
    one's results; `shuffle_buffer` may then be another one, if it holds the run's pool.

    On a CPU it changes one thing of its process for good: the C library keeps freed memory
    (`keep_freed_memory`). While it runs, the run's folder is locked.

    Raises ConfigError for arguments that can't work or differ from those of the run in `out`,
    CacheError for a cache that can't be read, and KeyboardInterrupt, with the state saved, after
    SIGINT or SIGTERM.

    cache: an opened cache, its folder or URL
    configs: the SAEs; those that name no hook read `hook`
    out: folder of the run
    overwrite: replace the run that is there
    """
    if not isinstance(cache, ActivationCache):
        cache = ActivationCache.open(cache)
    tables = (configs,) if isinstance(configs, SAEConfig) else tuple(configs)
    config = TrainConfig.of({"cache": str(cache.path), "out": out, "sae": tables, **settings})
    saes = tuple(_with_hook(sae, config.hook, cache) for sae in config.saes)
    _check_names(saes)
    run = Path(config.out)
    asked: dict[str, Any] = {
        "cache_identity": cache.identity,
        "cache_rows": cache.rows,
        "contexts": config.contexts_of(cache.contexts),
        "tokens": config.tokens,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "drop_special": config.drop_special,
        "skip_positions": config.skip_positions,
        "max_norm": config.max_norm,
        "log_every": config.log_every,
        "saes": [sae.model_dump() for sae in saes],
    }
    check_folder(run, asked, overwrite)
    results = None if overwrite else finished(run, saes)
    if results is not None:
        _log.info("%s is finished: nothing to do", run)
        return results
    with lock_run(run):
        begun = check_folder(run, asked, overwrite)  # another process may have been here meanwhile
        if not overwrite and (results := finished(run, saes)) is not None:
            return results
        loader = ShuffledLoader(
            cache,
            hooks=list(dict.fromkeys(h for sae in saes for h in (*sae.inputs, *sae.outputs))),
            batch_size=config.batch_size,
            memory=config.shuffle_buffer,
            seed=config.seed,
            device=resolve_device(config.device),
            pool_device=config.pool_device,
            drop_special=config.drop_special,
            skip_positions=config.skip_positions,
            max_norm=config.max_norm,
            contexts=asked["contexts"],
            pool_rows=None if begun is None else begun.pool_rows,
        )
        with closing(loader):
            if begun is None and not config.allow_poor_shuffle:
                check_shuffle(loader)
            run_settings = RunSettings.model_validate(asked | {"pool_rows": loader.pool_rows})
            work = _Run(
                cache, saes, run_settings, run, loader, config.checkpoint_every, config.wandb
            )
            if overwrite:
                remove_run(run)
            run_settings.write(run)
            if begun is None:
                write_config(run / TRAIN_CONFIG, config)
            return work.train()


class _Run:
    def __init__(
        self,
        cache: ActivationCache,
        saes: Sequence[SAEConfig],
        settings: RunSettings,
        folder: Path,
        loader: ShuffledLoader,
        checkpoint_every: int,
        wandb: str | None,
    ) -> None:
        self.cache, self.settings, self.folder = cache, settings, folder
        self.loader, self.checkpoint_every = loader, checkpoint_every
        self.hooks, self.device = loader.hooks, loader.device
        if self.device.type == "cpu":
            keep_freed_memory()
        pool = loader.memory_for(loader.pool_rows)
        self.memory = memory_needed(cache, saes, settings.batch_size, pool)
        check_memory(self.memory, loader.host_memory, self.device)
        self.steps = _steps(settings.tokens, self.loader.rows, len(self.loader), settings)
        self.loader.last_epoch = (self.steps - 1) // len(self.loader)
        self.tokens = 0
        self.done = 0
        self.normalizations: dict[tuple[tuple[str, ...], str, float, int], Normalization] = {}
        self.trainers = [self._trainer(config) for config in saes]
        self.wandb = None if wandb is None else WandbLog(wandb, folder, saes)

    def _trainer(self, config: SAEConfig) -> SAETrainer:
        inputs = self._normalization(config.inputs, config.normalize, config)
        outputs = self._normalization(config.outputs, config.target_normalize, config)
        rows_in = rows_out = None
        if config.init == "active" or config.center == "geometric_median":
            rows_in = inputs(self._sample(config.inputs).to(self.device)).cpu()
            rows_out = outputs(self._sample(config.outputs).to(self.device)).cpu()
        sae = new_sae(config, inputs.to("cpu"), outputs.to("cpu"), rows_in, rows_out)
        tokens = self.settings.tokens
        return SAETrainer(sae.to(self.device), self.steps, tokens, inputs, outputs)

    def _normalization(
        self, hooks: tuple[str, ...], kind: NormalizationKind, config: SAEConfig
    ) -> Normalization:
        """The one of these hooks, made once: SAEs that share it share the normalized batches."""
        key = (hooks, kind, config.layer_norm_eps, config.layer_norm_ddof)
        if key not in self.normalizations:
            parts: list[Normalization] = []
            for hook in hooks:
                record = self.cache.hooks[hook]
                statistics = record.valid if self.settings.drop_special else record.statistics
                if statistics is None:
                    raise ConfigError(
                        f"the cache holds no rows of {hook}", "run `lmsaes cache` first"
                    )
                rows = self._sample((hook,)) if kind in FROM_ROWS else None
                parts.append(Normalization.of(statistics, kind, rows, *key[2:]))
            self.normalizations[key] = Normalization.joined(parts).to(self.device)
        return self.normalizations[key]

    def _sample(self, hooks: tuple[str, ...]) -> Tensor:
        settings = self.settings
        return sample_rows(self.cache, hooks, settings.drop_special, settings.contexts)

    def train(self) -> list[TrainedSAE]:
        with (
            interruptible() as interrupted,
            ParallelSteps(self.trainers, self.device) as parallel_steps,
        ):
            self._restore()
            self._announce()
            total = self.steps * self.settings.batch_size
            done = self.done * self.settings.batch_size
            with progress("train", total, "tokens", done=done) as bar:
                for batch in self._batches():
                    rows = self._step(batch, parallel_steps)
                    note = self._report() if self._is_time(self.settings.log_every) else None
                    bar.advance(rows, note)
                    if interrupted.is_set():
                        self._save_state()
                        _log.info("stopped at step %d of %d; state saved", self.done, self.steps)
                        raise KeyboardInterrupt
                    if self.done < self.steps and self._is_time(self.checkpoint_every):
                        self._save_state()
        if self.wandb is not None:
            self.wandb.close()
        stats = self.loader.stats
        _log.info(
            "loader: %.2f GB/s, waited for %.0f %% of the time; %s read in %d fills of the pool",
            stats.gigabytes_per_second,
            100 * stats.share_waited,
            format_bytes(stats.bytes_read),
            stats.fills,
        )
        return self._finish()

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        while self.done < self.steps:
            for batch in self.loader:
                yield batch if isinstance(batch, dict) else {self.hooks[0]: batch}
                if self.done >= self.steps:
                    return

    def _step(self, batch: dict[str, Tensor], parallel_steps: ParallelSteps) -> int:
        normalized: dict[Normalization, Tensor] = {}

        def rows_of(hooks: tuple[str, ...], normalize: Normalization) -> Tensor:
            if normalize not in normalized:
                parts = [batch[hook] for hook in hooks]
                normalized[normalize] = normalize(
                    parts[0] if len(parts) == 1 else torch.cat(parts, 1)
                )
            return normalized[normalize]

        parallel_steps.step(
            [
                (
                    rows_of(trainer.sae.config.inputs, trainer.inputs),
                    rows_of(trainer.sae.config.outputs, trainer.outputs),
                )
                for trainer in self.trainers
            ]
        )
        self.done += 1
        rows = batch[self.hooks[0]].shape[0]
        self.tokens += rows
        return rows

    def _is_time(self, every: int) -> bool:
        return self.done % every == 0 or self.done == self.steps

    def _report(self) -> str:
        notes: list[str] = []
        for trainer in self.trainers:
            lr = trainer.lr_at(self.done - 1)
            averages, dead = trainer.report()
            record = {
                "step": self.done,
                "tokens": self.tokens,
                **asdict(averages),
                "explained_variance": 1 - averages.fvu,
                "dead_fraction": dead,
                "lr": lr,
            }
            with self._metrics_file(trainer).open("a") as file:
                file.write(json.dumps(record) + "\n")
            if self.wandb is not None:
                self.wandb.write(trainer.sae.config.name, record)
            notes.append(
                f"{trainer.sae.config.name}: FVU {averages.fvu:.3f} L0 {averages.l0:.1f}"
                f" dead {100 * dead:.0f} %"
            )
        return " · ".join(notes) if len(notes) <= 2 else f"{notes[0]} · and {len(notes) - 1} more"

    def _metrics_file(self, trainer: SAETrainer) -> Path:
        folder = self.folder / trainer.sae.config.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "metrics.jsonl"

    # ── stopping and going on ────────────────────────────────────────────────────────────────

    def _save_state(self) -> None:
        tensors = {
            f"{trainer.sae.config.name}/{key}": value
            for trainer in self.trainers
            for key, value in trainer.state_tensors().items()
        }
        state = {"tokens": self.tokens, "loader": self.loader.state_dict()}
        save_checkpoint(self.folder, self.done, tensors, state)

    def _restore(self) -> None:
        checkpoint = load_checkpoint(self.folder)
        if checkpoint is not None:
            self.done, tensors, state = checkpoint
            self.tokens = state["tokens"]
            self.loader.load_state_dict(state["loader"])
            for trainer in self.trainers:
                prefix = trainer.sae.config.name + "/"
                mine = {
                    k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)
                }
                trainer.load_state(mine, self.done)
        for trainer in self.trainers:
            forget_later_metrics(self._metrics_file(trainer), self.done)

    def _finish(self) -> list[TrainedSAE]:
        results: list[TrainedSAE] = []
        for trainer in self.trainers:
            config = trainer.sae.config
            metrics = trainer.final_metrics()
            sae = trainer.finished_sae()
            sae.provenance = Provenance(
                hooks=config.inputs,
                target=config.target,
                cache=str(self.cache.path),
                cache_identity=self.cache.identity,
                model=self.cache.manifest.model.name,
                dataset=self.cache.manifest.text.dataset,
                context_size=self.cache.context_size,
                contexts=self.settings.contexts or self.cache.contexts,
                tokens=self.tokens,
                steps=self.steps,
                batch_size=self.settings.batch_size,
                shuffle_buffer=self.loader.memory_for(self.loader.pool_rows),
                seed=self.settings.seed,
                lr=trainer.lr,
                warmup=trainer.warmup,
                dead_window=trainer.dead_window,
                metrics=metrics,
            )
            path = self.folder / config.name
            sae.save(path)
            results.append(TrainedSAE(config.name, path, metrics))
        remove_checkpoints(self.folder)
        return results

    # ── the log before it starts ─────────────────────────────────────────────────────────────

    def _announce(self) -> None:
        rows = self.loader.rows
        _log.info(
            "training %d SAE%s on %s tokens: %d steps of %s, %.3g epochs of %s rows, on %s",
            len(self.trainers),
            "" if len(self.trainers) == 1 else "s",
            format_count(self.settings.tokens),
            self.steps,
            format_count(self.settings.batch_size),
            self.settings.tokens / rows,
            format_count(rows),
            self.device,
        )
        for trainer in self.trainers:
            parameters = sum(p.numel() for p in trainer.sae.parameters())
            _log.info(
                "%s: %d features on %s, %s parameters, lr %.2g, warm-up %d steps",
                trainer.sae.config.name,
                trainer.sae.features,
                " + ".join(trainer.sae.config.inputs),
                format_count(parameters),
                trainer.lr,
                trainer.warmup,
            )
        shortened = {
            t.dead_window
            for t in self.trainers
            if t.dead_window < DEAD_WINDOW and not t.sae.config.dead_window
        }
        for tokens in shortened:
            _log.info(
                "short run: a feature counts as dead after %s silent tokens, not %s",
                format_count(tokens),
                format_count(DEAD_WINDOW),
            )
        _log.info("memory: %s", format_bytes(self.memory))
        quality = self.loader.shuffle_quality
        _log.info(
            "shuffle: a row meets %.2g rows of its own context in its batch (%.2g if all rows were"
            " permuted); it draws from %s rows, which take %s",
            quality.same_context_rows,
            quality.perfect,
            format_count(self.loader.pool_rows),
            format_bytes(self.loader.memory_for(self.loader.pool_rows)),
        )
        if self.done:
            _log.info("continuing at step %d", self.done)


def _with_hook(config: SAEConfig, hook: str | None, cache: ActivationCache) -> SAEConfig:
    names = list(cache.hooks)
    if not config.hooks and config.hook is None:
        if hook is None and len(names) > 1:
            raise ConfigError("--hook is missing", "one of: " + ", ".join(names))
        config = config.model_copy(update={"hook": hook or names[0]})
    widths = {cache.hooks[cache.check_hook(name)].d_model for name in config.inputs}
    cache.check_hook(config.outputs[0])
    if len(widths) > 1:
        raise ConfigError(
            f"{config.name}: the hooks of a crosscoder have different widths: {sorted(widths)}"
        )
    return config


# Names in a run's folder that no SAE may have.
_TAKEN = ("checkpoints", RUN_FILE, TRAIN_CONFIG, LOCK_FILE, "..")


def _check_names(configs: Sequence[SAEConfig]) -> None:
    if not configs:
        raise ConfigError("there is no SAE to train", "give at least one configuration")
    labels = [config.name for config in configs]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"two SAEs are called '{label}'", "give each its own name")
        if Path(label).name != label or label in _TAKEN:
            raise ConfigError(f"'{label}' can't be a folder's name", "choose another name")


def _steps(tokens: int, rows: int, batches: int, settings: RunSettings) -> int:
    """Steps until `tokens` rows were seen; the last batch of an epoch may be short."""
    if rows == 0:
        raise ConfigError("the cache has no rows to train on", "run `lmsaes cache` first")
    epochs, rest = divmod(tokens, rows)
    steps = epochs * batches + math.ceil(rest / settings.batch_size)
    if steps == 0:
        raise ConfigError("there are no tokens to train on", "give --tokens a number above 0")
    return steps
