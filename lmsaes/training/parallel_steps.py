"""Optimizer steps of a run's SAEs at the same time, each SAE on its share of the cores."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import torch
from torch import Tensor

from lmsaes.parallel import threads_that_compute
from lmsaes.training.memory_plan import naming_what_needs_memory
from lmsaes.training.trainer import SAETrainer


class ParallelSteps:
    """Trainers that step together: on a CPU each on its share of the cores.

    Two cores do a small step less than twice as fast as one, so two SAEs side by side are done
    before one after the other (docs/notes/experiments.md). Those that are left over when each core
    has its share take all cores, in turn, as on a GPU. So do all where ranks take each step
    together: what they exchange must come in one order.
    """

    def __init__(
        self, trainers: Sequence[SAETrainer], device: torch.device, in_turn: bool = False
    ) -> None:
        self._cores = torch.get_num_threads() if device.type == "cpu" and not in_turn else 1
        self._pool: ThreadPoolExecutor | None = None
        self.arrange(trainers)

    def arrange(self, trainers: Sequence[SAETrainer]) -> None:
        """Steps these from now on: the cores are shared as if there had never been others."""
        self._close()
        cores, workers = self._cores, min(len(trainers), self._cores)
        together = len(trainers) - len(trainers) % workers if workers > 1 else 0
        self._side_by_side, self._in_turn = trainers[:together], trainers[together:]
        if self._side_by_side:
            self._pool = threads_that_compute(workers, cores // workers, "step SAEs")

    def step(self, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
        """One step of every trainer on its own (x, target), in the order they were given."""
        together = len(self._side_by_side)
        if self._pool is not None:
            pairs = zip(self._side_by_side, batches[:together], strict=True)
            for step in [self._pool.submit(_step, trainer, *batch) for trainer, batch in pairs]:
                step.result()
        for trainer, batch in zip(self._in_turn, batches[together:], strict=True):
            _step(trainer, *batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _step(trainer: SAETrainer, x: Tensor, target: Tensor) -> None:
    with naming_what_needs_memory(trainer.sae.config, x.shape[1], target.shape[1], x.shape[0]):
        trainer.step(x, target)
