"""SAEs whose directions are a cache's own rows: sensible figures without any training."""

from pathlib import Path

import torch
from torch import Tensor

from lmsaes.cache import ActivationCache
from lmsaes.sae import SAE, Metrics, Provenance, SAEConfig


def sae_from_rows(
    cache: ActivationCache, config: SAEConfig, folder: Path, contexts: int | None = None
) -> SAE:
    """An SAE saved in `folder`: of every so many valid rows, less their mean, each feature has one
    as its direction in and, of the target or the same hooks, as its direction out.

    contexts: what its record says that training drew on.
    """
    x, y = (_rows(cache, hooks) for hooks in (config.inputs, config.outputs))
    sae = SAE.create(config, x.shape[1], y.shape[1])
    chosen = torch.arange(sae.features) * (x.shape[0] // sae.features)
    mean_in, mean_out = x.mean(0), y.mean(0)
    away = (x - mean_in)[chosen]
    with torch.no_grad():
        sae.W_enc.copy_(away / away.norm(dim=1, keepdim=True))
        sae.b_enc.copy_(-sae.W_enc @ mean_in)
        sae.W_dec.copy_((y - mean_out)[chosen] / away.norm(dim=1, keepdim=True))
        sae.W_dec.mul_(0.5)
        sae.b_dec.copy_(mean_out)
        if sae.W_skip is not None:
            sae.W_skip.copy_(0.01 * torch.ones_like(sae.W_skip).tril())
    sae.provenance = Provenance(
        hooks=config.inputs,
        target=config.target,
        cache=str(cache.path),
        cache_identity=cache.identity,
        model=cache.manifest.model.name,
        dataset=cache.manifest.text.dataset,
        context_size=cache.context_size,
        contexts=contexts,
        tokens=1,
        steps=1,
        batch_size=1,
        shuffle_buffer=1,
        seed=0,
        lr=0.1,
        warmup=0,
        dead_window=1,
        metrics=Metrics(fvu=0.5, l0=1.0, dead_fraction=0.0, rows=1),
    )
    sae.save(folder)
    return SAE.load(folder)


def _rows(cache: ActivationCache, hooks: tuple[str, ...]) -> Tensor:
    valid = cache.valid_positions(cache.tokens(0, cache.contexts))
    read = [cache.activations(hook, 0, cache.contexts).float()[valid] for hook in hooks]
    return torch.cat(read, 1)
