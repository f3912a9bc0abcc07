"""Training steps of every kind of SAE, by one process or by the ranks of `run_ranks`."""

from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from lmsaes.parallel import Collectives, OneRank, join_ranks
from lmsaes.sae import CONFIGS, SAE, SAEConfig, Shards
from lmsaes.training import Normalization, SAETrainer
from lmsaes.training.exchange import Exchange
from lmsaes.training.feature_shards import whole_state

Mode = Literal["features", "rows"]
D, D_OUT, FEATURES, ROWS, STEPS = 12, 8, 40, 50, 20
# Shares of a batch's rows; in the last step the last rank has none.
SHARES = {1: [50], 2: [34, 16], 3: [29, 15, 6]}

_DEAD = {"aux_weight": 0.1, "aux_after": 2 * ROWS}
CASES: dict[str, dict[str, object]] = {
    "topk": {"architecture": "topk", "k": 4},
    "topk-skip": {"architecture": "topk", "k": 4, "hook": "a", "target": "b", "skip": True},
    "topk-wide-k": {"architecture": "topk", "k": 17, "aux_k": 2},
    "topk-resampled": {"architecture": "topk", "k": 4, "resample": (0.25,), "dead_window": 100},
    "topk-averaged": {"architecture": "topk", "k": 4, "ema": 0.9, "freeze": ("bias",)},
    "relu-fine-tuned": {"architecture": "relu", "fine_tune": "shrinkage", "start_from": "x"},
    "hierarchical": {"architecture": "hierarchical", "k": 5},
    "batchtopk": {"architecture": "batchtopk", "k": 4},
    "matryoshka": {"architecture": "matryoshka", "k": 4},
    "relu": {"architecture": "relu"},
    "relu-ghost": {"architecture": "relu", "decoder": "unit", "ghost_weight": 0.5},
    "p_annealing": {"architecture": "p_annealing", "anneal_from": 0.0, "p_start": 0.9},
    "gated": {"architecture": "gated", "gradient": "clip"},
    "jumprelu": {"architecture": "jumprelu", "l0": 5, "threshold": 0.3, "frequency_weight": 0.1},
    "jumprelu-l0": {"architecture": "jumprelu", "l0": 5, "threshold": 0.3, "sparsity": "l0"},
    "jumprelu-tanh": {"architecture": "jumprelu", "threshold": 0.3, "sparsity": "tanh"},
}


def config_of(case: str) -> SAEConfig:
    settings = {"features": FEATURES, "lr": 1e-3, "l1_warmup": 0.0, **_DEAD, **CASES[case]}
    kind = CONFIGS[str(settings["architecture"])]
    return kind.model_validate({k: v for k, v in settings.items() if k in kind.model_fields})


def batches(config: SAEConfig) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    directions = torch.nn.functional.normalize(torch.randn(30, D, generator=generator), dim=1)
    out = torch.randn(D, D_OUT, generator=generator)
    found: list[tuple[Tensor, Tensor]] = []
    for _ in range(STEPS):
        fires = torch.rand(ROWS, 30, generator=generator) < 0.1
        x = 3 * fires * torch.rand(ROWS, 30, generator=generator) @ directions
        found.append((x, (x @ out).relu() if config.target else x))
    return found


class Steps:
    """A trainer of one case, whose batches are shared out as the mode says."""

    def __init__(self, case: str, mode: Mode, ranks: Collectives, dead: bool) -> None:
        self.config, self.mode, self.ranks = config_of(case), mode, ranks
        self.shards = Shards(**{mode: ranks})
        d_out = D_OUT if self.config.target else D
        sae = SAE.create(self.config, D, d_out)
        with torch.no_grad():  # where a transcoder and a bias of zeros would show nothing
            sae.W_dec.add_(0.1 * torch.randn(FEATURES, d_out, generator=_generator()))
            sae.b_enc.add_(0.1 * torch.randn(FEATURES, generator=_generator()))
        sae.keep_shard(self.shards)
        units = [Normalization(torch.zeros(d), torch.ones(d), float(d)) for d in (D, d_out)]
        self.trainer = SAETrainer(sae, STEPS, STEPS * ROWS, *units, Exchange(self.shards))
        if dead:  # every third feature has long been silent
            ids = torch.arange(self.shards.features.rank, FEATURES, self.shards.features.size)
            self.trainer.silent_for[ids % 3 == 0] = 10 * ROWS
            self.trainer._look_for_silent()
        self.batches = batches(self.config)

    def take(self, first: int, last: int) -> Tensor:
        """The losses of steps first to last."""
        losses: list[Tensor] = []
        for step, batch in enumerate(self.batches[first:last], first):
            places = self._places(last_step=step == STEPS - 1)
            self.shards.begin_batch(places, ROWS)
            losses.append(self.trainer.step(*(rows[places] for rows in batch)).loss)
        return torch.stack(losses)

    def _places(self, last_step: bool) -> Tensor:
        """Which rows of the batch are here: dealt out like a loader's, unevenly."""
        if self.mode == "features":
            return torch.arange(ROWS)
        sizes = list(SHARES[self.ranks.size])
        if last_step and len(sizes) > 1:
            sizes[0], sizes[-1] = sizes[0] + sizes[-1], 0
        mixed = torch.randperm(ROWS, generator=_generator())
        start = sum(sizes[: self.ranks.rank])
        return mixed[start : start + sizes[self.ranks.rank]].sort().values

    def gradients(self) -> dict[str, Tensor]:
        found = {f"weights.{n}": p.grad for n, p in self.trainer.sae.named_parameters()}
        whole = whole_state(self.trainer.sae, {k: g for k, g in found.items() if g is not None})
        return {key.removeprefix("weights."): gradient for key, gradient in whole.items()}


def results(case: str, mode: Mode, ranks: Collectives) -> dict[str, Tensor]:
    """Losses and first gradients without and with dead features, and where twenty steps led; of
    some the same once more, and stopped and continued."""
    found: dict[str, Tensor] = {}
    for dead in (False, True):
        steps = Steps(case, mode, ranks, dead)
        losses = [steps.take(0, 1)]
        for name, gradient in steps.gradients().items():
            found[f"gradient-{dead}.{name}"] = gradient
        if dead:
            losses.append(steps.take(1, 10))
            state = steps.trainer.state_tensors()
            losses.append(steps.take(10, STEPS))
            found |= {f"end.{k}": v for k, v in steps.trainer.state_tensors().items()}
            found |= {f"middle.{k}": v for k, v in state.items()}
            found["l0"] = torch.tensor(steps.trainer.final_metrics().l0)
        found[f"losses-{dead}"] = torch.cat(losses)
    if case in ("topk", "batchtopk", "gated") and ranks.size > 1:
        again = Steps(case, mode, ranks, dead=True)
        found["losses-again"] = again.take(0, 10)
        going_on = Steps(case, mode, ranks, dead=False)
        middle = _from_first(again.trainer.state_tensors(), ranks)
        going_on.trainer.load_state(middle, 10)
        going_on.take(10, STEPS)
        found |= {f"continued.{k}": v for k, v in going_on.trainer.state_tensors().items()}
    return found


def _from_first(state: dict[str, Tensor], ranks: Collectives) -> dict[str, Tensor]:
    """The first rank's state on all, as if read from the disk."""
    whole: list[object] = [state]
    torch.distributed.broadcast_object_list(whole)
    return whole[0]  # pyright: ignore[reportReturnType]


def save_results(folder: Path) -> None:
    """What each rank does: every case in both modes; the first saves what was found."""
    with join_ranks() as ranks:
        for mode in ("features", "rows"):
            for case in CASES:
                found = results(case, mode, ranks)
                if ranks.rank == 0:
                    file = folder / f"{mode}-{case}.safetensors"
                    save_file({k: v.detach().contiguous().clone() for k, v in found.items()}, file)


def alone(case: str) -> dict[str, Tensor]:
    """What one process finds."""
    return results(case, "rows", OneRank())


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
