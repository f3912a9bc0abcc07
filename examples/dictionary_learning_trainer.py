"""dictionary_learning's own trainer, on batches from a cache.

    python examples/dictionary_learning_trainer.py CACHE HOOK

Run with dictionary-learning 0.1.0 and torch 2.13 on a cache of the bundled model. `trainSAE` takes
any iterable of [rows, d_model].
"""

import sys

import torch
from dictionary_learning.trainers.top_k import TopKTrainer
from dictionary_learning.training import trainSAE

from lmsaes import ActivationCache, ShuffledLoader

cache, hook = ActivationCache.open(sys.argv[1]), sys.argv[2]
with ShuffledLoader(
    cache, hook, 1024, dtype=torch.float32, drop_special=True, drop_last=True
) as loader:
    trainer = {
        "trainer": TopKTrainer,
        "activation_dim": cache.hooks[hook].d_model,
        "dict_size": 2048,
        "k": 32,
        "layer": 0,
        "lm_name": cache.manifest.model.name,
        "steps": len(loader),
        "warmup_steps": len(loader) // 16,
        "decay_start": 4 * len(loader) // 5,
        "device": "cpu",
    }
    trainSAE(loader, [trainer], len(loader), save_dir="dictionary-learning-topk", device="cpu")
