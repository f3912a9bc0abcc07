"""One process at a time trains into a folder; from a dead one another takes over."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmsaes.errors import ConfigError
from lmsaes.parallel import try_lock
from lmsaes.sae import TopKConfig
from lmsaes.training import TrainedSAE, train
from tests.support.made_up_cache import made_up_cache

TRAINS = """
import sys, time
from lmsaes.sae import TopKConfig
from lmsaes.training import SAETrainer, train

step = SAETrainer.step

def waiting_step(self, x, target):
    if self.done == 12:
        print("there", flush=True)
        time.sleep(600)
    return step(self, x, target)

SAETrainer.step = waiting_step
train(
    sys.argv[1], TopKConfig(features=16, k=2), out=sys.argv[2], tokens=400, batch_size=16,
    shuffle_buffer="1MiB", device="cpu", checkpoint_every=5, log_every=5,
)
"""


def train_here(cache: Path, run: Path, **options: object) -> list[TrainedSAE]:
    return train(
        cache, TopKConfig(features=16, k=2), out=run, tokens=400, batch_size=16,
        shuffle_buffer="1MiB", device="cpu", log_every=5, **options,  # pyright: ignore
    )  # fmt: skip


def test_a_second_process_is_refused_while_the_first_lives_and_goes_on_when_it_is_dead(
    tmp_path: Path,
):
    cache, run = tmp_path / "cache", tmp_path / "run"
    made_up_cache(cache, 64, hooks={"hook": 8}, block_contexts=4)
    first = subprocess.Popen(
        [sys.executable, "-c", TRAINS, cache, run], stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "there\n"
        for overwrite in (False, True):
            with pytest.raises(ConfigError, match="another process is training into") as error:
                train_here(cache, run, overwrite=overwrite)
            assert str(run) in str(error.value)
            assert "\n" not in str(error.value)
        assert (run / "checkpoints/step-00000010").is_dir()
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    (result,) = train_here(cache, run)
    (whole,) = train_here(cache, tmp_path / "whole")
    weights = [each.path / "weights.safetensors" for each in (result, whole)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_finished_run_is_returned_though_another_process_holds_its_lock(tmp_path: Path):
    made_up_cache(tmp_path / "cache", 64, hooks={"hook": 8}, block_contexts=4)
    first = train_here(tmp_path / "cache", tmp_path / "run")
    lock = try_lock(tmp_path / "run/.lock")
    assert lock is not None  # released, and it was the run's
    assert train_here(tmp_path / "cache", tmp_path / "run") == first
    lock.release()


def test_a_run_that_fails_lets_go_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made_up_cache(tmp_path / "cache", 64, hooks={"hook": 8}, block_contexts=4)
    with monkeypatch.context() as patched:
        patched.setattr("lmsaes.training.sweep.Sweep.train", _fail)
        with pytest.raises(MemoryError) as kept:
            train_here(tmp_path / "cache", tmp_path / "run")
    assert len(train_here(tmp_path / "cache", tmp_path / "run")) == 1
    assert kept.value is not None  # as a notebook keeps the last error, and its frames, alive


def _fail(*_: object) -> None:
    raise MemoryError


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    made_up_cache(tmp_path / "cache", 64, hooks={"hook": 8}, block_contexts=4)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"can't write to .*file/run: Not a directory"):
        train_here(tmp_path / "cache", tmp_path / "file" / "run")


def test_a_lock_ends_with_its_holder(tmp_path: Path):
    file = tmp_path / "folder" / ".lock"
    code = "import sys, time; from pathlib import Path; from lmsaes.parallel import try_lock\n"
    code += "lock = try_lock(Path(sys.argv[1])); print(lock is not None, flush=True)\n"
    code += "time.sleep(600)"
    holder = subprocess.Popen([sys.executable, "-c", code, file], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert try_lock(file) is None
    finally:
        holder.kill()
        holder.wait()
    lock = try_lock(file)
    assert lock is not None
    assert try_lock(file) is None
    lock.release()
    again = try_lock(file)
    assert again is not None
    again.release()
