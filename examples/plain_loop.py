"""A TopK SAE in a training loop of one's own, in plain PyTorch, on batches from a cache.

    python examples/plain_loop.py CACHE HOOK

`lmsaes train` does this better (docs/training.md); the loop is a start for experiments that change
the loss or the architecture.
"""

import sys

import torch

from lmsaes import ActivationCache, ShuffledLoader

K, FEATURES = 32, 2048

cache, hook = ActivationCache.open(sys.argv[1]), sys.argv[2]
valid = cache.hooks[hook].valid  # statistics without special tokens and first positions
assert valid is not None
mean = torch.tensor(valid.mean)
scale = (torch.tensor(valid.variance).mean() ** 0.5).item()

decoder = torch.nn.functional.normalize(torch.randn(FEATURES, len(mean)), dim=1)
W_dec = torch.nn.Parameter(decoder)
W_enc = torch.nn.Parameter(decoder.clone())
b_enc = torch.nn.Parameter(torch.zeros(FEATURES))
optimizer = torch.optim.Adam([W_enc, b_enc, W_dec], lr=1e-3)

fvu = float("nan")
with ShuffledLoader(cache, hook, 1024, dtype=torch.float32, drop_special=True) as loader:
    for rows in loader:
        x = (rows - mean) / scale
        top = (x @ W_enc.T + b_enc).topk(K, dim=1)
        features = torch.zeros(len(x), FEATURES).scatter(1, top.indices, top.values.relu())
        loss = (x - features @ W_dec).square().sum(dim=1).mean() / len(mean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            W_dec.div_(W_dec.norm(dim=1, keepdim=True))
        fvu = loss.item() / (x.square().sum(dim=1).mean().item() / len(mean))
print(f"FVU of the last batch: {fvu:.3f}; waited {100 * loader.stats.share_waited:.0f} %")
