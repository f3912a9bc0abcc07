"""SAELens' own trainer, on batches from a cache.

    python examples/saelens_trainer.py CACHE HOOK

Run with sae-lens 6.54.12 and torch 2.13 on a cache of the bundled model. The trainer takes an
iterator of [rows, d_model]; what it saves is an SAELens folder like any other.
"""

import itertools
import sys

import torch
from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.config import SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer

from lmsaes import ActivationCache, ShuffledLoader

cache, hook = ActivationCache.open(sys.argv[1]), sys.argv[2]
sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=cache.hooks[hook].d_model, d_sae=2048, k=32))
with ShuffledLoader(cache, hook, 1024, dtype=torch.float32, drop_special=True) as loader:
    config = SAETrainerConfig(
        total_training_samples=loader.rows, train_batch_size_samples=1024, lr=1e-3, lr_end=1e-4
    )
    epochs = itertools.chain.from_iterable(itertools.repeat(loader))
    SAETrainer(config, sae, epochs).fit()
sae.save_model("saelens-topk")
