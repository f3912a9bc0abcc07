"""Matryoshka: nested SAEs, each good by itself (Bussmann et al. 2025, arXiv 2503.17547)."""

import torch
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.sae.batchtopk import BatchTopK
from lmsaes.sae.config import MatryoshkaConfig
from lmsaes.sae.shards import Shards
from lmsaes.sae.sparse.nested_loss import nested_error
from lmsaes.sae.sparse.rows import SparseRows


class Matryoshka(BatchTopK):
    """loss = mean over prefixes of ‖y − x̂_prefix‖²/d + aux-k on the whole SAE's residual."""

    config_type = MatryoshkaConfig
    bounds: Tensor

    def __init__(self, config: MatryoshkaConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        shares = torch.tensor(config.prefixes, dtype=torch.float64).cumsum(0)
        self.ends = [round(float(share) * self.features) for share in shares[:-1]] + [self.features]
        if len(set(self.ends)) < len(self.ends) or self.ends[0] == 0:
            raise ConfigError(
                f"{self.features} features are too few for the prefixes {config.prefixes}",
                "use more features or fewer prefixes",
            )
        self.register_buffer("bounds", torch.tensor([0, *self.ends]), persistent=False)

    @torch.no_grad()
    def keep_shard(self, shards: Shards) -> None:
        super().keep_shard(shards)
        rank, size = shards.features.rank, shards.features.size
        ends = [0, *(max(0, -(-(end - rank) // size)) for end in self.ends)]
        self.bounds = torch.tensor(ends, device=self.bounds.device)

    def error_of(self, fired: SparseRows, target: Tensor) -> tuple[Tensor, Tensor]:
        # Entries ascend in (row, feature): a prefix of the features is a prefix of each row.
        places = fired.row_ids() * self.features + fired.indices
        starts = torch.arange(fired.rows, device=fired.device) * self.features
        bounds = torch.searchsorted(places, starts[:, None] + self.bounds)
        return nested_error(fired, bounds, self.W_dec, self.b_dec, target, self.shards.features)
