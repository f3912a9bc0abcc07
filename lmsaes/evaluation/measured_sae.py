"""One SAE on its way through an evaluation: what it gives back, and sums of that by context."""

from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.evaluation.context_sums import ContextSums, ReconstructionByContext, by_context
from lmsaes.evaluation.downstream import Batch
from lmsaes.evaluation.estimates import Estimate
from lmsaes.evaluation.feature_sums import FeatureSums
from lmsaes.evaluation.fit import check_fit
from lmsaes.sae import SAE, sae_name

_VALUES_AT_ONCE = 1 << 26  # an encoder may hold all activations of its rows at once


class MeasuredSAE:
    """An SAE, and sums by context of what it does to a cache's rows."""

    def __init__(
        self, folder: Path, cache: ActivationCache, device: torch.device, any_model: bool
    ) -> None:
        """Raises SAEError or ConfigError for an SAE that does not fit the cache."""
        self.folder, self.name = folder, sae_name(folder)
        self.sae = SAE.load(folder, device)
        self.hooks, self.target = check_fit(folder, self.sae, cache, any_model)
        self.outputs = (self.target,) if self.target else self.hooks
        self.means = {hook: _mean(cache, hook).to(device) for hook in self.outputs}
        self.sums, self.features = ContextSums(), FeatureSums(self.sae.features, device)
        self._whole = ReconstructionByContext(self.sums, torch.cat([*self.means.values()]))
        # a crosscoder's hooks are measured one by one as well
        self.hooks_apart = self.hooks if len(self.hooks) > 1 else ()
        self._apart = {hook: ContextSums() for hook in self.hooks_apart}
        self._parts = {
            hook: ReconstructionByContext(sums, self.means[hook])
            for hook, sums in self._apart.items()
        }
        self.estimates: dict[str, Estimate] = {}
        self._estimates_apart: dict[str, dict[str, Estimate]] = {}

    def add(self, batch: Batch) -> dict[str, Tensor]:
        """Measures a batch; returns the reconstruction of each output hook at the valid
        positions, [valid positions, width]."""
        x = torch.cat([batch.rows[hook][batch.valid] for hook in self.hooks], 1)
        y = torch.cat([batch.rows[hook][batch.valid] for hook in self.outputs], 1)
        output, contexts = torch.empty_like(y), batch.contexts
        firings = torch.zeros(x.shape[0], device=x.device)
        activation = torch.zeros_like(firings)
        features = self.sae.features
        step = max(1, _VALUES_AT_ONCE // features)
        rows = torch.bincount(batch.context, minlength=contexts)
        counts = torch.zeros(contexts * features, dtype=torch.int64, device=x.device)
        for start in range(0, x.shape[0], step):
            piece = slice(start, start + step)
            encoded = self.sae.encode(x[piece])
            output[piece] = self.sae.decode(encoded, x[piece])
            places = encoded.row_ids()
            activation[piece] = activation[piece].index_add(0, places, encoded.values)
            fired = encoded.where(encoded.values > 0)
            firings[piece] = fired.counts().to(firings)
            cells = batch.context[piece][fired.row_ids()] * features + fired.indices
            counts += torch.bincount(cells, minlength=contexts * features)
        self.features.add(counts.view(contexts, features), rows)
        sums = {
            "firings": by_context(firings, batch.context, contexts),
            "activation": by_context(activation, batch.context, contexts),
        }
        self.sums.add(sums | self._whole.add(y, output, batch.context, contexts))
        outputs = self._by_hook(output)
        for hook, part in self._parts.items():
            target = batch.rows[hook][batch.valid]
            self._apart[hook].add(part.add(target, outputs[hook], batch.context, contexts))
        return outputs

    def add_downstream(self, hook: str, sums: dict[str, Tensor]) -> None:
        """Adds what replacing `hook` did to the model's predictions on the same batch."""
        self._apart.get(hook, self.sums).add(sums)

    def finish(self) -> None:
        """Makes estimates of the sums."""
        self._whole.finish()
        self.estimates = self.sums.estimates() | self.features.estimates()
        for hook, part in self._parts.items():
            part.finish()
            self._estimates_apart[hook] = self._apart[hook].estimates()

    def figures(self, hook: str | None = None) -> dict[str, Any]:
        """Figures and their errors by name, of the whole or of one hook of a crosscoder."""
        estimates = self.estimates if hook is None else self._estimates_apart[hook]
        found: dict[str, Any] = {}
        for name, estimate in estimates.items():
            found[name], found[f"{name}_se"] = estimate.value, estimate.se
        return found

    def _by_hook(self, output: Tensor) -> dict[str, Tensor]:
        parts = rearrange(output, "rows (hooks d) -> hooks rows d", hooks=len(self.outputs))
        return dict(zip(self.outputs, parts, strict=True))


def _mean(cache: ActivationCache, hook: str) -> Tensor:
    """The mean of the valid rows at a hook, float32 [d_model]."""
    statistics = cache.hooks[hook].valid
    if statistics is None:
        raise ConfigError(f"the cache holds no rows of {hook}", "run `lmsaes cache` first")
    return torch.tensor(statistics.mean, dtype=torch.float32)
