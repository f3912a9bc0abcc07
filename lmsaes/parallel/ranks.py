"""Several processes that share one piece of work, as `torchrun` starts them, or one alone.

    torchrun --nproc-per-node 4 --no-python lmsaes cache …

A process on its own is a rank of one: its collectives give back what they are given, so that
whoever uses them needs no second way to do it.
"""

import itertools
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, cast

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from lmsaes.errors import LmsaesError, RankError, ReportedError

# A rank waits for the slowest one as long as the work takes: a dead one closes its connection.
_PATIENCE = timedelta(days=7)
# Of a rank that was asked to stop: torchrun kills 30 seconds after its signal.
_PATIENCE_AT_THE_END = timedelta(seconds=25)
# The store keeps what an earlier meeting of the same processes left in it.
_MEETINGS = itertools.count()


class Ranks(Protocol):
    """What one process needs of the others."""

    rank: int
    size: int

    def wait(self) -> None:
        """Returns when every rank has come here. Raises RankError when one has failed."""
        ...


class OneRank:
    """A process on its own: there is nobody to wait for."""

    rank, size = 0, 1

    def wait(self) -> None:
        pass

    def sum(self, values: Tensor) -> Tensor:
        return values

    def gather(self, values: Tensor) -> Tensor:
        return values[None]

    def any(self, flag: bool) -> bool:
        return flag


class GroupRanks:
    """The processes of a `torchrun`, on one machine or several.

    Tensors of a GPU travel by NCCL, others by gloo. Each of the collectives raises RankError when a
    rank has failed; every rank must call them in the same order.
    """

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self._nccl: distributed.ProcessGroup | None = None

    def wait(self) -> None:
        try:
            distributed.monitored_barrier(timeout=_PATIENCE)
        except RuntimeError as error:
            raise _failed(error) from None

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks, with the same bits on each.

        A gradient passes through as it is: where every rank goes on with the same sum, each has the
        whole gradient of it already, and to add these up again would multiply it by the number of
        ranks.
        """
        return cast(Tensor, _Sum.apply(values, self))  # pyright: ignore[reportUnknownMemberType]

    def gather(self, values: Tensor) -> Tensor:
        """The tensors of all ranks, which have one shape, as [size, *shape]; without a gradient."""
        values = values.detach().contiguous()
        parts = [torch.empty_like(values) for _ in range(self.size)]
        try:
            distributed.all_gather(parts, values, group=self._group(values))
        except RuntimeError as error:
            raise _failed(error) from None
        return torch.stack(parts)

    def gather_first(self, values: Tensor) -> Tensor | None:
        """As `gather`, of tensors of the host, for the first rank alone; None on the others."""
        values = values.detach().contiguous()
        parts = [torch.empty_like(values) for _ in range(self.size if self.rank == 0 else 0)]
        try:
            distributed.gather(values, parts or None)
        except RuntimeError as error:
            raise _failed(error) from None
        return torch.stack(parts) if parts else None

    def any(self, flag: bool) -> bool:
        """Whether the flag of any rank is set.

        A rank whose own is waits half a minute at most for the others, which may be gone.
        """
        flags = torch.tensor([int(flag)])
        try:
            work = distributed.all_reduce(flags, async_op=True)
            assert work is not None
            work.wait(_PATIENCE_AT_THE_END) if flag else work.wait()
        except RuntimeError as error:
            if flag:
                return True
            raise _failed(error) from None
        return bool(flags)

    def add_up(self, values: Tensor) -> None:
        """Replaces a contiguous tensor by its sum over all ranks."""
        try:
            distributed.all_reduce(values, group=self._group(values))
        except RuntimeError as error:
            raise _failed(error) from None

    def _group(self, values: Tensor) -> distributed.ProcessGroup | None:
        if not values.is_cuda:
            return None
        if self._nccl is None:
            made = distributed.new_group(backend="nccl", timeout=_PATIENCE)
            self._nccl = cast(distributed.ProcessGroup, made)
        return self._nccl


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, ranks: GroupRanks):
        total = values.detach().clone(memory_format=torch.contiguous_format)
        ranks.add_up(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        return gradients[0], None


Collectives = OneRank | GroupRanks
"""Ranks that exchange tensors."""


@contextmanager
def join_ranks() -> Generator[Collectives]:
    """This process among the others that `torchrun` started; alone without it.

    Raises RankError when the others can't be reached, and ReportedError in place of an error that
    another rank has reported, or that follows from one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield OneRank()
        return
    try:
        shared, rank, size = next(rendezvous("env://"))
        store = PrefixStore(f"lmsaes/{next(_MEETINGS)}", shared)
        distributed.init_process_group(
            "gloo", store=store, rank=rank, world_size=size, timeout=_PATIENCE
        )
    except (RuntimeError, ValueError) as error:
        raise _failed(error) from None
    try:
        yield GroupRanks()
    except LmsaesError as error:
        # before the others see this rank's connections close
        if not _is_first_to_report(error, store):
            raise ReportedError(str(error), error.hint) from None
        raise
    finally:
        distributed.destroy_process_group()


def is_first_rank() -> bool:
    """Whether this process is the one that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def local_ranks() -> int:
    """Ranks on this machine, which share its memory and cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _is_first_to_report(error: LmsaesError, store: Store) -> bool:
    """Whether no rank has reported this error, nor, where it only follows from one, any other.

    The store is torchrun's own and outlives the ranks.
    """
    try:
        if isinstance(error, RankError):
            return store.add("reported", 1) == 1
        store.add("reported", 1)
        return store.add(f"reported/{error}", 1) == 1
    except RuntimeError:  # the store is gone with the machine that held it
        return True


def _failed(error: Exception) -> RankError:
    logging.getLogger("lmsaes").debug("%s", error)
    return RankError(
        "another process of this run has failed or can't be reached",
        "its own message says why; the same command continues",
    )
