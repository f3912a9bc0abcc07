"""`--parallel saes`: each process trains some of a run's SAEs, to the bits of one process."""

import signal
from pathlib import Path
from unittest import mock

import pytest
import torch

from lmsaes.cache import ActivationCache
from lmsaes.sae import ReLUConfig, SAEConfig, TopKConfig
from lmsaes.training import SAETrainer, train
from lmsaes.training.split import balanced
from tests.support.made_up_cache import made_up_cache
from tests.support.processes import run_ranks

CONFIGS: list[SAEConfig] = [
    TopKConfig(features=24, k=4),
    ReLUConfig(features=16),
    TopKConfig(features=16, k=2, hook="other"),
]
SETTINGS = {"tokens": 600, "batch_size": 64, "shuffle_buffer": "4MiB", "hook": "hook"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    folder = tmp_path_factory.mktemp("caches") / "made-up"
    return made_up_cache(folder, 64, context_size=8, hooks={"hook": 8, "other": 6})


def train_part(cache: Path, whole: Path, stopped: Path) -> None:
    """What each process does: a run at once; one that is stopped in its fifth step."""
    train(cache, CONFIGS, out=whole, parallel="saes", **SETTINGS)  # pyright: ignore
    step, steps = SAETrainer.step, 0

    def stop_at_five(self: SAETrainer, *batch: torch.Tensor):
        nonlocal steps
        steps += 1
        if steps == 5:
            signal.raise_signal(signal.SIGINT)
        return step(self, *batch)

    with mock.patch.object(SAETrainer, "step", stop_at_five), pytest.raises(KeyboardInterrupt):
        train(cache, CONFIGS, out=stopped, parallel="saes", **SETTINGS)  # pyright: ignore


@pytest.fixture(scope="module")
def runs(cache: ActivationCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run_ranks(2, train_part, cache.path, folder / "ranks", folder / "stopped")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train(cache, CONFIGS, out=folder / "one", **SETTINGS)  # pyright: ignore
        train(cache, CONFIGS, out=folder / "stopped", **SETTINGS)  # pyright: ignore
    finally:
        torch.set_num_threads(threads)
    return folder


def contents(run: Path) -> dict[str, bytes]:
    """Its files but train.toml, which names the folder, and speed.jsonl, which has times."""
    files = [file for file in run.rglob("*") if file.is_file() and file.name[0] != "."]
    found = {str(file.relative_to(run)): file.read_bytes() for file in files}
    assert found.pop("train.toml")
    assert found.pop("speed.jsonl")
    return found


def test_two_processes_write_the_files_of_one(runs: Path):
    expected = contents(runs / "one")
    assert len(expected) == 1 + 3 * len(CONFIGS)
    assert contents(runs / "ranks") == expected


def test_one_process_goes_on_where_two_were_stopped(runs: Path):
    assert contents(runs / "stopped") == contents(runs / "one")


def test_the_dearest_saes_are_shared_out_first():
    assert balanced([1, 8, 4, 3, 2], 2) == [[0, 1], [2, 3, 4]]
    assert balanced([1.0], 3) == [[0], [], []]
