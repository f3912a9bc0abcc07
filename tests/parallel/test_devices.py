"""Which device is meant, and the memory it has left."""

import pytest
import torch

from lmsaes.errors import ConfigError
from lmsaes.parallel import free_memory, own_device, resolve_device, widest_float


def machine(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "found"),
    [
        (True, False, "cuda"),
        (True, True, "cuda"),
        (False, True, "mps"),
        (False, False, "cpu"),
    ],
)
def test_auto_is_the_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, found: str
):
    machine(monkeypatch, cuda, mps)
    assert resolve_device("auto") == torch.device(found)


@pytest.mark.parametrize("device", ["abacus", "", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there_is_refused_in_one_line(device: str):
    with pytest.raises(ConfigError, match=f"device '{device}' can't be used") as error:
        resolve_device(device)
    assert "\n" not in str(error.value)
    assert "auto" in (error.value.hint or "")


def test_ranks_of_one_machine_have_each_a_gpu_of_their_own(monkeypatch: pytest.MonkeyPatch):
    machine(monkeypatch, cuda=True, mps=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert own_device("auto") == "auto"
    for rank, device in ((0, "cuda:0"), (1, "cuda:1"), (2, "cuda:0")):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        assert own_device("auto") == own_device("cuda") == device
    assert own_device("cuda:1") == "cuda:1"
    assert own_device("cpu") == "cpu"


def test_free_memory_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 9))
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 7)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 3)
    assert free_memory(torch.device("cuda")) == 5
    assert free_memory(torch.device("mps")) == 4


def test_a_cpus_free_memory_is_what_the_system_says_is_available():
    free = free_memory(torch.device("cpu"))
    if free is not None:
        assert 2**20 < free < 2**50


def test_sums_are_in_the_widest_float_that_the_device_has():
    assert widest_float(torch.device("cpu")) == torch.float64
    assert widest_float(torch.device("mps")) == torch.float32
