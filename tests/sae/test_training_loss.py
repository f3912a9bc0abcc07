"""Every architecture's step against its formula, written densely in float64 for clarity."""

from collections.abc import Callable
from itertools import combinations, product

import pytest
import torch
from allpairspy import AllPairs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmsaes.sae import (
    SAE,
    BatchTopK,
    BatchTopKConfig,
    Gated,
    GatedConfig,
    HierarchicalTopK,
    HierarchicalTopKConfig,
    JumpReLU,
    JumpReLUConfig,
    Matryoshka,
    MatryoshkaConfig,
    PAnnealing,
    PAnnealingConfig,
    ReLU,
    ReLUConfig,
    SAEConfig,
    TopK,
    TopKConfig,
)
from lmsaes.sae.sparse import active_set
from lmsaes.training import SAETrainer
from lmsaes.training.normalization import Normalization

ROWS, D, FEATURES = 12, 6, 32
Oracle = Callable[[SAE, Tensor, Tensor, Tensor], Tensor]


def keep_largest(values: Tensor, k: int) -> Tensor:
    """`values` with all but the k largest of each row set to zero."""
    kept = values.topk(k, dim=1).indices
    return values * torch.zeros_like(values).scatter(1, kept, 1.0)


def mean_square(error: Tensor) -> Tensor:
    return error.square().sum(1).mean() / error.shape[1]


def decode(sae: SAE, f: Tensor) -> Tensor:
    return f @ sae.W_dec + sae.b_dec


def aux_k(sae: SAE, pre: Tensor, residual: Tensor, dead: Tensor) -> Tensor:
    if not len(dead):
        return torch.zeros((), dtype=pre.dtype)
    f = keep_largest(pre[:, dead].relu(), min(sae.aux_k, len(dead)))
    missed = residual.detach()
    return sae.aux_weight * mean_square(missed - f @ sae.W_dec[dead]) / mean_square(missed)


def ghost(sae: SAE, pre: Tensor, residual: Tensor, dead: Tensor) -> Tensor:
    if not len(dead) or not sae.ghost_weight:
        return torch.zeros((), dtype=pre.dtype)
    residual = residual.detach()
    explained = pre[:, dead].exp() @ sae.W_dec[dead]
    explained = explained * (residual.norm(dim=1) / explained.detach().norm(dim=1) / 2)[:, None]
    loss = mean_square(residual - explained)
    return sae.ghost_weight * loss * mean_square(residual) / loss.detach()


def norms_of(sae: SAE) -> Tensor:
    """Norms of decoder rows, of a crosscoder summed over hooks."""
    hooks = max(1, len(sae.config.hooks))
    return sum((part.norm(dim=1) for part in sae.W_dec.chunk(hooks, 1)), torch.zeros(()).double())


def topk(sae: SAE, x: Tensor, target: Tensor, dead: Tensor) -> Tensor:
    assert isinstance(sae, TopK)
    pre = x @ sae.W_enc.T + sae.b_enc
    residual = target - decode(sae, keep_largest(pre.relu(), sae.k))
    revival = aux_k(sae, pre, residual, dead) + ghost(sae, pre, residual, dead)
    return mean_square(residual) + revival


def hierarchical(sae: SAE, x: Tensor, target: Tensor, dead: Tensor) -> Tensor:
    assert isinstance(sae, HierarchicalTopK)
    pre = x @ sae.W_enc.T + sae.b_enc
    residuals = [target - decode(sae, keep_largest(pre.relu(), k)) for k in sae.levels]
    mean = torch.stack([mean_square(residual) for residual in residuals]).mean()
    return mean + aux_k(sae, pre, residuals[-1], dead)


def largest_of_batch(sae: BatchTopK, x: Tensor, pre: Tensor) -> Tensor:
    # Rows that are there twice may differ in their last bits, and in others than the step's own:
    # which of them are in is asked of its numbers.
    rounded = sae.preactivations(x)
    cut = rounded.relu().flatten().topk(min(sae.k * len(pre), pre.numel())).values[-1]
    return pre.relu() * (rounded >= cut)


def batchtopk(sae: SAE, x: Tensor, target: Tensor, dead: Tensor) -> Tensor:
    assert isinstance(sae, BatchTopK)
    pre = x @ sae.W_enc.T + sae.b_enc
    residual = target - decode(sae, largest_of_batch(sae, x, pre))
    return mean_square(residual) + aux_k(sae, pre, residual, dead)


def matryoshka(sae: SAE, x: Tensor, target: Tensor, dead: Tensor) -> Tensor:
    assert isinstance(sae, Matryoshka)
    pre = x @ sae.W_enc.T + sae.b_enc
    f = largest_of_batch(sae, x, pre)
    residuals = [target - f[:, :end] @ sae.W_dec[:end] - sae.b_dec for end in sae.ends]
    mean = torch.stack([mean_square(residual) for residual in residuals]).mean()
    return mean + aux_k(sae, pre, residuals[-1], dead)


def relu(sae: SAE, x: Tensor, target: Tensor, dead: Tensor) -> Tensor:
    assert isinstance(sae, ReLU)
    f = (x @ sae.W_enc.T + sae.b_enc).relu()
    penalty = (f * norms_of(sae)).sum(1).mean() / target.shape[1]
    residual = target - decode(sae, f)
    pre = x @ sae.W_enc.T + sae.b_enc
    revival = aux_k(sae, pre, residual, dead) + ghost(sae, pre, residual, dead)
    return mean_square(residual) + sae.l1 * penalty + revival


def p_anneal(sae: SAE, x: Tensor, target: Tensor, dead: Tensor) -> Tensor:
    assert isinstance(sae, PAnnealing)
    f = (x @ sae.W_enc.T + sae.b_enc).relu()
    weighted = f * norms_of(sae)
    powers = ((weighted + 1e-3) ** sae.p_end - 1e-3**sae.p_end).sum()
    penalty = weighted.detach().sum() / powers.detach().clamp(min=1e-3) * powers / target.numel()
    return mean_square(target - decode(sae, f)) + sae.l1 * penalty


def gated(sae: SAE, x: Tensor, target: Tensor, dead: Tensor) -> Tensor:
    assert isinstance(sae, Gated)
    gate = x @ sae.W_enc.T + sae.b_enc
    f = (gate > 0) * ((x @ sae.W_enc.T) * sae.r_mag.exp() + sae.b_mag).relu()
    penalty = (gate.relu() * norms_of(sae)).sum(1).mean() / target.shape[1]
    by_gate = gate.relu() @ sae.W_dec.detach() + sae.b_dec.detach()
    return mean_square(target - decode(sae, f)) + sae.l1 * penalty + mean_square(target - by_gate)


def straight_through(sae: JumpReLU, z: Tensor) -> tuple[Tensor, Tensor]:
    """z·1[z > θ] and 1[z > θ], whose derivatives at θ are those of a ramp of the window's width."""
    threshold, bandwidth = sae.threshold, sae.bandwidth
    step = (z > threshold).double()
    inside = ((z - threshold).abs() < bandwidth / 2).double()
    # Zero in value; in θ its slope is that of the rectangle.
    ramp = -(threshold - threshold.detach()) * inside / bandwidth
    f = z * step + threshold.detach() * ramp
    if sae.sparsity == "tanh":
        f = f + threshold.detach() * (z - z.detach()) * inside / bandwidth
    return f, step + ramp


def jumprelu(sae: SAE, x: Tensor, target: Tensor, dead: Tensor) -> Tensor:
    assert isinstance(sae, JumpReLU)
    z = x @ sae.W_enc.T + sae.b_enc
    f, step = straight_through(sae, z)
    l0, norms = step.sum(1).mean(), norms_of(sae)
    if sae.sparsity == "target":
        penalty = sae.weight * 2 / sae.target_l0 * (l0 - sae.target_l0) ** 2
    elif sae.sparsity == "l0":
        penalty = sae.weight * l0
    else:
        silent = ((sae.threshold - z).relu() * norms).sum(1).mean()
        firing = (sae.tanh_scale * f * norms).tanh().sum(1).mean()
        penalty = (sae.weight * firing + sae.pre_weight * silent) / target.shape[1]
    frequency = (step.mean(0) - sae.max_frequency).relu().sum()
    return mean_square(target - decode(sae, f)) + penalty + sae.frequency_weight * frequency


CASES: list[tuple[SAEConfig, Oracle]] = [
    (TopKConfig(features=FEATURES, k=4), topk),
    (TopKConfig(features=FEATURES, k=FEATURES, aux_k=3), topk),
    (TopKConfig(features=FEATURES, k=1, aux_k=1), topk),
    (TopKConfig(features=FEATURES, k=4, ghost_weight=0.7), topk),
    (HierarchicalTopKConfig(features=FEATURES, k=7), hierarchical),
    (HierarchicalTopKConfig(features=FEATURES, k=5, levels=(2, 3)), hierarchical),
    (BatchTopKConfig(features=FEATURES, k=4), batchtopk),
    (BatchTopKConfig(features=FEATURES, k=FEATURES, aux_k=2), batchtopk),
    (MatryoshkaConfig(features=FEATURES, k=4), matryoshka),
    (MatryoshkaConfig(features=FEATURES, k=1, prefixes=(0.5, 0.5)), matryoshka),
    (ReLUConfig(features=FEATURES, l1=0.5), relu),
    (ReLUConfig(features=FEATURES, l1=0.5, decoder="unit", aux_weight=0.5), relu),
    (ReLUConfig(features=FEATURES, l1=0.5, ghost_weight=1), relu),
    (PAnnealingConfig(features=FEATURES, l1=0.5), p_anneal),
    (GatedConfig(features=FEATURES, l1=0.5), gated),
    (JumpReLUConfig(features=FEATURES, l0=5, weight=0.2), jumprelu),
    (JumpReLUConfig(features=FEATURES, sparsity="l0", frequency_weight=0.3), jumprelu),
    (JumpReLUConfig(features=FEATURES, sparsity="tanh", bandwidth=2, pre_weight=0.1), jumprelu),
]


@pytest.fixture(params=["sparse", "dense"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forms of the step, whatever would be the faster one."""
    share = 1.0 if request.param == "sparse" else 0.0
    monkeypatch.setitem(active_set.SPARSE_BELOW, "cpu", share)


TASKS: dict[str, dict[str, object]] = {
    "autoencoder": {},
    "transcoder": {"target": "another hook"},
    "transcoder with a skip": {"target": "another hook", "skip": True},
    "crosscoder": {"hooks": ("one hook", "another")},
}


def make(config: SAEConfig, d: int = D, task: str = "autoencoder") -> SAE:
    """All parameters are away from their starting values."""
    config = config.model_copy(update=TASKS[task])
    sae = SAE.create(config, d, 4 if config.target else d).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in sae.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.3 * noise)
    sae.after_update()
    return sae


def assert_step_equals(sae: SAE, oracle: Oracle, x: Tensor, target: Tensor, dead: Tensor) -> None:
    parameters = dict(sae.named_parameters())
    beside = target if sae.W_skip is None else target - x @ sae.W_skip.T
    plain = oracle(sae, x, beside, dead)
    expected = torch.autograd.grad(plain, parameters.values(), allow_unused=True)
    output = sae.training_loss(x, target, dead=dead)
    found = torch.autograd.grad(output.loss, parameters.values(), allow_unused=True)
    torch.testing.assert_close(output.loss, plain)
    for name, ours, theirs in zip(parameters, found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, msg=lambda text, name=name: f"{name}: {text}")


DEAD: dict[str, list[int]] = {
    "none dead": [],
    "one dead": [3],
    "half dead": list(range(0, FEATURES, 2)),
    "all dead": list(range(FEATURES)),
}
FORMS = {"sparse": 1.0, "dense": 0.0}
# Every pair of values of two factors, which is where steps have gone wrong, not every combination.
FACTORS = [list(range(len(CASES))), list(DEAD), list(TASKS), list(FORMS)]
PAIRS = [tuple(pairs) for pairs in AllPairs(FACTORS)]


def id_of(value: object) -> str | None:
    return CASES[value][0].architecture if isinstance(value, int) else None


@pytest.mark.parametrize(("case", "dead", "task", "form"), PAIRS, ids=id_of)
def test_a_step_has_the_value_and_gradients_of_its_formula(
    case: int, dead: str, task: str, form: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(active_set.SPARSE_BELOW, "cpu", FORMS[form])
    config, oracle = CASES[case]
    sae = make(config, task=task)
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(ROWS, D, generator=generator, dtype=torch.float64)
    target = x
    if sae.transcodes:
        target = torch.randn(ROWS, sae.d_out, generator=generator, dtype=torch.float64)
    assert_step_equals(sae, oracle, x, target, torch.tensor(DEAD[dead], dtype=torch.int64))


def test_every_pair_of_factors_is_among_the_steps_that_are_checked():
    for one, other in combinations(range(len(FACTORS)), 2):
        wanted = set(product(FACTORS[one], FACTORS[other]))
        assert wanted <= {(pairs[one], pairs[other]) for pairs in PAIRS}


@st.composite
def batches(draw: st.DrawFn) -> Tensor:
    """A few rows, some of them twice, some of zeros, contiguous or not."""
    rows, d = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(rows, d, generator=generator, dtype=torch.float64)
    x = x[draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=9))]
    x[draw(st.integers(0, x.shape[0] - 1))] *= draw(st.sampled_from([0.0, 1.0]))
    return x.T.contiguous().T if draw(st.booleans()) else x


@settings(max_examples=80)
@given(
    st.sampled_from([(config, oracle) for config, oracle in CASES if config.features]),
    batches(),
    st.sampled_from([0.0, -3.0, -100.0]),
    st.lists(st.integers(0, FEATURES - 1), unique=True),
    st.sampled_from([0.0, 1.0]),
)
def test_a_step_of_any_shape_has_the_value_and_gradients_of_its_formula(
    case: tuple[SAEConfig, Oracle], x: Tensor, bias: float, dead: list[int], sparse_below: float
):
    config, oracle = case
    sae = make(config, x.shape[1])
    with torch.no_grad():
        sae.b_enc.add_(bias)  # fewer than k positive entries, or none at all
    before = active_set.SPARSE_BELOW["cpu"]
    active_set.SPARSE_BELOW["cpu"] = sparse_below
    try:
        assert_step_equals(sae, oracle, x, x, torch.tensor(dead, dtype=torch.int64))
    finally:
        active_set.SPARSE_BELOW["cpu"] = before


@pytest.mark.parametrize("config", [config for config, _ in CASES])
@pytest.mark.usefixtures("form")
def test_a_step_reports_what_fired_and_what_was_missed(config: SAEConfig):
    sae = make(config)
    x = torch.randn(ROWS, D, dtype=torch.float64)
    output = sae.training_loss(x, x)
    if isinstance(sae, BatchTopK):
        sae.threshold.mul_(1 - 1e-9)  # it is one of these values, and rounding may differ
    f = sae.encode(x, dense=True)
    torch.testing.assert_close(output.firings.double(), (f > 0).sum(0).double())
    torch.testing.assert_close(output.squared_error, sae.residual(x).square().sum())


def test_zeros_of_a_relu_get_no_gradient():
    sae = make(TopKConfig(features=FEATURES, k=FEATURES))
    with torch.no_grad():
        sae.b_enc.fill_(-100.0)
    x = torch.randn(ROWS, D, dtype=torch.float64)
    sae.training_loss(x, x).loss.backward()
    assert sae.W_enc.grad is not None
    assert sae.W_enc.grad.abs().max() == 0


def test_the_auxiliary_loss_reaches_the_encoder_of_dead_features():
    sae = make(TopKConfig(features=FEATURES, k=4))
    dead = torch.tensor([2, 9])
    with torch.no_grad():
        sae.W_enc[dead] *= 1e-3  # too small to be among the k largest
        sae.b_enc[dead] = 1e-6
    x = torch.randn(ROWS, D, dtype=torch.float64)
    for silent, alive in ((torch.empty(0, dtype=torch.int64), False), (dead, True)):
        sae.zero_grad()
        sae.training_loss(x, x, dead=silent).loss.backward()
        assert sae.W_enc.grad is not None
        assert bool((sae.W_enc.grad[dead].abs().sum(1) > 0).all()) is alive


@pytest.mark.parametrize("config", [TopKConfig(features=FEATURES, k=4), ReLUConfig(l1=0.5)])
@pytest.mark.usefixtures("form")
def test_a_bfloat16_product_keeps_master_weights_and_losses_in_float32(config: SAEConfig):
    x = torch.randn(ROWS, D)
    plain = SAE.create(config, D).training_loss(x, x)
    sae = SAE.create(config.model_copy(update={"matmul_dtype": "bfloat16"}), D)
    rounded = sae.training_loss(x, x)
    rounded.loss.backward()
    assert rounded.loss.dtype == sae.W_enc.dtype == torch.float32
    assert sae.W_enc.grad is not None
    assert sae.W_enc.grad.dtype == torch.float32
    assert float(rounded.loss.detach()) == pytest.approx(float(plain.loss.detach()), rel=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("config", [config for config, _ in CASES])
def test_a_step_never_waits_for_the_gpu(config: SAEConfig):
    scale = Normalization(torch.zeros(D).cuda(), torch.ones(D).cuda(), float(D))
    trainer = SAETrainer(SAE.create(config, D).cuda(), 10, 1000, scale, scale)
    x = torch.randn(ROWS, D, device="cuda")
    trainer.step(x, x)  # compiles kernels, allocates
    trainer.silent = torch.arange(0, FEATURES, 2, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.step(x, x)
    finally:
        torch.cuda.set_sync_debug_mode("default")
