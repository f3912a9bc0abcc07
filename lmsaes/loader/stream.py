"""`StreamLoader`: batches of rows that are computed while they are used, from a running model.

    chunks of rows, in the text's order ─► stream_walk.py: pool, windows ─► batches

The order is that of order.py with a single bucket: a window draws from eight groups of rows that
follow each other, each permuted. While a window is handed out, one thread has the next group
computed into the pool. A row leaves the pool with its window.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.loader.order import PARTS, EpochOrder
from lmsaes.loader.shuffle_quality import ShuffleQuality, shuffle_quality
from lmsaes.loader.stream_walk import (
    Reader,
    RowStream,
    Stopped,
    StreamWalk,
    groups_of,
    window_of,
)
from lmsaes.loader.windows import LoaderStats
from lmsaes.units import format_bytes, parse_bytes

# Parts of groups in the pool: what is laid aside for eight windows, and the next group.
_HELD = sum(range(1, PARTS + 1)) + PARTS
_INDEX_BYTES = 24  # of a row: its place in the order, its place in a table, and that is free
# As many contexts in the pool as a cache's needs blocks: the text's order doesn't show.
_ENOUGH_CONTEXTS = 256


class StreamLoader:
    """The loader of `rows` rows of a stream: what `ShuffledLoader` is to a cache.

    memory: bound of the pool, as bytes or `4GiB`; where `pool_rows` is given, another run's, it
    must hold that. Each of `world_size` ranks reads the whole stream and gets its share of each
    batch. device: where batches go. pool_device: where the pool is. asked_to_stop: looked at while
    rows are waited for; once it is true, the iteration ends.
    """

    rows_not_finite = 0  # left out by the stream, which counts them
    last_epoch = 0

    def __init__(
        self,
        stream: RowStream,
        rows: int,
        batch_size: int = 4096,
        memory: int | str = "4GiB",
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: str | torch.device = "cpu",
        pool_device: str | torch.device | None = None,
        pool_rows: int | None = None,
    ) -> None:
        self.stream, self.hooks = stream, list(stream.widths)
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.device = torch.device(device)
        self.pool_device = torch.device("cpu" if pool_device is None else pool_device)
        self.stats = LoaderStats()
        self.asked_to_stop: Callable[[], bool] = lambda: False
        self._row_bytes = sum(stream.widths.values()) * stream.dtype.itemsize
        self.pool_rows = self._pool_rows(parse_bytes(memory), pool_rows)
        self.order = EpochOrder(rows, self.pool_rows, seed, 0, cut=1)
        self._position, self._batch = 0, (0, 0)
        self._begin: tuple[Any | None, int] = None, 0  # a chunk's start, and rows to pass over
        self._walk: StreamWalk | None = None

    def __len__(self) -> int:
        """Batches of all rows."""
        return -(-self.rows // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """The rest of the batches: one tensor [rows, d_model] of each hook."""
        last = time.perf_counter()
        while self._position < self.rows:
            stop = min(self._position + self.batch_size, self.rows)
            batch = self._gather(self._position, stop)
            if batch is None:
                return
            self._batch, self._position = (self._position, stop), stop
            now = time.perf_counter()
            self.stats.seconds, last = self.stats.seconds + now - last, now
            self.stats.rows += len(self.batch_places)
            self.stats.bytes += len(self.batch_places) * self._row_bytes
            yield batch

    def fill(self, advance: Callable[[int], None] = lambda rows: None) -> None:
        """Has the pool filled for the next batch, with `rows_to_fill` rows, of which `advance` is
        called with how many have come. Raises Stopped where `asked_to_stop` says so.
        """
        if self._walk is None:
            self._walk = StreamWalk(
                Reader(self.stream, *self._begin),
                self.order,
                self._position,
                self._held(self.pool_rows),
                self.pool_device,
                self.stats,
                lambda: self.asked_to_stop(),
                advance,
            )

    @property
    def rows_to_fill(self) -> int:
        """Rows that `fill` has computed; those of former windows among them are passed over."""
        groups = groups_of(self.order, window_of(self.order, self._position))
        (ends,) = self.order.line(groups[0], groups[-1])
        return ends[1] - ends[0]

    def buffered(self, hook: str, places: np.ndarray | None = None) -> Tensor:
        """A hook's rows in the pool [n, d_model], in the text's order, once `fill` has come back;
        or those at `places` of them.
        """
        assert self._walk is not None
        slots = self._walk.slots_in_order()
        chosen = slots if places is None else slots[places]
        return self._walk.tables[hook][torch.from_numpy(chosen).to(self.pool_device)]

    @property
    def buffered_rows(self) -> int:
        """How many `buffered` has."""
        return 0 if self._walk is None else len(self._walk.slots_in_order())

    @property
    def read_from(self) -> Any | None:
        """The start of the chunk that was read last; None where none was."""
        return None if self._walk is None else self._walk.reader.start

    @property
    def batch_rows(self) -> int:
        """Rows of the last batch, of all ranks together."""
        return self._batch[1] - self._batch[0]

    @property
    def batch_places(self) -> Tensor:
        """Which rows of the last batch are this rank's, int64, by their places in the whole."""
        return torch.arange(self.rank, self.batch_rows, self.world_size)

    def _gather(self, start: int, stop: int) -> dict[str, Tensor] | None:
        try:
            self.fill()
        except Stopped:
            return None
        assert self._walk is not None
        pieces: list[dict[str, Tensor]] = []
        while start < stop:
            slots = self._walk.take(stop - start)
            if slots is None:
                return None
            first = (self.rank - (start - self._position)) % self.world_size
            own = torch.from_numpy(slots[first :: self.world_size]).to(self.pool_device)
            pieces.append({h: t[own].to(self.device) for h, t in self._walk.tables.items()})
            start += len(slots)
        if len(pieces) == 1:
            return pieces[0]
        return {hook: torch.cat([piece[hook] for piece in pieces]) for hook in self.hooks}

    # ── the shuffle's quality ────────────────────────────────────────────────────────────────

    @property
    def shuffle_quality(self) -> ShuffleQuality:
        """How many rows of its own context a row meets in its batch."""
        context = self.stream.context_rows
        return shuffle_quality(self.rows, self.pool_rows, self.batch_size, context, cut=1)

    @property
    def pool_contexts(self) -> float:
        """Contexts that a window draws from."""
        return self.pool_rows / self.stream.context_rows

    def check_shuffle(self) -> None:
        """Raises ConfigError when the pool is so small that the order of the text would show."""
        if self.order.fits or self.pool_contexts >= _ENOUGH_CONTEXTS:
            return
        needed = self.memory_for(_ENOUGH_CONTEXTS * self.stream.context_rows)
        raise ConfigError(
            f"this shuffle memory mixes rows of {self.pool_contexts:.0f} contexts at a time, and"
            f" the order of the text would show; {_ENOUGH_CONTEXTS} are enough",
            f"give --shuffle-buffer {needed // 2**20 + 1}MiB, or --allow-poor-shuffle",
        )

    # ── going on ─────────────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, as plain JSON: enough to have the same rows computed again."""
        start, skip = self._begin if self._walk is None else self._walk.begin_at(self._position)
        place = {"position": self._position, "start": start, "skip": skip}
        return {**self._identity(), **place}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a `state_dict`: the pool is filled again, with rows that are computed again.

        Raises ConfigError, naming the field, when this loader's rows or order would be others.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise ConfigError(
                    f"the loader's state is of {name} {state.get(name)}, and this one's is {value}",
                    "go on with the same model, text, seed, batch size, filters and pool",
                )
        self.close()
        self._position, self._begin = int(state["position"]), (state["start"], int(state["skip"]))

    def _identity(self) -> dict[str, Any]:
        return {
            "stream": self.stream.identity,
            "rows": self.rows,
            "pool_rows": self.pool_rows,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def close(self) -> None:
        """Ends the thread and lets the pool go."""
        if self._walk is not None:
            self._begin = self._walk.begin_at(self._position)
            self._walk.close()
            self._walk = None

    # ── the pool ─────────────────────────────────────────────────────────────────────────────

    def memory_for(self, pool_rows: int) -> int:
        """Bytes that a pool of so many rows takes in each process."""
        return self._held(pool_rows) * (self._row_bytes + _INDEX_BYTES)

    @property
    def host_memory(self) -> int:
        """Bytes of the host's memory that the pool takes."""
        return self.memory_for(self.pool_rows) if self.pool_device.type == "cpu" else 0

    def _held(self, pool_rows: int) -> int:
        """Rows that are in the pool at once."""
        if pool_rows >= self.rows:
            return self.rows
        return min(self.rows, _HELD * (pool_rows // PARTS**2))

    def _pool_rows(self, memory: int, wanted: int | None) -> int:
        if wanted is not None:
            if self.memory_for(wanted) > memory:
                raise ConfigError(
                    f"a pool of {wanted} rows takes {format_bytes(self.memory_for(wanted))} of "
                    f"memory, and {format_bytes(memory)} are given",
                    f"give at least {self.memory_for(wanted) // 2**20 + 1}MiB",
                )
            return min(wanted, self.rows)
        held = memory // (self._row_bytes + _INDEX_BYTES)
        if held >= self.rows:
            return self.rows
        if held < _HELD:
            raise ConfigError(
                f"{format_bytes(memory)} of memory do not hold the rows that are mixed",
                f"give at least {self.memory_for(PARTS**2) // 2**20 + 1}MiB",
            )
        return min(held // _HELD * PARTS**2, self.rows)
