"""SAETrainer: the training loop's body for one SAE, a step per batch."""

import math

import torch
from torch import Tensor

from lmsaes.evaluation import dead_fraction
from lmsaes.sae import SAE, Metrics, StepOutput, first_not_finite, row_norms
from lmsaes.training.divergence import Divergence, FiniteWatch, squares_of
from lmsaes.training.exchange import Exchange
from lmsaes.training.feature_shards import own_state, whole_sae, whole_state
from lmsaes.training.figures import Figures
from lmsaes.training.freezing import FrozenWeights
from lmsaes.training.metrics import Averages, MetricSums
from lmsaes.training.normalization import Normalization
from lmsaes.training.optimizers import (
    averaged,
    load_optimizer_state,
    make_optimizers,
    optimizer_state,
)
from lmsaes.training.resampling import resample
from lmsaes.training.schedules import (
    LRSchedule,
    aux_after_tokens,
    dead_window_tokens,
    peak_lr,
)
from lmsaes.training.weight_average import WeightAverage

_FINAL_SHARE = 0.1
# Steps between reading from a GPU which features are silent: the host waits for that.
_READ_SILENT_EVERY = 8


class SAETrainer:
    """An SAE, its optimizer, its place in the schedule and its count of silent features.

    `step` waits for the device once in eight steps where an auxiliary loss is on: to learn which
    features are silent. `report`, `divergence` and `final_metrics` do wait. Nothing outside is
    changed: who runs many steps on a CPU may call `keep_freed_memory` first, as `train` does.

    log_every: steps between two reports; what costs a pass over the rows is measured in the step
    before a report alone.

    failed: on a CPU, whether a step was not made because its loss or gradient is not finite; the
    weights are those of before. On a GPU that would mean to wait: `divergence` tells afterwards.
    """

    def __init__(
        self,
        sae: SAE,
        steps: int,
        tokens: int,
        inputs: Normalization,
        outputs: Normalization,
        exchange: Exchange | None = None,
        log_every: int | None = None,
    ) -> None:
        config = sae.config
        self.exchange = Exchange(sae.shards) if exchange is None else exchange
        self.features = config.width(sae.d_in)  # of all ranks together
        self.sae = sae
        self.inputs, self.outputs = inputs, outputs
        self.steps = steps
        self.done = 0
        self.lr = peak_lr(config, self.features, sae.d_in, steps, tokens / max(steps, 1))
        self.schedule = LRSchedule.of(config, steps, self.lr)
        self.warmup = self.schedule.warmup
        self.dead_window = dead_window_tokens(config, tokens)
        self.device = sae.W_enc.device
        self.frozen = FrozenWeights(sae)
        self.average = None if config.ema is None else WeightAverage(sae, config.ema)
        self.optimizers = make_optimizers(sae, self.lr)
        self.resample_at = {round(share * steps) for share in config.resample}
        self.silent_for = torch.zeros(sae.features, dtype=torch.int64, device=self.device)
        self.has_auxiliary_loss = config.aux_weight > 0 or config.ghost_weight > 0
        self.aux_after = aux_after_tokens(config, self.features)
        self.silent = torch.zeros(0, dtype=torch.int64, device=self.device)
        self.silent_anywhere = 0  # features of all ranks that are
        self.recent = MetricSums(self.device)
        self.last = MetricSums(self.device)
        self.figures = Figures(sae, self.features, outputs)
        self.log_every = log_every
        self.watch = FiniteWatch(self.device)
        self.failed = False

    def step(self, x: Tensor, target: Tensor) -> StepOutput:
        """One update from a batch in training units: x [rows, d_in], target [rows, d_out]."""
        rows = self.sae.shards.batch_rows(x.shape[0])
        for parameter in self.sae.parameters():
            parameter.grad = None
        output = self._gradients(x, target)
        output, squares = self.exchange.add_rows(self.sae, output, squares_of(x, target))
        if self.sae.config.fine_tune is None:
            self.sae.before_update()
        norm, totals = self._gradient_norm(output)
        self._scale_gradient(norm)
        self.watch.add(self.done + 1, squares, output.loss, norm)
        if self.device.type == "cpu" and self.watch.found() is not None:
            self.failed = True
            return output
        factor = self.schedule.factor(self.done)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = factor * group["peak"]
            optimizer.step()
        if self.sae.config.fine_tune is None:
            self.sae.after_update()

        self.silent_for.add_(rows).masked_fill_(output.firings > 0, 0)
        self.recent.add(totals, rows)
        self.figures.add(norm, output, rows)
        if self.done >= math.floor((1 - _FINAL_SHARE) * self.steps):
            self.last.add(totals, rows)
        self.done += 1
        if self.done in self.resample_at:
            self._resample(x, target)
        self.frozen.restore()
        if self.average is not None:
            self.average.update(self.sae, self.done)
        if self.has_auxiliary_loss and (
            self.device.type == "cpu" or self.done % _READ_SILENT_EVERY == 0
        ):
            self._look_for_silent()
        return output

    def _look_for_silent(self) -> None:
        self.silent = (self.silent_for >= self.aux_after).nonzero().squeeze(1)
        self.silent_anywhere = self.exchange.anywhere(self.silent.shape[0])

    def _gradients(self, x: Tensor, target: Tensor) -> StepOutput:
        """Adds the batch's gradients up, in parts where the configuration asks for it."""
        rows = self.sae.shards.batch_rows(x.shape[0])
        size = self.sae.config.micro_batch or x.shape[0]
        dead = self.silent if self.silent_anywhere else None
        done = self.done + 1
        reported = self.log_every is not None and (done % self.log_every == 0 or done == self.steps)
        outputs: list[StepOutput] = []
        for part, wanted in zip(x.split(size), target.split(size), strict=True):
            output = self.sae.training_loss(
                part, wanted, dead=dead, progress=self.done / self.steps
            )
            share = part.shape[0] / rows
            (share * output.loss).backward()
            if reported and output.residual is not None:
                self.figures.measure(wanted, output.residual)
            outputs.append(output.weighted(share))
        return outputs[0] if len(outputs) == 1 else added(outputs)

    def _gradient_norm(self, output: StepOutput) -> tuple[Tensor, StepOutput]:
        """Of the gradient of all parameters together; and the output with the firings of all."""
        if self.sae.shards.features.size > 1:
            return self.exchange.norm(self.sae, output)
        gradients = [p.grad for p in self.sae.parameters() if p.grad is not None]
        # By rows first: twice as fast as over all of a matrix at once.
        norms = torch.cat([row_norms(gradient).flatten() for gradient in gradients])
        return torch.linalg.vector_norm(norms), output

    def _scale_gradient(self, norm: Tensor) -> None:
        """Scales the gradient of all parameters together, of norm `norm`, to norm 1, or clips it.

        Norm 1 is the default: errors shrink faster than Adam's second moment forgets the early,
        large gradients, so that without it the updates of a short run would be too small.
        """
        config = self.sae.config
        parameters = list(self.sae.parameters())
        if config.gradient == "unit":
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.div_(norm.clamp(min=1e-30))
            return
        limit = 1.0 if config.clip is None else config.clip
        # A GPU multiplies by one where nothing is to be clipped, so that the host need not ask.
        if norm.is_cuda or norm > limit:
            torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)

    def _resample(self, x: Tensor, target: Tensor) -> None:
        if self.divergence() is not None:
            return  # there are no chances to draw by; whoever runs the steps will find out
        dead = (self.silent_for >= self.dead_window).nonzero().squeeze(1)
        # A generator of this step's own: a run that was stopped draws the same rows.
        generator = torch.Generator().manual_seed(self.sae.config.seed + self.done)
        resample(self.sae, self.optimizers, dead, x, target, generator)
        self.silent_for[dead] = 0
        self.silent, self.silent_anywhere = self.silent[:0], 0

    def lr_at(self, step: int) -> float:
        """The learning rate of step `step`, counted from 0."""
        return self.lr * self.schedule.factor(step)

    def report(self) -> tuple[Averages, float]:
        """Averages since the last report and the dead share."""
        averages = self.recent.averages(self.outputs.variance)
        self.recent.reset()
        return averages, self._dead_fraction()

    def divergence(self) -> Divergence | None:
        """What is no longer finite, if anything is: rows, loss, gradient, weights or optimizer.

        Of rows, loss and gradient the first step is known; of the others the one by which it was
        found.
        """
        found = self.watch.found()
        if found is None:
            name = first_not_finite(self._own_state())
            if not self.exchange.anywhere(int(name is not None)):
                return None
            name = "a weight of another rank" if name is None else name
            found = self.done, "state", f"{name.partition('.')[2] or name} is not finite"
        step, cause, what = found
        config = self.sae.config.model_dump(mode="json")
        return Divergence(config=config, step=step, cause=cause, what=what, lr=self.lr)

    def final_metrics(self) -> Metrics:
        """Measured over the last tenth of the run."""
        return self._metrics(self.last)

    def recent_metrics(self) -> Metrics:
        """Measured over the steps since the last report."""
        return self._metrics(self.recent)

    def _metrics(self, sums: MetricSums) -> Metrics:
        averages = sums.averages(self.outputs.variance)
        return Metrics(
            fvu=averages.fvu,
            l0=averages.l0,
            dead_fraction=self._dead_fraction(),
            rows=averages.rows,
        )

    def _dead_fraction(self) -> float:
        if self.sae.shards.features.size == 1:
            return dead_fraction(self.silent_for, self.dead_window)
        dead = int((self.silent_for >= self.dead_window).count_nonzero())
        return self.exchange.anywhere(dead) / self.features

    def finished_sae(self) -> SAE:
        """A copy that takes raw activations. Where ranks share its features the first has the whole
        SAE, and the others their own features, in training units.
        """
        if self.average is None:
            sae = averaged(self.sae, self.optimizers)
        else:
            sae = self.average.averaged(self.sae)
            if sae.config.fine_tune is None:
                sae.after_update()
        sae = whole_sae(sae)
        if self.sae.shards.features.rank != 0:
            return sae
        return sae.fold_normalization(
            self.inputs.mean, self.inputs.scale, self.outputs.mean, self.outputs.scale
        )

    # ── checkpoints ──────────────────────────────────────────────────────────────────────────

    def state_tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, but for `done`; of SAEs that ranks share on the
        first one alone."""
        return whole_state(self.sae, self._own_state())

    def _own_state(self) -> dict[str, Tensor]:
        state = {f"weights.{name}": value for name, value in self.sae.state_dict().items()}
        for key, value in optimizer_state(self.sae, self.optimizers).items():
            state[f"optimizer.{key}"] = value
        if self.average is not None:
            state |= {f"average.{name}": mean for name, mean in self.average.means.items()}
        state["silent_for"] = self.silent_for
        state["silent"] = self.silent
        state["metrics.recent"] = self.recent.state()
        state |= {f"figures.{name}": value for name, value in self.figures.state().items()}
        state["metrics.last"] = self.last.state()
        return state

    def load_state(self, state: dict[str, Tensor], done: int) -> None:
        """The inverse of `state_tensors`."""
        self.done = done
        state = own_state(self.sae, state)
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}}
        for key, value in state.items():
            part, _, name = key.partition(".")
            parts.setdefault(part, {})[name] = value
        self.sae.load_state_dict(parts["weights"])
        load_optimizer_state(self.sae, self.optimizers, parts["optimizer"])
        self.frozen.keep()
        if self.average is not None:
            self.average.load(parts["average"])
        self.silent_for.copy_(state["silent_for"])
        self.silent = state["silent"].to(self.device)
        self.silent_anywhere = self.exchange.anywhere(self.silent.shape[0])
        self.figures.load(parts.get("figures", {}))
        self.recent.load_state(state["metrics.recent"])
        self.last.load_state(state["metrics.last"])


def added(outputs: list[StepOutput]) -> StepOutput:
    """The output of a batch from those of its parts, whose losses are already weighted."""
    return StepOutput(
        torch.stack([output.loss for output in outputs]).sum(),
        torch.stack([output.squared_error for output in outputs]).sum(),
        torch.stack([output.firings for output in outputs]).sum(0),
        torch.stack([output.sparsity for output in outputs]).sum(),
        torch.stack([output.auxiliary for output in outputs]).sum(),
        None,
    )
