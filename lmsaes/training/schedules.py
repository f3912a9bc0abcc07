"""Learning rates, and the settings that only make sense relative to a run's length."""

import math
from dataclasses import dataclass

from lmsaes.errors import ConfigError
from lmsaes.sae import SAEConfig

DEAD_WINDOW = 10_000_000
# Firings that a feature of average frequency has meanwhile.
_AUX_FIRINGS = 40
WARMUP = 1000
_HIGHEST_UNCENTERED = 8e-3
_UNCENTERED = ("none", "mean_norm", "layer_norm")
# By a sign every weight moves by the whole rate, where Adam's mostly move by less.
_SIGNUM_SHARE = 1 / 8


def steps_for(tokens: int, rows: int, batch_size: int, batches: int) -> int:
    """Steps until `tokens` rows were seen of a cache's `rows`, of which an epoch has `batches`: the
    last one of an epoch may be short. Raises ConfigError where there are no rows.
    """
    if rows == 0:
        raise ConfigError("no row of the cache is left to train on", "leave fewer of them out")
    epochs, rest = divmod(tokens, rows)
    return epochs * batches + -(-rest // batch_size)


def peak_lr(config: SAEConfig, features: int, d_in: int, steps: int, batch: float) -> float:
    """The learning rate at the top of the schedule.

    0.095 · √(256 / d_in) · ∛(batch / (steps · features)), at most h · √(256 / max(d_in, 256)) and
    at least 5e-5; h is 1.6e-2 for topk kinds, 1.2e-2 for jumprelu, 8e-3 for others and for rows
    that keep their mean: the best rate falls with the length of the run and the width and rises
    with the batch, each by about the cube root. The usual rules were found on runs of 10⁵ steps and
    are too low for short ones. docs/architectures.md has the sweeps behind it.
    """
    if config.lr is not None:
        return config.lr
    rate = 0.095 * (256 / d_in) ** 0.5 * (batch / (max(steps, 1) * features)) ** (1 / 3)
    highest = config.highest_lr
    if config.normalize in _UNCENTERED:
        highest = min(highest, _HIGHEST_UNCENTERED)
    highest *= (256 / max(d_in, 256)) ** 0.5
    share = config.lr_share * (_SIGNUM_SHARE if config.optimizer == "signum" else 1.0)
    return share * max(min(rate, highest), 5e-5)


def warmup_steps(config: SAEConfig, steps: int) -> int:
    """Steps over which the learning rate grows from zero to its peak."""
    return min(WARMUP, steps // 8) if config.warmup is None else config.warmup


def dead_window_tokens(config: SAEConfig, tokens: int) -> int:
    """Tokens of silence after which a feature counts as dead.

    Ten million (Gao et al. 2024) unless the run is shorter than eight times that.
    """
    if config.dead_window is not None:
        return config.dead_window
    return max(1, min(DEAD_WINDOW, tokens // 8))


def aux_after_tokens(config: SAEConfig, features: int) -> int:
    """Tokens without firing after which the auxiliary losses start for a feature.

    40 · features / L0; a typical feature fires about 40 times in that many. In a short run, one
    that has to wait for millions of tokens stays dead (docs/notes/experiments.md). A `dead_window`
    that is given holds for this too.
    """
    if config.aux_after is not None:
        return config.aux_after
    if config.dead_window is not None:
        return config.dead_window
    return max(1, min(DEAD_WINDOW, round(_AUX_FIRINGS * features / config.active)))


@dataclass(frozen=True)
class LRSchedule:
    """The learning rate over a run, as a share of its peak: up, level, and down at the end.

    linear or cosine, down to `end`; each of `restarts` goes from there to the peak again, so that
    the falling share of the run is cut into restarts + 1 equal pieces (Loshchilov & Hutter 2017).
    """

    steps: int
    warmup: int
    falling: float  # share of the run over which it falls
    shape: str = "linear"
    restarts: int = 0
    end: float = 0.0

    @staticmethod
    def of(config: SAEConfig, steps: int, peak: float) -> "LRSchedule":
        """The schedule of an SAE. Raises ConfigError where lr_end is above the peak."""
        shape = config.schedule or "linear"
        # Schedule-free averages instead of falling.
        constant = config.optimizer == "schedule-free" or shape == "constant"
        end = (config.lr_end or 0.0) / peak
        if end > 1:
            raise ConfigError(
                f"{config.name}: lr_end = {config.lr_end:g} is above the peak, {peak:.2g}",
                "choose a smaller lr_end, or a larger lr",
            )
        falling = 0.0 if constant else config.lr_decay_fraction
        return LRSchedule(
            steps, warmup_steps(config, steps), falling, shape, config.restarts or 0, end
        )

    def factor(self, step: int) -> float:
        """What the peak is multiplied by at `step`, counted from 0."""
        up = (step + 1) / self.warmup if step < self.warmup else 1.0
        falling = self.falling * self.steps
        left = min((self.steps - step) / falling if falling > 0 else 1.0, 1.0)
        if self.restarts and left < 1:
            left = 1 - (1 - left) * (self.restarts + 1) % 1
        down = (1 - math.cos(math.pi * left)) / 2 if self.shape == "cosine" and left < 1 else left
        return min(up, 1.0, self.end + (1 - self.end) * down)
