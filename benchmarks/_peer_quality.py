"""Trains a peer's SAE on given rows with the peer's own defaults, in the peer's environment.

    python benchmarks/_peer_quality.py '{"peer": "sparsify", "kind": "topk", …}'

Rows come from safetensors files: shuffled ones to train on, in order and as often as the run is
long, and held-out ones to be scored on. What is printed is the score, as one JSON object. Where a
warm-up is longer than a tenth of the run, it is a tenth of the run: dictionary_learning's 1000
steps would not end.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from _scoring import Encode, score
from safetensors.torch import load_file
from torch import Tensor


@dataclass(frozen=True)
class Task:
    peer: str
    kind: str
    rows: list[str]
    heldout: str
    features: int
    k: int
    batch: int
    steps: int
    seed: int


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    torch.manual_seed(task.seed)
    encode = PEERS[task.peer](task, batches(task))
    print(json.dumps(asdict(score(encode, load_file(task.heldout)["x"]))))


def batches(task: Task) -> Iterator[Tensor]:
    """`steps` batches of float32 rows [batch, d]."""
    rows = torch.cat([load_file(Path(path))["activations"] for path in task.rows])
    place = 0
    for _ in range(task.steps):
        taken = torch.arange(place, place + task.batch) % len(rows)
        place += task.batch
        yield rows[taken].float()


def dense(features: Tensor) -> Tensor:
    """How often each feature fires, of activations [n, features]."""
    return (features > 0).sum(0)


def sae_lens(task: Task, data: Iterator[Tensor]) -> Encode:
    from sae_lens import (
        BatchTopKTrainingSAE,
        BatchTopKTrainingSAEConfig,
        TopKTrainingSAE,
        TopKTrainingSAEConfig,
    )
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    first = next(data)
    shape: dict[str, Any] = {"k": task.k, "d_in": first.shape[1], "d_sae": task.features}
    if task.kind == "topk":
        sae = TopKTrainingSAE(TopKTrainingSAEConfig(**shape))
    else:
        sae = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**shape))
    settings = SAETrainerConfig(
        total_training_samples=task.steps * task.batch,
        train_batch_size_samples=task.batch,
        lr_end=3e-5,  # of the constant schedule, which never comes to it
    )
    trainer = SAETrainer(settings, sae, iter([]))
    trainer.step(first)
    for x in data:
        trainer.step(x)

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        features = sae.encode(x)
        features = features.to_dense() if features.is_sparse else features
        return sae.decode(features), dense(features)

    return encode


def dictionary_learning(task: Task, data: Iterator[Tensor]) -> Encode:
    from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
    from dictionary_learning.trainers.top_k import TopKTrainer

    first = next(data)
    trainer = {"topk": TopKTrainer, "batchtopk": BatchTopKTrainer}[task.kind](
        steps=task.steps,
        activation_dim=first.shape[1],
        dict_size=task.features,
        k=task.k,
        layer=0,
        lm_name="",
        warmup_steps=min(1000, task.steps // 10),
        seed=task.seed,
        device="cpu",
    )
    trainer.update(0, first)
    for step, x in enumerate(data, 1):
        trainer.update(step, x)

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        # its threshold is only set after a thousand steps
        features = trainer.ae.encode(x, use_threshold=False)
        return trainer.ae.decode(features), dense(features)

    return encode


def sparsify(task: Task, data: Iterator[Tensor]) -> Encode:
    """What its trainer does with a batch by default; the trainer itself wants a language model."""
    from schedulefree import ScheduleFreeWrapper
    from sparsify import SparseCoder, SparseCoderConfig
    from sparsify.sign_sgd import SignSGD

    first = next(data)
    coder = SparseCoder(first.shape[1], SparseCoderConfig(num_latents=task.features, k=task.k))
    coder.b_dec.data = first.mean(0)
    rate = 5e-3 / (task.features / 2**14) ** 0.5
    optimizer = ScheduleFreeWrapper(SignSGD(coder.parameters(), rate), momentum=0.95)
    optimizer.train()

    def step(x: Tensor) -> None:
        coder.set_decoder_norm_to_unit_norm()
        coder(x).fvu.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()

    step(first)
    for x in data:
        step(x)
    optimizer.eval()
    coder.set_decoder_norm_to_unit_norm()

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        values, indices, _ = coder.encode(x)
        fired = torch.bincount(indices[values > 0], minlength=task.features)
        return coder.decode(values, indices), fired

    return encode


PEERS: dict[str, Callable[[Task, Iterator[Tensor]], Encode]] = {
    "sae_lens": sae_lens,
    "dictionary_learning": dictionary_learning,
    "sparsify": sparsify,
}


if __name__ == "__main__":
    main()
