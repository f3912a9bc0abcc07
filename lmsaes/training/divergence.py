"""Divergence of an SAE: what was no longer finite, and from which step on.

each step, on the device:  rows, loss, gradient ──► FiniteWatch
now and then, by the host: FiniteWatch, weights, optimizer ──► Divergence
"""

from typing import Any, Literal

import torch
from pydantic import BaseModel
from torch import Tensor

from lmsaes.sae import row_norms

Cause = Literal["rows", "loss", "gradient", "state"]

_NEVER = 2**62
_WATCHED: tuple[Cause, ...] = ("rows", "loss", "gradient")


class Divergence(BaseModel, frozen=True, extra="forbid"):
    """An SAE that was stopped because something of it was no longer finite."""

    config: dict[str, Any]  # the SAE's settings
    step: int  # counted from 1
    cause: Cause
    what: str  # that was no longer finite, in words
    lr: float  # its peak
    kept_step: int | None = None  # steps behind the finite state that is kept; None where none is
    kept_sha256: str | None = None

    @property
    def name(self) -> str:
        """The SAE's."""
        return self.config["name"]

    @property
    def message(self) -> str:
        """What happened, in one line."""
        return f"{self.name} diverged at step {self.step}: {self.what}"

    @property
    def hint(self) -> str:
        """What to do about it."""
        if self.cause == "rows":
            return "leave such rows out with --max-norm"
        if self.step == 1:
            return "no learning rate took effect yet: look at normalize, l1 and the cache's rows"
        return f"give it a smaller lr than {self.lr:.2g}, or take it out of the sweep"


def squares_of(x: Tensor, target: Tensor) -> Tensor:
    """The sum of the squares of rows in training units ([rows, d_in] and [rows, d_out]), such as a
    loss adds up."""
    squares = row_norms(x).square().sum()
    return squares if target is x else squares + row_norms(target).square().sum()


class FiniteWatch:
    """The first steps at which an SAE's rows, loss and gradient were not finite.

    They stay on the device: only `found` waits for it.
    """

    def __init__(self, device: torch.device) -> None:
        self._first = torch.full((len(_WATCHED),), _NEVER, dtype=torch.int64, device=device)

    def add(self, step: int, squares: Tensor, loss: Tensor, norm: Tensor) -> None:
        """Looks at step `step`: the sum of its rows' squares (`squares_of`), its loss, and the norm
        of its gradient.
        """
        finite = torch.stack([squares, loss, norm]).isfinite()
        self._first = torch.where(finite, self._first, self._first.clamp(max=step))

    def found(self) -> tuple[int, Cause, str] | None:
        """The first such step, what of it, and that in words; waits for the device."""
        steps = self._first.tolist()
        step = min(steps)
        if step == _NEVER:
            return None
        cause = _WATCHED[steps.index(step)]
        words = (
            "rows of its batch are so large that the sum of their squares is infinite in float32"
        )
        return step, cause, words if cause == "rows" else f"its {cause} is not finite"
