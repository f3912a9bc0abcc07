"""sparsify's SAE, trained from a cache in a loop of one's own.

    python examples/sparsify_loop.py CACHE HOOK

Run with sparsify 1.3.3 (`pip install eai-sparsify`) and torch 2.13 on a cache of the bundled model.
"""

import sys

import torch
from sparsify import SparseCoder, SparseCoderConfig

from lmsaes import ActivationCache, ShuffledLoader

cache, hook = ActivationCache.open(sys.argv[1]), sys.argv[2]
coder = SparseCoder(cache.hooks[hook].d_model, SparseCoderConfig(num_latents=2048, k=32))
optimizer = torch.optim.Adam(coder.parameters(), lr=1e-3)
with ShuffledLoader(cache, hook, 1024, dtype=torch.float32, drop_special=True) as loader:
    for x in loader:
        loss = coder(x).fvu
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        coder.set_decoder_norm_to_unit_norm()
print(f"FVU of the last batch: {loss.item():.3f}; waited {100 * loader.stats.share_waited:.0f} %")
