"""Batches of rows that are computed as they are needed: each once, mixed, and the same again."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.loader import Chunk, StreamLoader

ROWS, CONTEXT = 5000, 8


class Numbered:
    """Row n of each hook holds n, in chunks of uneven sizes."""

    dtype = torch.float32
    context_rows = CONTEXT
    identity = "numbered"

    def __init__(self) -> None:
        self.widths = {"a": 3, "b": 2}
        self.begun: list[Any] = []
        self.given = 0

    def chunks(self, start: Any | None) -> Iterator[Chunk]:
        self.begun.append(start)
        first, number = (0, 0) if start is None else (start["row"], start["chunk"])
        while True:
            size = number * 7 % 23  # also none at all
            rows = torch.arange(first, first + size).float()
            self.given += size
            yield Chunk(
                {"a": rows[:, None].expand(-1, 3), "b": -rows[:, None].expand(-1, 2)},
                {"row": first, "chunk": number},
            )
            first, number = first + size, number + 1


def loader(stream: Numbered | None = None, **settings: Any) -> StreamLoader:
    return StreamLoader(
        Numbered() if stream is None else stream,
        **({"rows": ROWS, "batch_size": 100, "pool_rows": 640} | settings),
    )


def rows_of(batches: list[dict[str, Tensor]]) -> list[list[int]]:
    for batch in batches:
        assert torch.equal(batch["a"][:, 0], -batch["b"][:, 0])
    return [batch["a"][:, 0].long().tolist() for batch in batches]


@pytest.mark.parametrize("rows", [1, 99, 640, 641, 777, ROWS])
@pytest.mark.parametrize("pool_rows", [64, 640, 10_000])
def test_every_row_comes_once_and_none_is_computed_in_vain(rows: int, pool_rows: int):
    stream = Numbered()
    found = rows_of(list(loader(stream, rows=rows, pool_rows=pool_rows)))
    assert sorted(itertools.chain(*found)) == list(range(rows))
    assert all(len(batch) == 100 for batch in found[:-1])
    assert stream.given < rows + 23


def test_rows_meet_as_few_of_their_context_as_is_announced():
    mixed = loader(rows=40_000, pool_rows=6400)
    met = [
        np.unique(np.array(batch) // CONTEXT, return_counts=True)[1]
        for batch in rows_of(list(mixed))
    ]
    pairs = float(np.concatenate(met) @ (np.concatenate(met) - 1)) / 40_000
    assert pairs == pytest.approx(mixed.shuffle_quality.same_context_rows, rel=0.1)


@pytest.mark.parametrize("stop", [1, 3, 6, 7, 31, 49])
def test_a_run_goes_on_with_the_same_rows_from_where_their_groups_began(stop: int):
    whole = rows_of(list(loader()))
    first = loader()
    batches = iter(first)
    for _ in range(stop):
        next(batches)
    state = json.loads(json.dumps(first.state_dict()))
    first.close()
    stream = Numbered()
    rest = loader(stream)
    rest.load_state_dict(state)
    assert rows_of(list(rest)) == whole[stop:]
    # only the groups of the window at hand, and what follows
    window = stop * 100 // 80
    assert stream.given <= ROWS - 80 * (window - 7) + 60


def test_ranks_share_each_batch():
    whole = rows_of(list(loader()))
    by_batch = zip(*(_shares(rank) for rank in range(3)), strict=True)
    for batch, shares in zip(whole, by_batch, strict=True):
        assert sum(len(places) for places, _ in shares) == len(batch)
        for places, share in shares:
            assert [batch[place] for place in places] == share


def _shares(rank: int) -> list[tuple[list[int], list[int]]]:
    part = loader(rank=rank, world_size=3)
    return [(part.batch_places.tolist(), rows_of([batch])[0]) for batch in part]


def test_what_is_wrong_with_the_stream_comes_to_its_user():
    class Failing(Numbered):
        def chunks(self, start: Any | None) -> Iterator[Chunk]:
            for chunk in super().chunks(start):
                if chunk.start["row"] > 2000:
                    raise ConfigError("the text is damaged")
                yield chunk

    with pytest.raises(ConfigError, match="damaged"):
        list(loader(Failing()))


def test_who_waits_for_rows_can_stop_and_go_on():
    stopped = loader()
    stopped.asked_to_stop = lambda: True
    assert list(stopped) == []
    state = stopped.state_dict()
    again = loader()
    again.load_state_dict(state)
    assert rows_of(list(again)) == rows_of(list(loader()))


def test_the_pool_takes_what_it_was_given_and_no_more():
    wide = loader(pool_rows=None, memory="64KiB")
    assert wide.memory_for(wide.pool_rows) <= 64 * 1024
    assert wide.memory_for(wide.pool_rows + 64) > 64 * 1024
    wide.fill()
    assert wide.buffered_rows * 20 <= 64 * 1024
    assert torch.equal(wide.buffered("a")[:, 0], torch.arange(wide.buffered_rows).float())
    with pytest.raises(ConfigError, match="do not hold"):
        loader(pool_rows=None, memory=1000)
    with pytest.raises(ConfigError, match="the order of the text would show"):
        loader(pool_rows=640).check_shuffle()


def test_another_order_is_refused():
    state = loader().state_dict()
    with pytest.raises(ConfigError, match="seed"):
        loader(seed=1).load_state_dict(state)
