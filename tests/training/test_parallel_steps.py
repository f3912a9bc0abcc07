"""SAEs of a run that step side by side, each on its share of the cores."""

from collections.abc import Iterator

import pytest
import torch

from lmsaes.sae import SAE, BatchTopKConfig, ReLUConfig, SAEConfig, TopKConfig
from lmsaes.training import SAETrainer
from lmsaes.training.normalization import Normalization
from lmsaes.training.parallel_steps import ParallelSteps

D, ROWS, STEPS = 16, 64, 8
CPU = torch.device("cpu")
CONFIGS: list[SAEConfig] = [
    TopKConfig(features=48, k=4),
    ReLUConfig(features=48, l1=1.0),
    BatchTopKConfig(features=32, k=4),
]


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def trainers(configs: list[SAEConfig] = CONFIGS) -> list[SAETrainer]:
    scale = Normalization(torch.zeros(D), torch.ones(D), float(D))
    return [SAETrainer(SAE.create(c, D), STEPS, STEPS * ROWS, scale, scale) for c in configs]


def batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(ROWS, D, generator=generator) for _ in range(STEPS)]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_parallel_steps_are_those_of_each_sae_alone(number: int):
    alone, together = trainers(CONFIGS[:number]), trainers(CONFIGS[:number])
    with ParallelSteps(together, CPU) as parallel:
        for x in batches():
            parallel.step([(x, x)] * number)
            for trainer in alone:
                trainer.step(x, x)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one.state_tensors(), other.state_tensors())


def test_each_has_its_share_of_the_cores_and_the_one_left_over_has_all(
    monkeypatch: pytest.MonkeyPatch,
):
    cores: dict[SAETrainer, int] = {}

    def step(self: SAETrainer, x: torch.Tensor, target: torch.Tensor) -> None:
        cores[self] = torch.get_num_threads()

    monkeypatch.setattr(SAETrainer, "step", step)
    three = trainers()
    x = torch.zeros(ROWS, D)
    with ParallelSteps(three, CPU) as parallel:
        parallel.step([(x, x)] * 3)
    assert [cores[trainer] for trainer in three] == [1, 1, 2]
    assert torch.get_num_threads() == 2


def test_each_gets_its_own_batch(monkeypatch: pytest.MonkeyPatch):
    seen: dict[SAETrainer, tuple[float, float]] = {}

    def step(self: SAETrainer, x: torch.Tensor, target: torch.Tensor) -> None:
        seen[self] = float(x), float(target)

    monkeypatch.setattr(SAETrainer, "step", step)
    three = trainers()
    with ParallelSteps(three, CPU) as parallel:
        parallel.step([(torch.full((1, 1), i), torch.full((1, 1), -i)) for i in (1.0, 2.0, 3.0)])
    assert [seen[trainer] for trainer in three] == [(1.0, -1.0), (2.0, -2.0), (3.0, -3.0)]


@pytest.mark.parametrize("failing", [0, 2])
def test_an_error_of_one_is_raised(monkeypatch: pytest.MonkeyPatch, failing: int):
    three = trainers()

    def step(self: SAETrainer, x: torch.Tensor, target: torch.Tensor) -> None:
        if self is three[failing]:
            raise ArithmeticError("of one")

    monkeypatch.setattr(SAETrainer, "step", step)
    x = torch.zeros(ROWS, D)
    with ParallelSteps(three, CPU) as parallel, pytest.raises(ArithmeticError, match="of one"):
        parallel.step([(x, x)] * 3)
