"""A training step of each architecture, in units of its encoder's matrix product.

    python benchmarks/train_step.py                          a table
    python benchmarks/train_step.py --json                   one object (see benchmarks' format)
    python benchmarks/train_step.py --peer-python PATH       the same shapes in SAELens,
                                                             dictionary_learning and sparsify,
                                                             installed in that environment
    python benchmarks/train_step.py --crossover              sparse against dense, by density
    python benchmarks/train_step.py --only topk relu         these alone

With `--cpu-time` the process's CPU time is taken instead of the clock's: on a busy machine, with
OMP_NUM_THREADS=1 (waiting threads would count). On a GPU the TopK step is also timed on the plain
torch path, which our Triton kernels have to beat.

A step is everything that training does with a batch that is at hand: loss, gradients, clipping,
optimizer, decoder norms, counters. Inputs are random; biases and thresholds are set so that about
`--l0` features fire, since the cost of a step depends on how many do and not on which.

Each round times the product and then every step once, so that a machine whose speed drifts drifts
for both; the figures are medians over rounds, the ratios medians of the rounds' ratios.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from _peers import run_there
from _report import row, tell
from torch import Tensor

# Must and aim against one encoder product (docs/notes/experiments.md has the measurements).
GOALS = {
    "topk": (2.0, 1.4),
    "batchtopk": (2.5, 1.7),
    "jumprelu": (2.5, 1.7),
    "relu": (2.5, 1.7),
    "gated": (3.0, 2.0),
    "matryoshka": (3.0, 2.0),
}
# How many times faster than a peer's TopK trainer, must and aim; and than SAELens' other ones.
TOPK_GOALS = {"sparsify": (1.3, 1.6), "dictionary_learning": (3.5, 5.0), "sae_lens": (4.5, 6.0)}
OTHER_GOALS = {"sae_lens": (3.0, 4.5)}


@dataclass(frozen=True)
class Shape:
    d: int
    features: int
    batch: int
    k: int
    l0: int
    device: str
    cpu_time: bool = False
    only: tuple[str, ...] = ()

    def wants(self, architecture: str) -> bool:
        return not self.only or architecture in self.only


def main() -> None:
    arguments = parse()
    shape = Shape(
        arguments.d,
        arguments.features,
        arguments.batch,
        arguments.k,
        arguments.l0,
        arguments.device,
        arguments.cpu_time,
        tuple(arguments.only),
    )
    if arguments.peer:
        steps = {k: step for k, step in PEERS[arguments.peer](shape).items() if shape.wants(k)}
        print(json.dumps(medians(measure(steps, shape, arguments.rounds))))
    elif arguments.crossover:
        crossover(shape, arguments.rounds)
    else:
        report(shape, arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--d", type=int, default=512)
    parser.add_argument("--features", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--l0", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cpu-time", action="store_true", help="instead of the clock's")
    parser.add_argument("--only", nargs="*", default=[], help="architectures to measure")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peer-python", type=Path, help="python of an environment with peers")
    parser.add_argument("--crossover", action="store_true")
    parser.add_argument("--peer", choices=["sparsify", "dictionary_learning", "sae_lens"])
    return parser.parse_args()


# ── measuring ────────────────────────────────────────────────────────────────────────────────────


def measure(
    steps: dict[str, Callable[[], object]], shape: Shape, rounds: int
) -> dict[str, list[float]]:
    """Milliseconds of the encoder's product (`matmul`) and of each step, round by round."""
    x, W_enc = (torch.randn(n, shape.d, device=shape.device) for n in (shape.batch, shape.features))
    out = torch.empty(shape.batch, shape.features, device=shape.device)
    steps = {"matmul": lambda: torch.mm(x, W_enc.T, out=out), **steps}
    times: dict[str, list[float]] = {name: [] for name in steps}
    clock = time.process_time if shape.cpu_time else time.perf_counter
    for step in steps.values():  # the first call allocates
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            synchronize(shape.device)
            start = clock()
            step()
            synchronize(shape.device)
            times[name].append(1000 * (clock() - start))
    return times


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def medians(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Per step its median, spread and ratio to the product of the same round."""
    return {
        name: {
            "ms": statistics.median(each),
            "spread": (max(each) - min(each)) / statistics.median(each),
            "ratio": statistics.median(
                one / unit for one, unit in zip(each, times["matmul"], strict=True)
            ),
        }
        for name, each in times.items()
    }


# ── ours ─────────────────────────────────────────────────────────────────────────────────────────


def our_steps(shape: Shape) -> dict[str, Callable[[], object]]:
    from lmsaes.sae import (
        BatchTopKConfig,
        GatedConfig,
        HierarchicalTopKConfig,
        JumpReLUConfig,
        MatryoshkaConfig,
        PAnnealingConfig,
        ReLUConfig,
        TopKConfig,
    )

    features = shape.features
    configs = [
        TopKConfig(features=features, k=shape.k),
        BatchTopKConfig(features=features, k=shape.l0),
        HierarchicalTopKConfig(features=features, k=shape.k),
        MatryoshkaConfig(features=features, k=shape.l0),
        ReLUConfig(features=features),
        PAnnealingConfig(features=features),
        JumpReLUConfig(features=features),
        GatedConfig(features=features),
    ]
    steps = {
        config.architecture: our_step(config, shape)
        for config in configs
        if shape.wants(config.architecture)
    }
    if shape.device.startswith("cuda") and "topk" in steps:
        steps["topk on plain torch"] = on_plain_torch(steps["topk"])
    return steps


def on_plain_torch(step: Callable[[], object]) -> Callable[[], object]:
    from lmsaes.sae.sparse import ops

    def plain() -> object:
        usual, ops.uses_kernels = ops.uses_kernels, lambda tensor: False
        try:
            return step()
        finally:
            ops.uses_kernels = usual

    return plain


def our_step(config: object, shape: Shape) -> Callable[[], object]:
    from lmsaes.sae import SAE, JumpReLU, SAEConfig
    from lmsaes.training import Normalization, SAETrainer, keep_freed_memory

    assert isinstance(config, SAEConfig)
    if shape.device == "cpu":
        keep_freed_memory()  # as `train` does
    # A rate of zero for all practical purposes: the number of firing features is to stay.
    config = config.model_copy(update={"lr": 1e-12})
    sae = SAE.create(config, shape.d).to(shape.device)
    x = torch.randn(shape.batch, shape.d, device=shape.device)
    with torch.no_grad():
        pre = (x[:256] @ sae.W_enc.T).flatten()
        cut = pre.topk(256 * shape.l0).values[-1]
        if isinstance(sae, JumpReLU):
            sae.threshold.fill_(float(cut))
        elif config.architecture in ("relu", "p_annealing", "gated"):
            sae.b_enc.fill_(-float(cut))
    here = torch.zeros(shape.d, device=shape.device)
    scale = Normalization(here, here + 1, float(shape.d))
    trainer = SAETrainer(sae, 10**6, 10**12, scale, scale)
    return lambda: trainer.step(x, x)


def crossover(shape: Shape, rounds: int) -> None:
    """A ReLU step in both forms at several densities: where the sparse one stops being faster."""
    from lmsaes.sae import ReLUConfig
    from lmsaes.sae.sparse import active_set

    print("density   sparse ms   dense ms")
    for share in (1 / 128, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4):
        at = Shape(**(vars_of(shape) | {"l0": round(share * shape.features)}))
        step = our_step(ReLUConfig(features=shape.features), at)

        def forced(limit: float, step: Callable[[], object] = step) -> object:
            active_set.SPARSE_BELOW[torch.device(shape.device).type] = limit
            return step()

        times = medians(
            measure({"sparse": lambda: forced(1.0), "dense": lambda: forced(0.0)}, at, rounds)
        )
        print(f"1/{1 / share:<7.0f} {times['sparse']['ms']:9.1f} {times['dense']['ms']:10.1f}")


def vars_of(shape: Shape) -> dict[str, object]:
    return {name: getattr(shape, name) for name in shape.__dataclass_fields__}


# ── peers ────────────────────────────────────────────────────────────────────────────────────────


def sparsify_steps(shape: Shape) -> dict[str, Callable[[], object]]:
    from sparsify import SparseCoder, SparseCoderConfig

    coder = SparseCoder(shape.d, SparseCoderConfig(num_latents=shape.features, k=shape.k))
    optimizer = torch.optim.Adam(coder.parameters(), lr=1e-12, fused=True)
    x = torch.randn(shape.batch, shape.d)

    def step() -> None:
        coder.set_decoder_norm_to_unit_norm()
        coder(x).fvu.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        torch.nn.utils.clip_grad_norm_(coder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return {"topk": step}


def dictionary_learning_steps(shape: Shape) -> dict[str, Callable[[], object]]:
    from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
    from dictionary_learning.trainers.gated_anneal import GatedAnnealTrainer
    from dictionary_learning.trainers.jumprelu import JumpReluTrainer
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
    from dictionary_learning.trainers.p_anneal import PAnnealTrainer
    from dictionary_learning.trainers.standard import StandardTrainerAprilUpdate
    from dictionary_learning.trainers.top_k import TopKTrainer

    common = {
        "steps": 10**6,
        "activation_dim": shape.d,
        "dict_size": shape.features,
        "layer": 0,
        "lm_name": "none",
        "device": "cpu",
        "lr": 1e-12,
    }
    groups = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 17 / 32]
    trainers = {
        "topk": TopKTrainer(k=shape.k, **common),
        "batchtopk": BatchTopKTrainer(k=shape.l0, **common),
        "matryoshka": MatryoshkaBatchTopKTrainer(k=shape.l0, group_fractions=groups, **common),
        "relu": StandardTrainerAprilUpdate(**common),
        "p_annealing": PAnnealTrainer(**common),
        "jumprelu": JumpReluTrainer(**common),
        "gated": GatedAnnealTrainer(**common),
    }
    x = torch.randn(shape.batch, shape.d)
    # From the second step on: the first finds a geometric median.
    return {name: counted(trainer.update, x) for name, trainer in trainers.items()}


def counted(update: Callable[[int, Tensor], object], x: Tensor) -> Callable[[], object]:
    steps = iter(range(10**9))
    return lambda: update(next(steps), x)


def sae_lens_steps(shape: Shape) -> dict[str, Callable[[], object]]:
    from sae_lens import (
        BatchTopKTrainingSAE,
        BatchTopKTrainingSAEConfig,
        GatedTrainingSAE,
        GatedTrainingSAEConfig,
        JumpReLUTrainingSAE,
        JumpReLUTrainingSAEConfig,
        MatryoshkaBatchTopKTrainingSAE,
        MatryoshkaBatchTopKTrainingSAEConfig,
        StandardTrainingSAE,
        StandardTrainingSAEConfig,
        TopKTrainingSAE,
        TopKTrainingSAEConfig,
    )
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    common = {"d_in": shape.d, "d_sae": shape.features, "device": "cpu"}
    widths = [shape.features // n for n in (32, 16, 8, 2, 1)]
    saes = {
        "topk": TopKTrainingSAE(TopKTrainingSAEConfig(k=shape.k, **common)),
        "batchtopk": BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(k=shape.l0, **common)),
        "matryoshka": MatryoshkaBatchTopKTrainingSAE(
            MatryoshkaBatchTopKTrainingSAEConfig(k=shape.l0, matryoshka_widths=widths, **common)
        ),
        "relu": StandardTrainingSAE(StandardTrainingSAEConfig(**common)),
        "jumprelu": JumpReLUTrainingSAE(JumpReLUTrainingSAEConfig(**common)),
        "gated": GatedTrainingSAE(GatedTrainingSAEConfig(**common)),
    }
    settings = SAETrainerConfig(
        total_training_samples=10**9,
        train_batch_size_samples=shape.batch,
        lr=1e-12,
        lr_end=1e-13,
    )
    x = torch.randn(shape.batch, shape.d)
    trainers = {name: SAETrainer(settings, sae, iter([])) for name, sae in saes.items()}
    return {name: lambda trainer=trainer: trainer.step(x) for name, trainer in trainers.items()}


PEERS = {
    "sparsify": sparsify_steps,
    "dictionary_learning": dictionary_learning_steps,
    "sae_lens": sae_lens_steps,
}


def run_peer(peer: str, python: Path, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The peer's figures, measured in its own environment; empty where it isn't there."""
    options = [
        f"--{name}={getattr(arguments, name)}"
        for name in ("d", "features", "batch", "k", "l0", "rounds")
    ]
    options += ["--cpu-time"] if arguments.cpu_time else []
    only = ["--only", *arguments.only]
    return run_there(peer, python, __file__, f"--peer={peer}", *options, *only) or {}


# ── reporting ────────────────────────────────────────────────────────────────────────────────────


def report(shape: Shape, arguments: argparse.Namespace) -> None:
    ours = medians(measure(our_steps(shape), shape, arguments.rounds))
    rows = [row("encoder matmul", ours["matmul"]["ms"], "ms")]
    for name, figures in ours.items():
        if name == "matmul":
            continue
        must, aim = GOALS.get(name, (None, None))
        rows.append(step_row(f"{name} step / encoder matmul", figures, figures["ratio"], must, aim))
    for peer in PEERS:
        theirs = run_peer(peer, arguments.peer_python, arguments) if arguments.peer_python else {}
        if not theirs:
            rows.append(row(f"{peer}: not measured (--peer-python)", None, "ms", better="higher"))
        for name, figures in theirs.items():
            if name == "matmul":
                continue
            goals = TOPK_GOALS if name == "topk" else OTHER_GOALS
            must, aim = goals.get(peer, (None, None))
            # Each in units of the product of its own rounds, so that a busy machine cancels out.
            faster = figures["ratio"] / ours[name]["ratio"]
            what = f"{name}: {peer}'s step / ours"
            rows.append(step_row(what, figures, faster, must, aim, better="higher"))
    tell(rows, arguments)


def step_row(
    what: str,
    figures: dict[str, float],
    ratio: float,
    must: float | None,
    aim: float | None,
    better: Literal["higher", "lower"] = "lower",
) -> dict[str, object]:
    spread = figures["spread"]
    return row(what, figures["ms"], "ms", ratio, must, aim, better, spread=spread)


if __name__ == "__main__":
    main()
