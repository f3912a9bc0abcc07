"""An SAE trained by several processes is the one that one process trains (PARALLEL's promise):
whatever a loss takes from the whole batch, or from all features, is taken over all ranks."""

from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.support.processes import run_ranks
from tests.training import steps_on_ranks
from tests.training.steps_on_ranks import CASES, STEPS

Found = dict[str, Tensor]


@pytest.fixture(scope="module", params=[2, 3])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(f"ranks-{request.param}")
    run_ranks(request.param, steps_on_ranks.save_results, folder)
    return folder


alone = cache(steps_on_ranks.alone)


@pytest.mark.parametrize("mode", ["features", "rows"])
@pytest.mark.parametrize("case", CASES)
def test_ranks_train_as_one_process_does(folder: Path, mode: str, case: str):
    found, expected = load_file(folder / f"{mode}-{case}.safetensors"), alone(case)
    for dead in (False, True):
        first = found[f"losses-{dead}"][0], expected[f"losses-{dead}"][0]
        torch.testing.assert_close(*first, rtol=1e-6, atol=0)
        check_gradients(found, expected, f"gradient-{dead}.")
    assert len(found["losses-True"]) == STEPS
    torch.testing.assert_close(found["losses-True"], expected["losses-True"], rtol=1e-3, atol=0)
    torch.testing.assert_close(found["l0"], expected["l0"], rtol=1e-3, atol=0)
    for name in ("silent_for", "silent"):
        agree = found[f"end.{name}"].shape == expected[f"end.{name}"].shape
        assert agree, name


def check_gradients(found: Found, expected: Found, prefix: str) -> None:
    names = [name for name in expected if name.startswith(prefix)]
    assert {name for name in found if name.startswith(prefix)} == set(names)
    squares = sum(float((found[n] - expected[n]).double().square().sum()) for n in names)
    total = sum(float(expected[n].double().square().sum()) for n in names)
    assert total > 0
    assert (squares / total) ** 0.5 <= 1e-6


@pytest.mark.parametrize("mode", ["features", "rows"])
@pytest.mark.parametrize("case", ["topk", "batchtopk", "gated"])
def test_as_many_ranks_give_the_same_bits_again_stopped_or_not(folder: Path, mode: str, case: str):
    found = load_file(folder / f"{mode}-{case}.safetensors")
    assert torch.equal(found["losses-again"], found["losses-True"][:10])
    ends = {name.removeprefix("end."): v for name, v in found.items() if name.startswith("end.")}
    for name, value in ends.items():
        assert torch.equal(found[f"continued.{name}"], value), name


def test_dead_features_change_the_loss():
    """Otherwise the cases with some would show nothing."""
    for case in ("topk", "relu-ghost", "gated"):
        found = alone(case)
        assert found["losses-True"][0] != found["losses-False"][0]
