"""`torchrun … lmsaes train`: a run that is interrupted, and one of whose processes dies, ends in
seconds with one line and a state to go on from."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmsaes.training.checkpoint import load_checkpoint
from tests.support.made_up_cache import made_up_cache

PATIENCE = 120  # seconds, of a machine that is busy


def wait_for(what: str, condition: object, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():  # pyright: ignore
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, what
        time.sleep(0.1)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes in /proc")
def test_all_end_with_one_line_and_a_checkpoint(tmp_path: Path):
    cache = made_up_cache(tmp_path / "cache", 64, context_size=8, hooks={"hook": 8})
    run, folder = tmp_path / "run", Path(sys.executable).parent
    command = [
        folder / "torchrun", "--standalone", "--nproc-per-node", "2", "--no-python",
        folder / "lmsaes", "train", "--cache", cache.path, "--out", run, "--tokens", "500M",
        "--batch-size", "64", "--features", "24", "--k", "4", "--checkpoint-every", "2",
        "--device", "cpu", "--parallel", "features",
    ]  # fmt: skip
    steps = interrupted_at = 0
    for ended_by in ("interrupt", "death"):
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        wait_for("a checkpoint", lambda steps=steps: newest_step(run) > steps, process)
        if ended_by == "interrupt":
            process.send_signal(signal.SIGINT)
        else:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(children[1]), signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode != 0
        assert newest_step(run) > steps
        interrupted_at, steps = steps, newest_step(run)
        one_line = {
            "interrupt": "interrupted; run the same command again to continue",
            "death": "error: another process of this run has failed or can't be reached",
        }
        assert said.count(one_line[ended_by]) == 1, said
        assert said.count("2 ranks, --parallel features: as asked") == 1
    assert f"continuing at step {interrupted_at}\n" in said
    assert load_checkpoint(run) is not None


def newest_step(run: Path) -> int:
    return max((int(f.name.split("-")[1]) for f in run.glob("checkpoints/step-*")), default=0)
