"""The language model behind the API: found, loaded once when asked for, one request at a time.

request ──► turn (a queue with a limit) ──► SAE from its folder ──► its model ──► answer
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmsaes.database import GraphRecord
from lmsaes.errors import ConfigError

if TYPE_CHECKING:  # a server without a model loads no torch
    import numpy as np

    from lmsaes.circuits import Replacement
    from lmsaes.model import LanguageModel
    from lmsaes.sae import SAE
    from lmsaes.steering import KnownSAE

WAITING = 8
"""Requests that may wait for their turn."""
_PATIENCE = 60.0  # seconds that one waits
_SAES_KEPT = 4


class BusyError(Exception):
    """Too many requests wait for the model, or one has waited too long."""


class NoModelError(Exception):
    """The server was started without a model."""


@dataclass
class Limits:
    """What one request may take."""

    tokens: int = 1024  # of a text
    seconds: float = 120.0
    trace_seconds: float = 600.0
    bytes: int = 2**31


@dataclass(frozen=True)
class _OfGraph:
    name: str
    sae_path: str
    sae_hash: str


class Live:
    """A model and some SAEs in memory, and whose turn it is."""

    def __init__(self, model: str = "auto", device: str = "auto") -> None:
        """model: auto for that of the SAE's records, none, or a name or folder."""
        self.mode, self.device, self.limits = model, device, Limits()
        self._free = threading.BoundedSemaphore(1)
        self._counter = threading.Lock()
        self._waiting = 0
        self._saes: OrderedDict[tuple[str, str], SAE] = OrderedDict()
        self._model: LanguageModel | None = None
        self._fits: set[tuple[str, str]] = set()  # the SAEs whose model that is
        self._replaced: tuple[str, Replacement] | None = None  # of the last graph, by its id

    @property
    def loaded(self) -> str | None:
        """The name of the model in memory."""
        model = self._model
        return None if model is None else model.record.name

    def check_there(self) -> None:
        """Raises NoModelError where the server was started without a model."""
        if self.mode == "none":
            raise NoModelError

    @contextmanager
    def turn(self) -> Generator[float]:
        """Waits for the model; gives the time at which the request has to be done.

        Raises NoModelError, or BusyError where too many wait or the wait is too long.
        """
        self.check_there()
        with self._turn() as deadline:
            yield deadline

    def directions(self, record: "KnownSAE", feature: int) -> dict[str, "np.ndarray"]:
        """A feature's rows of its SAE's weights, float32, with a model or without.

        `decoder` [d_out]: what one unit of its activation adds; `encoder` [d_in]: what it reads.
        Raises SAEError where the SAE is gone or another one, BusyError as `turn` does.
        """
        with self._turn():
            sae = self.sae(record)
        rows = {"decoder": sae.W_dec[feature], "encoder": sae.W_enc[feature]}
        return {name: row.detach().float().cpu().numpy() for name, row in rows.items()}

    @contextmanager
    def _turn(self) -> Generator[float]:
        with self._counter:
            if self._waiting >= WAITING:
                raise BusyError
            self._waiting += 1
        try:
            mine = self._free.acquire(timeout=_PATIENCE)
        finally:
            with self._counter:
                self._waiting -= 1
        if not mine:
            raise BusyError
        try:
            yield time.monotonic() + self.limits.seconds
        finally:
            self._free.release()

    def sae(self, record: "KnownSAE") -> "SAE":
        """The SAE of a record, from its folder. Only within one's turn.

        Raises SAEError where it is gone or another one.
        """
        from lmsaes.steering import find_sae

        key = record.sae_path, record.sae_hash
        if key not in self._saes:
            self._saes[key] = find_sae(record)
            while len(self._saes) > _SAES_KEPT:
                self._saes.popitem(last=False)
        self._saes.move_to_end(key)
        return self._saes[key]

    def model(self, record: "KnownSAE") -> "LanguageModel":
        """The language model of an SAE, loaded where it isn't yet. Only within one's turn.

        Raises ModelError where it can't be loaded, or isn't the one the SAE was trained on.
        """
        from lmsaes.steering import find_model

        key = record.sae_path, record.sae_hash
        if self._model is None or key not in self._fits:
            sae = self.sae(record)
            if self._model is not None and self._same_model(sae):
                self._fits.add(key)
                return self._model
            self._replaced = None  # the former one's memory is needed
            self._model, self._fits = None, set()
            self._model = find_model(sae, None if self.mode == "auto" else self.mode, self.device)
            self._fits.add(key)
        return self._model

    def _same_model(self, sae: "SAE") -> bool:
        """Whether another SAE's records name the model that is loaded, for the same weights."""
        assert self._model is not None
        origin, imported = sae.provenance, sae.imported
        name = origin.model if origin else imported.model if imported else None
        weights = imported.weights if imported and imported.weights else None
        record = self._model.record
        return name == record.name and weights in (None, record.weights)

    def graph(self, record: GraphRecord) -> "tuple[LanguageModel, Replacement]":
        """A graph's model, and its prompt's replacement as it was traced. Only within one's turn.

        Raises SAEError where a transcoder is gone or another one now.
        """
        from lmsaes.circuits import replacement_of

        first = record.transcoders[0]
        lm = self.model(_OfGraph(first.sae, first.path, first.sae_hash))
        if self._replaced is None or self._replaced[0] != record.graph:
            self._replaced = None  # the former one's memory is needed
            self._replaced = record.graph, replacement_of(lm, record)
        return lm, self._replaced[1]

    def check_time(self, deadline: float) -> None:
        """Raises ConfigError after the time at which a request has to be done."""
        if time.monotonic() > deadline:
            raise ConfigError(
                f"it took longer than {self.limits.seconds:.0f} seconds", "ask for less"
            )

    def check_memory(self, what: str, size: int) -> None:
        """Raises ConfigError for a request that would need more bytes than one may have."""
        if size > self.limits.bytes:
            raise ConfigError(
                f"{what} would take {size / 2**30:.1f} GiB, and a request may take"
                f" {self.limits.bytes / 2**30:.1f}",
                "ask for less at a time",
            )
