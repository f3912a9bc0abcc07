"""The writer: takes batches in order, writes shards in the background, commits them whole.

    write(batch) ─► cast, statistics ─► a bounded queue per array ─► a thread per array
                                                                     └► last one in: commit

A full queue blocks `write`; nothing is ever dropped. A shard is committed when every array's
file of it has been flushed and renamed: then a new manifest names it.
"""

import errno
import hashlib
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import Queue
from types import TracebackType

import filelock
import numpy as np
import torch

from lmsaes.cache.int8 import CHANNELS, Channels, read_channels, write_channels
from lmsaes.cache.manifest import (
    MANIFEST,
    FileRecord,
    HookRecord,
    Manifest,
    ShardRecord,
    StorageDtype,
    TextPosition,
    replace_file,
    write_manifest,
)
from lmsaes.cache.statistics import HookMoments, batch_moments, finite_moments
from lmsaes.cache.storage import (
    ArraySpec,
    ShardWriter,
    array_specs,
    create_arrays,
    hook_specs,
    open_shard,
)
from lmsaes.errors import CacheError

LOCK = ".lock"
DATA_FOLDERS = ("activations", "scales", "tokens", "documents", "statistics")
_QUEUED_BATCHES = 4
_TORCH_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


class CacheWriter:
    """Writes the contexts that a cache still lacks, in order.

    Opens `folder` (which may hold committed shards of the same manifest), removes what a crash
    left behind, and holds the folder's lock until `close`. Use it as a context manager: leaving
    it by an exception commits the shards that are whole and abandons the one in hand.

    Raises CacheError when another process writes there.
    """

    def __init__(self, folder: Path, manifest: Manifest, allow_nonfinite: bool = False) -> None:
        self.folder, self.manifest = folder, manifest
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = lock_cache(folder)
        self._allow_nonfinite = allow_nonfinite
        self._specs = array_specs(manifest)
        self._channels = read_channels(folder, manifest.channel_digests)
        self._moments = _committed_moments(folder, manifest)
        self._shard_moments: dict[str, HookMoments] = {}
        self._failure: BaseException | None = None
        self._commit_lock = threading.Lock()
        self._finished: dict[int, dict[str, FileRecord]] = {}
        self._sealed: dict[int, tuple[TextPosition | None, int, dict[str, HookMoments]]] = {}
        self._shard = manifest.contexts // manifest.shard_contexts
        self._written = 0
        remove_leftovers(folder, manifest)
        create_arrays(folder, manifest)
        write_manifest(folder, manifest)
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
    def shard_room(self) -> int:
        """Contexts that still fit the shard in hand; a batch must not be larger."""
        return self.manifest.shard_span(self._shard)[1] - self._written

    def write(
        self,
        tokens: torch.Tensor,
        activations: Mapping[str, torch.Tensor],
        ordinary: torch.Tensor,
        text_end: TextPosition | None,
        documents: torch.Tensor | None = None,
    ) -> None:
        """Adds one batch.

        tokens: int [contexts, context_size]. activations: by hook
        [contexts, context_size, d_model], any device. ordinary: bool [contexts, context_size],
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
            raise CacheError(f"a batch of {contexts} contexts straddles shard {self._shard}")
        first = self._shard * self.manifest.shard_contexts + self._written
        stored: dict[str, torch.Tensor] = {"tokens": tokens.to(torch.int32)}
        if self.manifest.documents:
            if documents is None:
                raise CacheError("this cache keeps the document of each position: give them")
            stored["documents"] = documents.to(torch.int32)
        for hook, record in self.manifest.hooks.items():
            original = activations[hook]
            arrays, rows = self._to_store(hook, record, original, ordinary)
            moments = batch_moments(rows, ordinary, original)
            if not np.isfinite(moments.every.sum_squares).all():
                # int8 has no way to write such a value down
                if record.dtype == "int8" or not self._allow_nonfinite:
                    raise _nonfinite(hook, first, original, rows, record.dtype)
                moments = finite_moments(rows, ordinary, original)
            if moments.every.min == moments.every.max:
                raise CacheError(
                    f"hook '{hook}' gave the same value {moments.every.min:g} everywhere in "
                    f"contexts {first} to {first + contexts - 1}",
                    "it captured nothing of use; choose another hook",
                )
            total = self._shard_moments.get(hook)
            self._shard_moments[hook] = moments if total is None else total + moments
            stored |= arrays
        self._keep_channels()
        self._written += contexts
        last = self.shard_room == 0
        if last:
            self._seal(text_end)
        for path, spec in self._specs.items():
            array = spec.to_numpy(stored[path].detach().cpu().contiguous())
            self._put(path, _Batch(self._shard_of(first), array, last))
        if last:
            self._shard, self._written = self._shard + 1, 0

    def _to_store(
        self, hook: str, record: HookRecord, original: torch.Tensor, ordinary: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """What goes into each of the hook's arrays, and the rows that readers will be given."""
        if record.dtype == "int8":
            if hook not in self._channels:
                self._channels[hook] = Channels.of(original, ordinary)
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
        try:
            write_channels(self.folder, self._channels)
        except OSError as error:
            raise _write_error(self.folder, error) from None
        for hook in new:
            self.manifest.hooks[hook] = self.manifest.hooks[hook].model_copy(
                update={"channels": self._channels[hook].digest}
            )

    def finish(self, text_end: TextPosition | None = None, exhausted: bool = False) -> None:
        """Waits until everything is committed and marks the cache complete.

        exhausted: the text ended early. The shard in hand is committed as short as it is, and
        the manifest asks for no more than there is.
        """
        if exhausted and self._written and text_end is not None:
            self._seal(text_end)
            for path in self._specs:
                self._put(path, _Batch(self._shard, None, True))
            self._written = 0
        self._stop_threads()
        self._raise_failure()
        if exhausted:
            self.manifest.contexts_requested = max(self.manifest.contexts, 1)
            self.manifest.text_exhausted = True
            create_arrays(self.folder, self.manifest)
        self.manifest.complete = self.manifest.contexts == self.manifest.contexts_requested
        write_manifest(self.folder, self.manifest)

    def close(self) -> None:
        """Commits the shards that are whole, abandons the one in hand, lets the folder go."""
        self._stop_threads()
        self._lock.release()

    def __enter__(self) -> "CacheWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _shard_of(self, context: int) -> int:
        return context // self.manifest.shard_contexts

    def _seal(self, text_end: TextPosition | None) -> None:
        """Notes what the commit of the shard in hand needs beside its files."""
        self._sealed[self._shard] = (text_end, self._written, self._shard_moments)
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
                    contexts = self.manifest.shard_span(item.shard)[1]
                    shard = open_shard(self.folder, self.manifest, spec, item.shard, contexts)
                if item.array is not None:
                    shard.append(item.array)
                if item.last:
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
        text_end, contexts, moments = self._sealed.pop(shard)
        for hook, hook_moments in moments.items():
            name, record = _write_moments(self.folder, hook, shard, hook_moments)
            files[name] = record
            total = self._moments[hook] = self._moments[hook] + hook_moments
            _set_statistics(self.manifest, hook, total)
        self.manifest.shards.append(
            ShardRecord(
                index=shard,
                first_context=shard * self.manifest.shard_contexts,
                contexts=contexts,
                text_end=text_end,
                files=dict(sorted(files.items())),
            )
        )
        self.manifest.contexts += contexts
        write_manifest(self.folder, self.manifest)


class _Batch:
    def __init__(self, shard: int, array: np.ndarray | None, last: bool) -> None:
        self.shard, self.array, self.last = shard, array, last


class _End:
    pass


def lock_cache(folder: Path) -> filelock.BaseFileLock:
    """Takes the folder's writing lock, or raises CacheError when another process holds it."""
    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise CacheError(
            f"another process is writing to {folder}", "wait for it, or choose another --out"
        ) from None
    return lock


def moments_file(hook: str, shard: int) -> str:
    return f"statistics/{hook}/shard-{shard:05d}.safetensors"


def _write_moments(
    folder: Path, hook: str, shard: int, moments: HookMoments
) -> tuple[str, FileRecord]:
    name, content = moments_file(hook, shard), moments.to_bytes()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    replace_file(folder / name, content)
    return name, FileRecord(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _committed_moments(folder: Path, manifest: Manifest) -> dict[str, HookMoments]:
    totals: dict[str, HookMoments] = {}
    for hook, record in manifest.hooks.items():
        total = HookMoments.zero(manifest.text.context_size, record.d_model)
        for shard in manifest.shards:
            total = total + HookMoments.load(folder / moments_file(hook, shard.index))
        totals[hook] = total
    return totals


def recount_statistics(folder: Path, manifest: Manifest) -> None:
    """Makes the manifest's statistics those of the shards it names."""
    for hook, total in _committed_moments(folder, manifest).items():
        _set_statistics(manifest, hook, total)


def _set_statistics(manifest: Manifest, hook: str, total: HookMoments) -> None:
    manifest.hooks[hook] = manifest.hooks[hook].model_copy(
        update={
            "statistics": total.every.statistics(),
            "ordinary": total.ordinary.statistics(),
            "storage_error": total.storage_error,
        }
    )


def remove_leftovers(folder: Path, manifest: Manifest) -> None:
    """Removes data files that no manifest names: what a crash left behind."""
    named = {name for shard in manifest.shards for name in shard.files}
    for room in DATA_FOLDERS:
        for path in sorted((folder / room).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and path.name != "zarr.json" and name not in named:
                path.unlink()


def remove_cache(folder: Path) -> None:
    """Deletes a cache's manifest, then its data; other files in the folder stay."""
    (folder / MANIFEST).unlink(missing_ok=True)
    (folder / CHANNELS).unlink(missing_ok=True)
    for room in DATA_FOLDERS:
        shutil.rmtree(folder / room, ignore_errors=True)


def _nonfinite(
    hook: str, first: int, original: torch.Tensor, stored: torch.Tensor, dtype: StorageDtype
) -> CacheError:
    # what the model gave comes first: in int8 a huge value can spoil other rows' channels too
    overflows = [~rows.float().square().isfinite() for rows in (original, stored)]
    bad = overflows[0] if overflows[0].any() else overflows[1]
    context, position, _ = bad.nonzero()[0].tolist()
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


def _write_error(folder: Path, error: OSError) -> CacheError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CacheError(
            f"no space left on the disk of {folder}; what was committed is kept",
            "make room and run the same command again: it continues",
        )
    return CacheError(f"can't write to {folder}: {error.strerror}")
