"""SAEs of earlier steps that a run keeps: which, the same however it went, and taken with it."""

from pathlib import Path

import pytest
import torch

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.evaluation import evaluate
from lmsaes.sae import SAE, ReLUConfig, SAEConfig, TopK, TopKConfig, find_saes, sae_name
from lmsaes.training import SAETrainer, train
from lmsaes.training.kept import kept_steps
from tests.support.crash_points import contents
from tests.support.made_up_cache import made_up_cache

SAES: list[SAEConfig] = [
    TopKConfig(features=24, k=2),
    ReLUConfig(features=24, optimizer="schedule-free"),
]
HOW = {"tokens": 400, "batch_size": 16, "shuffle_buffer": "1MiB", "device": "cpu", "log_every": 4}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    folder = tmp_path_factory.mktemp("caches") / "cache"
    return made_up_cache(folder, 64, hooks={"hook": 8}, block_contexts=4)


@pytest.fixture(scope="module")
def run(cache: ActivationCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train(cache, SAES, out=out, keep=3, **HOW)
    return out


def weights(folder: Path) -> list[torch.Tensor]:
    return list(SAE.load(folder).state_dict().values())


@pytest.mark.parametrize(
    ("steps", "count", "spacing", "found"),
    [
        (100, 3, "linear", [25, 50, 75]),
        (1000, 3, "log", [1, 10, 100]),
        (3, 10, "linear", [1, 2]),
        (1, 4, "log", []),
        (100, 0, "linear", []),
    ],
)
def test_steps_are_spread_and_never_the_last(
    steps: int, count: int, spacing: str, found: list[int]
):
    assert kept_steps(steps, count, spacing) == found


def test_a_run_keeps_whole_saes_of_the_steps_in_between(run: Path):
    folders = sorted((run / "kept").iterdir())
    steps = sorted({int(folder.name[-8:]) for folder in folders})
    assert len(steps) == 3
    assert len(folders) == 6
    for folder in folders:
        provenance = SAE.load(folder).provenance
        assert provenance is not None
        assert provenance.steps == int(folder.name[-8:])
        assert 0.9 < provenance.tokens / (16 * provenance.steps) <= 1  # an epoch's last is short
        assert provenance.run_steps is not None
        assert provenance.run_steps > steps[-1]
    first, last = (SAE.load(run / "kept" / f"topk-2-step-{s:08d}") for s in (steps[0], steps[-1]))
    assert not torch.equal(first.W_dec, last.W_dec)


def test_keeping_changes_nothing_in_the_run(run: Path, cache: ActivationCache, tmp_path: Path):
    train(cache, SAES, out=tmp_path / "bare", **HOW)
    for name in ("topk-2", "relu-2"):
        assert all(map(torch.equal, weights(run / name), weights(tmp_path / "bare" / name)))


def test_a_run_that_was_stopped_keeps_the_same_bytes(
    run: Path, cache: ActivationCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    step = SAETrainer.step

    def failing(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        if self.done == 14 and isinstance(self.sae, TopK):
            raise MemoryError
        return step(self, x, target)

    with monkeypatch.context() as patched:
        patched.setattr(SAETrainer, "step", failing)
        with pytest.raises(MemoryError):
            train(cache, SAES, out=tmp_path / "run", keep=3, checkpoint_every=5, **HOW)
    assert len(list((tmp_path / "run/kept").iterdir())) == 4  # of which the run repeats two
    train(cache, SAES, out=tmp_path / "run", keep=3, checkpoint_every=5, **HOW)
    assert contents(tmp_path / "run/kept") == contents(run / "kept")


def test_an_evaluation_of_the_run_lists_them_as_its_members(run: Path, cache: ActivationCache):
    results = evaluate([run], cache, model="none", tokens=100, write=False, device="cpu")
    names = [each.name for each in results]
    assert names[:2] == ["run:relu-2", "run:topk-2"]
    assert len(names) == 8
    assert names[2:] == [sae_name(folder) for folder in sorted((run / "kept").iterdir())]
    assert all(name.startswith("run:") for name in names)
    assert find_saes([run], kept=False) == [run / "relu-2", run / "topk-2"]


def test_other_numbers_are_refused_and_overwriting_removes_them(
    cache: ActivationCache, tmp_path: Path
):
    train(cache, SAES[0], out=tmp_path / "run", keep=2, **HOW)
    with pytest.raises(ConfigError, match="keep: 2 → 3"):
        train(cache, SAES[0], out=tmp_path / "run", keep=3, **HOW)
    train(cache, SAES[0], out=tmp_path / "run", overwrite=True, **HOW)
    assert not (tmp_path / "run/kept").exists()
