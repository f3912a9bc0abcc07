"""The writer: takes batches in order, writes shards in the background, commits them whole.

    write(batch) ─► cast, statistics ─► a bounded queue per array ─► a thread per array
                                                                     └► last one in: commit

A full queue blocks `write`; nothing is ever dropped. A shard is committed when every array's
file of it has been flushed and renamed: then a small record names them.
"""

import errno
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import Queue
from types import TracebackType

import numpy as np
import torch

from lmsaes.cache.arrays import ArraySpec, ShardWriter, hook_specs, only_zarr, open_shard
from lmsaes.cache.commits import Commits
from lmsaes.cache.gpu_copy import GpuCopy
from lmsaes.cache.int8 import Channels, read_channels, write_channels
from lmsaes.cache.location import Location, Lock, lock_cache
from lmsaes.cache.manifest import HookRecord, Manifest, StorageDtype
from lmsaes.cache.shards import FileRecord, ShardRecord
from lmsaes.cache.statistics import HookMoments, batch_moments, finite_moments, finite_rows
from lmsaes.errors import CacheError
from lmsaes.parallel import OneRank, Ranks
from lmsaes.provenance import ComputeRecord, TextPosition

_QUEUED_BATCHES = 4
_TORCH_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


class CacheWriter:
    """Writes the shards that a cache still lacks, in order.

    Opens `folder` (which may hold committed shards of the same manifest), removes what a crash
    left behind, and holds its lock until `close`. Use it as a context manager: leaving it by an
    exception commits the shards that are whole and abandons the one in hand. Where the manifest
    has hooks to add, those alone are written, for the contexts that are there.

    ranks: the processes that write together; rank i writes the shards s with s % size == i, and
    rank 0 holds the lock. lock: one that is held already, and stays so. compute: how what is
    written is computed, where that is not as the manifest says.

    Raises CacheError when another process writes there.
    """

    def __init__(
        self,
        folder: Location,
        manifest: Manifest,
        allow_nonfinite: bool = False,
        ranks: Ranks | None = None,
        lock: Lock | None = None,
        compute: ComputeRecord | None = None,
    ) -> None:
        if manifest.format == "safetensors" and not isinstance(folder, Path):
            raise only_zarr(folder)
        self.folder, self.ranks = folder, ranks or OneRank()
        self.compute = compute or manifest.compute
        self._lock, self._own_lock = lock, None
        if lock is None and self.ranks.rank == 0:
            self._lock = self._own_lock = lock_cache(folder)
        self._allow_nonfinite = allow_nonfinite
        try:
            self._commits = Commits(folder, manifest, self.ranks)
        except OSError as error:
            self._release()
            raise _write_error(folder, error) from None
        except BaseException:
            self._release()
            raise
        self._specs = self._commits.specs
        self._channels = read_channels(folder, self.manifest.channel_digests)
        self._shard_moments: dict[str, HookMoments] = {}
        self._failure: BaseException | None = None
        self._commit_lock = threading.Lock()
        self._finished: dict[int, dict[str, FileRecord]] = {}
        self._sealed: dict[int, tuple[TextPosition | None, int, dict[str, HookMoments]]] = {}
        self.shards = tuple(self._commits.todo)
        self._turn = 0  # which of these shards is in hand
        self._written = 0
        self._queues: dict[str, Queue[_Batch | _End]] = {}
        self._threads: list[threading.Thread] = []
        for path, spec in self._specs.items():
            queue: Queue[_Batch | _End] = Queue(_QUEUED_BATCHES)
            self._queues[path] = queue
            thread = threading.Thread(
                target=self._work, args=(spec, queue), name=f"write {path}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    @property
    def manifest(self) -> Manifest:
        return self._commits.manifest

    @property
    def text_ends(self) -> Mapping[int, TextPosition | None]:
        """Where the text stood after each whole shard that was committed before."""
        return self._commits.ends

    def span(self, shard: int) -> tuple[int, int]:
        """First context and number of contexts of one of `shards`."""
        return self._commits.span(shard)

    @property
    def shard_room(self) -> int:
        """Contexts that still fit the shard in hand; a batch must not be larger."""
        if self._turn == len(self.shards):
            return 0
        return self.span(self.shards[self._turn])[1] - self._written

    def write(
        self,
        tokens: torch.Tensor,
        activations: Mapping[str, torch.Tensor],
        valid: torch.Tensor,
        text_end: TextPosition | None,
        documents: torch.Tensor | None = None,
    ) -> None:
        """Adds one batch.

        tokens: int [contexts, context_size]. activations: by hook
        [contexts, context_size, d_model], any device, not to be changed afterwards: they may still
        be on their way to the host. valid: bool [contexts, context_size],
        false for special tokens and first positions. text_end: where the text stands after it,
        None where that is not known. documents: int [contexts, context_size], each position's
        document, where the manifest keeps them.

        An int8 hook's channels are those of the cache's first batch. Raises CacheError when a
        value is not finite or does not fit the storage dtype, and whatever a writing thread has
        raised since the last call.
        """
        self._raise_failure()
        contexts = len(tokens)
        if contexts > self.shard_room:
            raise CacheError(f"a batch of {contexts} contexts is more than its shard takes")
        shard = self.shards[self._turn]
        first = self.span(shard)[0] + self._written
        stored: dict[str, torch.Tensor] = {"tokens": tokens.to(torch.int32)}
        if "documents" in self._specs:
            if documents is None:
                raise CacheError("this cache keeps the document of each position: give them")
            stored["documents"] = documents.to(torch.int32)
        rows: dict[str, torch.Tensor] = {}
        hooks = self.manifest.hooks_to_write
        for hook, record in hooks.items():
            arrays, rows[hook] = self._to_store(hook, record, activations[hook], valid)
            stored |= arrays
        for hook, moments in batch_moments(rows, valid, activations).items():
            if not _all_finite(moments):
                dtype, original = hooks[hook].dtype, activations[hook]
                moments = finite_moments(rows[hook], valid, original)
                # int8 has no way to write such a value down
                if moments.left_out[0] and (dtype == "int8" or not self._allow_nonfinite):
                    raise _nonfinite(hook, first, original, rows[hook], dtype)
            if moments.every.min == moments.every.max:
                raise CacheError(
                    f"hook '{hook}' gave the same value {moments.every.min:g} everywhere in "
                    f"contexts {first} to {first + contexts - 1}",
                    "it captured nothing of use; choose another hook",
                )
            total = self._shard_moments.get(hook)
            self._shard_moments[hook] = moments if total is None else total + moments
        self._keep_channels()
        self._written += contexts
        last = self.shard_room == 0
        if last:
            self._seal(text_end)
        for path in self._specs:
            self._put(path, _Batch(shard, GpuCopy(stored[path]), last))
        if last:
            self._turn, self._written = self._turn + 1, 0

    @property
    def lacks_channels(self) -> bool:
        """Whether int8 hooks still wait for the cache's first batch, to be rounded like it."""
        return any(
            record.dtype == "int8" and hook not in self._channels
            for hook, record in self.manifest.hooks_to_write.items()
        )

    def fix_channels(self, activations: Mapping[str, torch.Tensor], valid: torch.Tensor) -> None:
        """Fixes int8 hooks' channels by the cache's first batch, given like to `write`."""
        for hook, record in self.manifest.hooks_to_write.items():
            if record.dtype == "int8" and hook not in self._channels:
                self._channels[hook] = Channels.of(activations[hook], valid)
        self._keep_channels()

    def _to_store(
        self, hook: str, record: HookRecord, original: torch.Tensor, valid: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """What goes into each of the hook's arrays, and the rows that readers will be given."""
        if record.dtype == "int8":
            if hook not in self._channels:
                self._channels[hook] = Channels.of(original, valid)
            parts = self._channels[hook].quantize(original)
            rows = self._channels[hook].restore(*parts)
        else:
            rows = original.to(_TORCH_DTYPES[record.dtype])
            parts = (rows,)
        specs = hook_specs(self.manifest, hook, record)
        return {spec.path: part for spec, part in zip(specs, parts, strict=True)}, rows

    def _keep_channels(self) -> None:
        """Writes channels that are new: before any shard that needs them."""
        new = self._channels.keys() - self.manifest.channel_digests.keys()
        if not new:
            return
        hooks = self.manifest.hooks_to_write
        for hook in new:
            hooks[hook] = hooks[hook].model_copy(update={"channels": self._channels[hook].digest})
        try:
            write_channels(self.folder, self._channels)
            self._commits.save()
        except OSError as error:
            raise _write_error(self.folder, error) from None

    def meet(self) -> None:
        """Waits for all ranks, then goes by what rank 0 has fixed."""
        self.ranks.wait()
        if self.ranks.rank > 0:
            self._commits.reread()
            self._channels = read_channels(self.folder, self.manifest.channel_digests)

    def finish(self, text_end: TextPosition | None = None, exhausted: bool = False) -> None:
        """Waits until everything is committed and marks the cache complete.

        exhausted: the text ended early. The shard in hand is committed as short as it is, and
        the manifest asks for no more than there is. Several ranks come here together.
        """
        if exhausted and self._written:
            self._seal(text_end)
            for path in self._specs:
                self._put(path, _Batch(self.shards[self._turn], None, True))
            self._written = 0
        self._stop_threads()
        self._raise_failure()
        try:
            self._commits.finish(exhausted)
        except OSError as error:
            raise _write_error(self.folder, error) from None

    def close(self) -> None:
        """Commits the shards that are whole, abandons the one in hand, lets the folder go."""
        self._stop_threads()
        self._release()

    def _release(self) -> None:
        if self._own_lock is not None:
            self._own_lock.release()

    def __enter__(self) -> "CacheWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _seal(self, text_end: TextPosition | None) -> None:
        """Notes what the commit of the shard in hand needs beside its files."""
        shard = self.shards[self._turn]
        self._sealed[shard] = (text_end, self._written, self._shard_moments)
        self._shard_moments = {}

    def _put(self, path: str, batch: "_Batch") -> None:
        self._queues[path].put(batch)

    def _stop_threads(self) -> None:
        for queue in self._queues.values():
            queue.put(_End())
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self, spec: ArraySpec, queue: "Queue[_Batch | _End]") -> None:
        """One array's thread. After a failure anywhere it only drains its queue."""
        shard: ShardWriter | None = None
        while isinstance(item := queue.get(), _Batch):
            if self._failure is not None:
                continue
            try:
                if shard is None:
                    contexts = self.span(item.shard)[1]
                    shard = open_shard(self.folder, self.manifest, spec, item.shard, contexts)
                if item.copy is not None:
                    shard.append(spec.to_numpy(item.copy.wait()))
                if item.last:
                    with self._commit_lock:
                        self._commits.withdraw(item.shard)
                    name, record = shard.finish()
                    shard = None
                    self._file_finished(item.shard, name, record)
            except OSError as error:
                self._failure = _write_error(self.folder, error)
            except BaseException as error:
                self._failure = error
        if shard is not None:
            shard.abandon()

    def _file_finished(self, shard: int, name: str, record: FileRecord) -> None:
        with self._commit_lock:
            files = self._finished.setdefault(shard, {})
            files[name] = record
            if len(files) == len(self._specs):
                self._commit(shard, self._finished.pop(shard))

    def _commit(self, shard: int, files: dict[str, FileRecord]) -> None:
        if self._lock is not None and not self._lock.is_locked:
            raise CacheError(
                f"another process has taken over {self.folder}: this one could not be reached",
                "let the other one finish",
            )
        text_end, contexts, moments = self._sealed.pop(shard)
        record = ShardRecord(
            index=shard,
            first_context=self.span(shard)[0],
            contexts=contexts,
            text_end=text_end,
            compute=None if self.compute == self.manifest.compute else self.compute,
            files=files,
        )
        self._commits.commit(record, moments)


class _Batch:
    def __init__(self, shard: int, copy: GpuCopy | None, last: bool) -> None:
        self.shard, self.copy, self.last = shard, copy, last


class _End:
    pass


def _all_finite(moments: HookMoments) -> bool:
    """Whether all rows were finite, and the sums of their squares too."""
    every = moments.every
    return bool(np.isfinite(every.squares).all() and np.isfinite(every.squared_norm_sum))


def _nonfinite(
    hook: str, first: int, original: torch.Tensor, stored: torch.Tensor, dtype: StorageDtype
) -> CacheError:
    # what the model gave comes first: in int8 a huge value can spoil other rows' channels too
    overflows = [~finite_rows(rows) for rows in (original, stored)]
    bad = overflows[0] if overflows[0].any() else overflows[1]
    context, position = bad.nonzero()[0].tolist()
    row = original[context, position]
    value = row[row.abs().nan_to_num(nan=torch.inf).argmax()].item()
    where = f"hook '{hook}', context {first + context}, position {position}"
    if row.isfinite().all():
        if stored[context, position].isfinite().all():
            return CacheError(
                f"the value {value:g} of {where} is too large: its square overflows",
                "check the model, or run it with --model-dtype float32",
            )
        return CacheError(
            f"the value {value:g} of {where} does not fit {dtype}",
            "store with --dtype bfloat16 or float32",
        )
    return CacheError(
        f"the model gave {value} for {where}",
        "check the model, run it with --model-dtype float32, or keep such values with "
        "--allow-nonfinite",
    )


def _write_error(folder: Location, error: OSError) -> CacheError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CacheError(
            f"no space left on the disk of {folder}; what was committed is kept",
            "make room and run the same command again: it continues",
        )
    return CacheError(f"can't write to {folder}: {error.strerror}")
