"""Killed between any two changes of the disk, the same command ends in the same bytes."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lmsaes.interop import export_sae, import_sae
from lmsaes.sae import ReLUConfig, SAEConfig, TopKConfig
from lmsaes.training import TrainedSAE, prune, train
from tests.support.crash_points import contents, count, dies_before
from tests.support.made_up_cache import made_up_cache

# run by tests/test_crash_points.py, in a process of their own
pytestmark = pytest.mark.forks

TOPK, RELU = TopKConfig(features=16, k=2), ReLUConfig(features=16)


def run_here(
    cache: Path, run: Path, configs: tuple[SAEConfig, ...] = (TOPK, RELU), overwrite: bool = False
) -> list[TrainedSAE]:
    return train(
        cache, configs, out=run, tokens=200, batch_size=16, shuffle_buffer="1MiB", device="cpu",
        checkpoint_every=5, log_every=4, keep=1, overwrite=overwrite,
    )  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crash") / "cache"
    made_up_cache(folder, 64, hooks={"hook": 8}, block_contexts=4)
    return folder


@pytest.fixture(scope="module")
def whole(cache: Path) -> Path:
    run_here(cache, cache.parent / "whole")
    return cache.parent / "whole"


def begin(state: str, cache: Path, run: Path) -> None:
    """What is in the folder when the command starts that is to be killed."""
    if state == "resumed":
        assert dies_before(60, partial(run_here, cache, run), run)
        assert list((run / "checkpoints").glob("step-*"))
    elif state == "overwrite":
        # another run, of an SAE more, that has got as far as a checkpoint
        other = (TOPK, TopKConfig(features=16, k=3))
        assert dies_before(60, partial(run_here, cache, run, other), run)
    elif state == "overwrite finished":
        run_here(cache, run, (TOPK, TopKConfig(features=16, k=3)))


STATES = ["fresh", "resumed", "overwrite", "overwrite finished"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("share", [39, pytest.param(1, marks=pytest.mark.stress)])
def test_killed_before_any_change_the_same_command_goes_on(
    tmp_path: Path, cache: Path, whole: Path, state: str, share: int
) -> None:
    """share: every which change is died before."""
    begun, run = tmp_path / "begun", tmp_path / "run"
    begin(state, cache, run)
    if state != "fresh":
        run.rename(begun)
    command = partial(run_here, cache, run, overwrite=state.startswith("overwrite"))

    def start() -> None:
        shutil.rmtree(run, ignore_errors=True)
        if state != "fresh":
            shutil.copytree(begun, run)

    start()
    total = count(command, run)
    assert total > 30
    assert contents(run) == contents(whole)
    faults: list[str] = []
    for change in range(1, total + 1, share):
        start()
        assert dies_before(change, command, run)
        try:
            command()
            if contents(run) != contents(whole):
                faults.append(f"{change}: {difference(run, whole)}")
        except Exception as error:
            faults.append(f"{change}: {error}")
    assert faults == []


def difference(run: Path, whole: Path) -> str:
    one, other = contents(run), contents(whole)
    return ", ".join(n for n in sorted(one | other) if one.get(n) != other.get(n))


Make = Callable[[Path, Path, Path], object]

MADE: dict[str, Make] = {
    "pruned": lambda cache, run, out: prune(
        run / "topk-2", cache, out, model="none", device="cpu", min_activation=1e-6
    ),
    "saelens": lambda cache, run, out: export_sae(run / "topk-2", "saelens", out),
    "delphi": lambda cache, run, out: export_sae(
        run / "relu-2", "delphi", out, cache=cache, splits=2, device="cpu"
    ),
    "imported": lambda cache, run, out: import_sae(run / "topk-2", out),
}


@pytest.mark.parametrize("what", MADE)
@pytest.mark.parametrize("share", [4, pytest.param(1, marks=pytest.mark.stress)])
def test_what_is_made_of_a_run_goes_on_too(
    tmp_path: Path, cache: Path, whole: Path, what: str, share: int
) -> None:
    """share: every which change is died before."""
    out = tmp_path / "out"
    command = partial(MADE[what], cache, whole, out)
    MADE[what](cache, whole, tmp_path / "expected")
    expected = without_times(tmp_path / "expected")
    total = count(command, out)
    assert total > 4
    assert without_times(out) == expected
    for change in range(1, total + 1, share):
        shutil.rmtree(out)
        assert dies_before(change, command, out)
        command()
        assert without_times(out) == expected, change
    before = contents(out)
    command()  # which is finished
    assert contents(out) == before


def without_times(folder: Path) -> dict[str, bytes]:
    """What evaluations write down is of another moment each time."""
    timed = ("pruned.json", "config.json") if (folder / "pruned.json").is_file() else ()
    return {name: b"" if name in timed else data for name, data in contents(folder).items()}
