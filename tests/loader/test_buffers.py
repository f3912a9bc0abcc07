"""Memory of batches is used again, and never while somebody holds the batch."""

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmsaes.loader.buffers import BatchMemory
from lmsaes.loader.loader import ShuffledLoader
from lmsaes.loader.order import SMALLEST_POOL
from tests.support.made_up_cache import made_up_cache


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int8, torch.float32])
def test_memory_is_that_of_a_table_with_other_rows(dtype: torch.dtype):
    batch = BatchMemory(1, pinned=False).like(torch.empty(7, 3, 2, dtype=dtype), 5)
    assert (batch.shape, batch.dtype, batch.is_contiguous()) == ((5, 3, 2), dtype, True)


def test_memory_is_used_again_once_the_last_view_is_gone(monkeypatch: pytest.MonkeyPatch):
    memory, table = BatchMemory(1, pinned=False), torch.empty(1, 64)
    first = memory.like(table, 100)
    place, view = first.data_ptr(), first[3:, 5].numpy()
    del first
    second = memory.like(table, 100)
    assert second.data_ptr() != place
    del view
    # else the C library might give the same place again
    monkeypatch.setattr(np, "empty", None)
    assert memory.like(table, 100).data_ptr() == place


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4)), max_size=60))
def test_no_two_batches_share_memory(wishes: list[tuple[int, int]]):
    memory, table = BatchMemory(2, pinned=False), torch.empty(1, 4)
    held: list[tuple[int, torch.Tensor]] = []
    for number, (rows, kept) in enumerate(wishes):
        held.append((number, memory.like(table, rows).fill_(number)))
        held = held[len(held) - min(len(held), kept) :]
        for written, batch in held:
            assert (batch == written).all()


@pytest.mark.parametrize("pool_rows", [SMALLEST_POOL, 4000])  # the second holds them all
def test_a_loader_hands_out_few_pieces_of_memory_and_lets_its_batches_go(
    tmp_path: Path, pool_rows: int
):
    cache = made_up_cache(tmp_path / "cache", 1000, context_size=4, hooks={"a": 3})
    with ShuffledLoader(cache, "a", 40, pool_rows=pool_rows) as loader:
        gc.disable()  # nothing may wait for the collector
        try:
            places = {batch.data_ptr() for batch in loader if len(batch) == 40}
        finally:
            gc.enable()
    assert len(places) <= 10  # of a hundred batches
