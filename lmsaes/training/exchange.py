"""What the ranks of a step exchange beside what the losses do, once per step and SAE.

    rows       one sum of gradients, firings, loss and squared error, before the update
    features   one sum of the gradient's square and of the firings

Each carries along whether a rank was asked to stop, so that all stop after the same step.
"""

from dataclasses import replace

import torch
from torch import Tensor

from lmsaes.parallel import OneRank
from lmsaes.sae import SAE, Shards, StepOutput, row_norms

# Steps between reading from a GPU whether to stop: the host waits for that.
_READ_EVERY = 8


class Exchange:
    """One rank's side of the exchange, for all SAEs of a run."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self.asked_to_stop = False  # whether this rank was
        self._votes: Tensor | None = None

    @property
    def together(self) -> bool:
        """Whether other ranks take each step with this one."""
        return self.shards.entries.size > 1

    def agreed_to_stop(self, step: int) -> bool:
        """Whether any rank was asked to before step `step`; the same answer on all of them."""
        if not self.together:
            return self.asked_to_stop
        if self._votes is None or (self._votes.is_cuda and step % _READ_EVERY):
            return False
        return bool(self._votes > 0)

    def anywhere(self, count: int) -> int:
        """A count of this rank's features added up over the ranks that have the others."""
        ranks = self.shards.features
        return count if isinstance(ranks, OneRank) else int(ranks.sum(torch.tensor(count)))

    def add_rows(self, sae: SAE, output: StepOutput, squares: Tensor) -> tuple[StepOutput, Tensor]:
        """Makes gradients, output and the sum of the rows' squares those of the whole batch; losses
        are weighted already.
        """
        ranks = self.shards.rows
        if isinstance(ranks, OneRank):
            return output, squares
        vote = output.loss.new_full((1,), float(self.asked_to_stop))
        parameters = [p for p in sae.parameters() if p.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        parts = [p.grad for p in parameters if p.grad is not None]
        terms = [output.loss.detach(), output.sparsity, output.auxiliary]
        parts += [output.firings, *terms, output.squared_error, squares, vote]
        bucket = torch.cat([part.reshape(-1) for part in parts])
        ranks.add_up(bucket)
        sums = [
            part.view(like.shape)
            for part, like in zip(bucket.split([p.numel() for p in parts]), parts, strict=True)
        ]
        for parameter, gradient in zip(parameters, sums, strict=False):
            assert parameter.grad is not None
            parameter.grad.copy_(gradient)
        firings, loss, sparsity, auxiliary, squared_error, squares, self._votes = sums[-7:]
        return StepOutput(loss, squared_error, firings, sparsity, auxiliary, None), squares

    def norm(self, sae: SAE, output: StepOutput) -> tuple[Tensor, StepOutput]:
        """The norm of the gradient of all features, and the output with the firings of all as one
        sum.
        """
        by_feature = set(sae.names_by_feature())
        squares = torch.zeros(2, device=output.loss.device)
        for name, parameter in sae.named_parameters():
            if parameter.grad is not None:
                own = row_norms(parameter.grad).square().sum()
                squares[int(name not in by_feature)] += own
        vote = squares.new_full((), float(self.asked_to_stop))
        sums = self.shards.features.sum(torch.stack([squares[0], output.firings.sum(), vote]))
        self._votes = sums[2]
        # what every rank has counts once
        norm = (sums[0] + squares[1]).sqrt()
        return norm, replace(output, firings=sums[1])
