"""Several processes that share one piece of work, as `torchrun` starts them, or one alone.

    torchrun --nproc-per-node 4 --no-python lmsaes cache …

They only wait for each other here: what one makes, the others find on the disk.
"""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from torch import distributed

from lmsaes.errors import RankError

# A rank waits for the slowest one as long as the work takes: a dead one closes its connection.
_PATIENCE = timedelta(days=7)


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


class GlooRanks:
    """The processes of a `torchrun`, on one machine or several."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def wait(self) -> None:
        try:
            distributed.monitored_barrier(timeout=_PATIENCE)
        except RuntimeError as error:
            raise _failed(error) from None


@contextmanager
def join_ranks() -> Generator[Ranks]:
    """This process among the others that `torchrun` started; alone without it.

    Raises RankError when the others can't be reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield OneRank()
        return
    try:
        distributed.init_process_group("gloo")
    except (RuntimeError, ValueError) as error:
        raise _failed(error) from None
    try:
        yield GlooRanks()
    finally:
        distributed.destroy_process_group()


def is_first_rank() -> bool:
    """Whether this process is the one that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def _failed(error: Exception) -> RankError:
    logging.getLogger("lmsaes").debug("%s", error)
    return RankError(
        "another process of this run has failed or can't be reached",
        "its own message says why; the same command continues",
    )
