"""Checkpoints are whole or not there, damaged ones are found; metrics fit the step they are of."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from lmsaes.errors import LmsaesError
from lmsaes.training.checkpoint import load_checkpoint, save_checkpoint
from lmsaes.training.metrics_file import forget_later_metrics
from tests.support.cut_off import run_alone

TENSORS = {"topk/weights.W_enc": torch.arange(60.0).view(6, 10), "topk/done": torch.tensor(3)}
STATE = {"tokens": 4096, "loader": {"epoch": 1, "skipped": [0.1, None]}}


def test_a_checkpoint_gives_back_what_was_saved(tmp_path: Path):
    assert load_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, 20, TENSORS, STATE)
    save_checkpoint(tmp_path, 1000, TENSORS, STATE)
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.state) == (1000, STATE)
    torch.testing.assert_close(found.tensors, TENSORS, rtol=0, atol=0)
    assert found.of("topk").keys() == {"weights.W_enc", "done"}
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["step-00001000"]


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
def test_one_flipped_bit_is_found_wherever_it_is(tmp_path: Path, name: str):
    save_checkpoint(tmp_path, 20, TENSORS, STATE)
    file = tmp_path / "checkpoints/step-00000020" / name
    good = file.read_bytes()
    for place in range(0, len(good), 7):
        bad = bytearray(good)
        bad[place] ^= 1
        file.write_bytes(bad)
        with pytest.raises(LmsaesError, match="step-00000020 is damaged") as error:
            load_checkpoint(tmp_path)
        assert "\n" not in str(error.value)
        assert "--overwrite" in (error.value.hint or "")


def test_a_checkpoint_that_is_cut_off_or_lacks_a_file_is_named(tmp_path: Path):
    save_checkpoint(tmp_path, 20, TENSORS, STATE)
    file = tmp_path / "checkpoints/step-00000020/state.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LmsaesError, match="is damaged"):
        load_checkpoint(tmp_path)
    file.unlink()
    with pytest.raises(LmsaesError, match="is damaged"):
        load_checkpoint(tmp_path)


CUT_OFF = """
import sys
from pathlib import Path
import torch
from lmsaes.training.checkpoint import load_checkpoint, save_checkpoint
from tests.support.cut_off import cut_off

for number in range(100):
    folder = Path(sys.argv[1]) / str(number)
    save_checkpoint(folder, 1, {"a": torch.ones(2)}, {})
    died = cut_off(lambda: save_checkpoint(folder, 2, {"a": 2 * torch.ones(2)}, {}), number)
    found = load_checkpoint(folder)
    assert float(found.tensors["a"][0]) == found.step
    print(found.step)
    if not died:
        break
"""


def test_a_save_that_is_cut_off_leaves_the_older_checkpoint_or_the_new_one(tmp_path: Path):
    steps = [int(line) for line in run_alone(CUT_OFF, tmp_path)]
    assert steps == sorted(steps)
    assert set(steps) == {1, 2}


CUT_OFF_AT_THE_SAME_STEP = """
import sys
from pathlib import Path
import torch
from lmsaes.training.checkpoint import load_checkpoint, save_checkpoint
from tests.support.cut_off import cut_off

for number in range(100):
    folder = Path(sys.argv[1]) / str(number)
    for value in (1, 2):
        save_checkpoint(folder, 7, {"a": torch.full((2,), float(value))}, {})
    save = lambda: save_checkpoint(folder, 7, {"a": torch.full((2,), 3.0)}, {})
    died = cut_off(save, number)
    found = load_checkpoint(folder)
    print(int(found.tensors["a"][0]))
    save()
    assert found.step == 7 and load_checkpoint(folder).tensors["a"][0] == 3
    assert len(list((folder / "checkpoints").iterdir())) == 1
    if not died:
        break
"""


def test_so_does_one_at_a_step_that_was_saved_before(tmp_path: Path):
    """As a run does that is interrupted where it was resumed."""
    values = [int(line) for line in run_alone(CUT_OFF_AT_THE_SAME_STEP, tmp_path)]
    assert values == sorted(values)
    assert set(values) == {2, 3}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc names the files")
def test_files_are_on_the_disk_before_older_checkpoints_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save_checkpoint(tmp_path, 1, TENSORS, STATE)
    synced: list[str] = []
    fsync = os.fsync

    def noting_fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        assert (tmp_path / "checkpoints/step-00000001").is_dir()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    save_checkpoint(tmp_path, 2, TENSORS, STATE)
    assert synced == ["state.safetensors.tmp", ".part", "state.json.tmp", ".part", "checkpoints"]
    assert not (tmp_path / "checkpoints/step-00000001").exists()


def lines(*steps: int) -> str:
    return "".join(json.dumps({"step": step, "fvu": 0.5}) + "\n" for step in steps)


@pytest.mark.parametrize(
    "torn", ["", '{"step": 2', '{"step": 20, "fvu"', '{"st', "\0\0\0", "3", '{"step": "2"}']
)
def test_later_metrics_and_a_torn_last_line_are_dropped(tmp_path: Path, torn: str):
    file = tmp_path / "metrics.jsonl"
    file.write_text(lines(5, 10, 15) + torn)
    forget_later_metrics(tmp_path, 10)
    assert file.read_text() == lines(5, 10)
    with file.open("a") as more:
        more.write(lines(15))
    assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [5, 10, 15]


def test_metrics_are_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "metrics.jsonl"
    file.write_text(lines(5, 10, 15))

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        forget_later_metrics(tmp_path, 10)
    assert file.read_text() == lines(5, 10, 15)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
