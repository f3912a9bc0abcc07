"""The training loop: SAEs that learn side by side from one stream of batches.

batch ──► normalized once ──┬──► SAE 1: step
                            ├──► SAE 2: step      one that diverges leaves; the others go on
                            └──► …
"""

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmsaes.atomic import naming
from lmsaes.loader import StreamLoader
from lmsaes.parallel import interruptible
from lmsaes.progress import progress
from lmsaes.sae import Metrics, Provenance, SAEConfig, Shards, first_not_finite
from lmsaes.training.announcement import announce
from lmsaes.training.checkpoint import Checkpoint, checkpoint_of, save_checkpoint
from lmsaes.training.config import TrainConfig
from lmsaes.training.divergence import Divergence
from lmsaes.training.exchange import Exchange
from lmsaes.training.initialization import new_trainers
from lmsaes.training.kept import forget_later_kept, kept_folder, kept_steps
from lmsaes.training.live import fill
from lmsaes.training.members import DIVERGED, TrainedSAE, set_aside
from lmsaes.training.memory_plan import MemoryPlan
from lmsaes.training.metrics_file import METRICS, forget_later_metrics
from lmsaes.training.normalization import Normalization
from lmsaes.training.parallel_steps import ParallelSteps
from lmsaes.training.settings import RunSettings
from lmsaes.training.source import RowLoader, Source, provenance_of
from lmsaes.training.speed import SPEED, Stopwatch, write_speed
from lmsaes.training.split import Split
from lmsaes.training.tensorboard_log import TensorBoardLog
from lmsaes.training.trainer import SAETrainer
from lmsaes.training.wandb_log import WandbLog
from lmsaes.units import format_bytes

_log = logging.getLogger("lmsaes")


class Sweep:
    """SAEs of a run on their way to its last step, from the first or from a checkpoint."""

    def __init__(
        self,
        source: Source,
        saes: Sequence[SAEConfig],
        settings: RunSettings,
        folder: Path,
        loader: RowLoader,
        steps: int,
        config: TrainConfig,
        split: Split,
    ) -> None:
        self.split = split
        self.source, self.settings, self.folder = source, settings, folder
        self.loader, self.steps, self.checkpoint_every = loader, steps, config.checkpoint_every
        self.hooks, self.device = loader.hooks, loader.device
        self.tokens = self.done = 0
        self.exchange = Exchange(Shards(split.features, split.rows))
        self.trainers = new_trainers(source, saes, settings, steps, self.device, self.exchange)
        self.kept_steps = set(kept_steps(steps, settings.keep, settings.keep_spacing))
        self.set_aside: list[TrainedSAE] = []
        self.stopwatch = Stopwatch(loader.stats, 0)
        self.config = config
        self.logs: list[WandbLog | TensorBoardLog] = []  # beside metrics.jsonl

    def train(self, checkpoint: Checkpoint | None, memory: MemoryPlan) -> list[TrainedSAE]:
        """Trains to the end and saves; what became of each SAE.

        memory: what it will take, to be told. Raises KeyboardInterrupt, with the state saved,
        after SIGINT or SIGTERM.
        """
        with (
            interruptible() as interrupted,
            ParallelSteps(self.trainers, self.device, self.exchange.together) as parallel_steps,
        ):
            self._restore(checkpoint)
            self._open_logs()
            announce(self.trainers, self.source, self.loader, self.settings, self.steps, memory)
            if self.done:
                _log.info("continuing at step %d", self.done)
            if isinstance(self.loader, StreamLoader):
                self._fill_buffer(interrupted)
            self.stopwatch = Stopwatch(self.loader.stats, self.tokens)
            total = self.steps * self.settings.batch_size
            done = self.done * self.settings.batch_size
            shown = self.split.ranks.rank == 0
            with progress("train", total, "tokens", done=done, shown=shown) as bar:
                for batch in self._batches():
                    self.exchange.asked_to_stop = interrupted.is_set()
                    rows = self._step(batch, parallel_steps)
                    stop = self._agreed_to_stop(interrupted)
                    report = self._is_time(self.settings.log_every)
                    save = self.done < self.steps and self._is_time(self.checkpoint_every)
                    keep = self.done in self.kept_steps
                    if report or save or stop or keep or any(t.failed for t in self.trainers):
                        self._set_aside_diverged(parallel_steps)
                    if keep:
                        self._keep()
                    bar.advance(rows, self._report() if report else None)
                    if save or stop:
                        self._save_state()
                    if stop:
                        _log.info("stopped at step %d of %d; state saved", self.done, self.steps)
                        self.split.together.wait()  # until the first one has saved it
                        raise KeyboardInterrupt
                if self.done < self.steps and self.trainers:  # stopped while it waited for rows
                    self._save_state()
                    _log.info("stopped at step %d of %d; state saved", self.done, self.steps)
                    raise KeyboardInterrupt
        for log in self.logs:
            log.close()
        stats = self.loader.stats
        _log.info(
            "loader: %.2f GB/s, waited for %.0f %% of the time; %s read in %d fills of the pool",
            stats.gigabytes_per_second,
            100 * stats.share_waited,
            format_bytes(stats.bytes_read),
            stats.fills,
        )
        return [*self._finish(), *self.set_aside]

    def _open_logs(self) -> None:
        saes = [trainer.sae.config for trainer in self.trainers]
        if self.split.lead and self.config.wandb is not None:
            self.logs.append(WandbLog(self.config.wandb, self.folder, saes))
        if self.split.lead and self.config.tensorboard:
            self.logs.append(TensorBoardLog(self.folder, saes, self.done))

    def _agreed_to_stop(self, interrupted: threading.Event) -> bool:
        """Whether this process was asked to, or any of those that take the same steps."""
        if self.exchange.together:
            return self.exchange.agreed_to_stop(self.done)
        return interrupted.is_set()

    def _fill_buffer(self, interrupted: threading.Event) -> None:
        """Before the first step of a running model's rows, which may take minutes."""
        assert isinstance(self.loader, StreamLoader)
        if not self.exchange.together:  # else all have to stop after the same step
            self.loader.asked_to_stop = interrupted.is_set
        fill(self.loader, self.split.ranks.rank == 0)

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        while self.done < self.steps:
            before = self.done
            for batch in self.loader:
                yield batch if isinstance(batch, dict) else {self.hooks[0]: batch}
                if self.done >= self.steps or not self.trainers:
                    return
            if self.done == before:
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

        rows = self.loader.batch_rows
        self.exchange.shards.begin_batch(self.loader.batch_places, rows)
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
        self.tokens += rows
        return rows

    def _is_time(self, every: int) -> bool:
        return self.done % every == 0 or self.done == self.steps

    def _report(self) -> str:
        notes: list[str] = []
        lap = self.stopwatch.lap(self.tokens)
        if self.split.ranks.rank == 0:
            write_speed(self.folder, self.done, self.tokens, lap)
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
                **trainer.figures.read(),
            }
            if self.split.lead:
                path = self._own_folder(trainer) / METRICS
                with naming(path), path.open("a") as file:
                    file.write(json.dumps(record, allow_nan=False) + "\n")
            for log in self.logs:
                log.write(trainer.sae.config.name, record | lap)
            notes.append(
                f"{trainer.sae.config.name}: FVU {averages.fvu:.3f} L0 {averages.l0:.1f}"
                f" dead {100 * dead:.0f} %"
            )
        return " · ".join(notes) if len(notes) <= 2 else f"{notes[0]} · and {len(notes) - 1} more"

    def _own_folder(self, trainer: SAETrainer) -> Path:
        folder = self.folder / trainer.sae.config.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # ── SAEs that diverge ────────────────────────────────────────────────────────────────────

    def _set_aside_diverged(self, parallel_steps: ParallelSteps) -> None:
        """Lets SAEs go of which something is no longer finite; the others go on without them."""
        for trainer in list(self.trainers):
            if (divergence := trainer.divergence()) is not None:
                self._set_aside(trainer, divergence)
                parallel_steps.arrange(self.trainers)

    def _set_aside(self, trainer: SAETrainer, divergence: Divergence) -> None:
        """Keeps the SAE's last finite state: as it is, or of the last checkpoint."""
        name = trainer.sae.config.name
        state, step = trainer.state_tensors(), trainer.done
        if first_not_finite(state) is not None:
            checkpoint = checkpoint_of(self.folder, [trainer.sae.config.model_dump(mode="json")])
            state, step = ({}, 0) if checkpoint is None else (checkpoint.of(name), checkpoint.step)
        kept = divergence.model_copy(update={"kept_step": step if state else None})
        result = TrainedSAE(name, self.folder / DIVERGED / name, None, kept)
        if self.split.lead:
            result = set_aside(self.folder, kept, state or None)
        self.set_aside.append(result)
        self.trainers.remove(trainer)
        if self.split.lead:
            _log.error("%s", kept.message)
        if self.trainers:
            _log.info("the other %d go on", len(self.trainers))

    # ── stopping and going on ────────────────────────────────────────────────────────────────

    def _save_state(self) -> None:
        """One checkpoint of all SAEs, or one of each where other ranks train the run's others."""
        apart = self.split.mode == "saes"
        for trainers in [[each] for each in self.trainers] if apart else [self.trainers]:
            tensors = {
                f"{trainer.sae.config.name}/{key}": value
                for trainer in trainers
                for key, value in trainer.state_tensors().items()
            }
            state: dict[str, Any] = {
                "tokens": self.tokens,
                "loader": self.loader.state_dict(),
                "saes": [trainer.sae.config.model_dump(mode="json") for trainer in trainers],
            }
            name = trainers[0].sae.config.name if apart else None
            if self.split.lead:
                save_checkpoint(self.folder, self.done, tensors, state, name)

    def _restore(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            self.done, self.tokens = checkpoint.step, checkpoint.state["tokens"]
            self.loader.load_state_dict(checkpoint.state["loader"])
            for trainer in self.trainers:
                trainer.load_state(checkpoint.of(trainer.sae.config.name), self.done)
        if self.split.ranks.rank == 0:
            forget_later_metrics(self.folder, self.done, SPEED)
        for trainer in self.trainers if self.split.lead else ():
            forget_later_metrics(self._own_folder(trainer), self.done)
            forget_later_kept(self.folder, trainer.sae.config.name, self.done)

    def _finish(self) -> list[TrainedSAE]:
        results: list[TrainedSAE] = []
        for trainer in list(self.trainers):
            config = trainer.sae.config
            sae = trainer.finished_sae()
            name = first_not_finite(sae.state_dict())
            if self.exchange.anywhere(int(name is not None)):
                name = name or "a weight of another rank"
                what = f"{name} is not finite in the activations' own units"
                found = Divergence(
                    config=config.model_dump(mode="json"),
                    step=self.done,
                    cause="state",
                    what=what,
                    lr=trainer.lr,
                )
                self._set_aside(trainer, found)
                continue
            metrics = trainer.final_metrics()
            path = self.folder / config.name
            if self.split.lead:
                sae.provenance = self._provenance(trainer, metrics)
                sae.save(path)
            results.append(TrainedSAE(config.name, path, metrics))
        return results

    def _keep(self) -> None:
        """Saves every SAE as it is after this step, unless something of it is not finite."""
        for trainer in self.trainers:
            sae, metrics = trainer.finished_sae(), trainer.recent_metrics()
            if self.split.lead and first_not_finite(sae.state_dict()) is None:
                sae.provenance = self._provenance(trainer, metrics)
                sae.save(kept_folder(self.folder, trainer.sae.config.name, self.done))

    def _provenance(self, trainer: SAETrainer, metrics: Metrics) -> Provenance:
        config = trainer.sae.config
        return Provenance(
            hooks=config.inputs,
            target=config.target,
            **provenance_of(self.source, self.loader, self.settings),
            tokens=self.tokens,
            steps=self.done,
            run_steps=self.steps if self.done < self.steps else None,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            lr=trainer.lr,
            warmup=trainer.warmup,
            dead_window=trainer.dead_window,
            metrics=metrics,
            started_from=config.start_from,
            started_from_sha256=self.settings.starts.get(config.name),
        )
