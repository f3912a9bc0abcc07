"""What it costs to commit a shard and to open a cache, with few shards and with many.

    python benchmarks/manifest.py                   2 and 20 000 shards
    python benchmarks/manifest.py --shards 2000

The shards' files are small stand-ins of the sizes that their records say; records are as large as
those of real shards of 512 MiB, with a checksum for each block of 4 MiB. A commit is the writing of
a shard's sums and its record, flushed to the disk.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from _report import row, tell

from lmsaes import ActivationCache
from lmsaes.cache import HookRecord, Manifest, array_specs, shard_file, write_manifest
from lmsaes.cache.commits import Commits, moments_file
from lmsaes.cache.shards import FileRecord, ShardRecord, pack_checksums, write_list, write_shard
from lmsaes.cache.statistics import HookMoments
from lmsaes.parallel import OneRank
from lmsaes.provenance import ComputeRecord, ModelRecord, TextPosition, TextRecord

HOOK, D_MODEL, CONTEXT_SIZE, BLOCKS = "blocks.8.hook_resid_pre", 768, 128, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=20_000)
    parser.add_argument("--commits", type=int, default=30, help="commits that are timed")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few"
        many = Path(folder) / "many"
        by_shards = {2: few, arguments.shards: many}
        commits = {}
        for shards, place in by_shards.items():
            make(place, shards)
            commits[shards] = commit_time(place, shards, arguments.commits)
        first = commits[2]
        for shards, seconds in commits.items():
            goals = {} if shards == 2 else {"ratio": seconds / first, "must": 2.0, "aim": 1.2}
            rows.append(row(f"a commit to {shards:,} shards", 1000 * seconds, "ms", **goals))
        for shards, place in by_shards.items():
            seconds = opening_time(place)
            goals = {} if shards == 2 else {"ratio": seconds, "must": 1.0, "aim": 0.5}
            rows.append(row(f"opening {shards:,} shards", seconds, "s", **goals))
    tell(rows, arguments)


def manifest_of(shards: int) -> Manifest:
    """A complete cache of so many shards of one context each, whose blocks are made up."""
    return Manifest(
        format="safetensors",
        model=ModelRecord(name="made-up", config_hash="0", weights_hash="0"),
        text=TextRecord(
            dataset="made-up",
            fingerprint="0",
            tokenizer_hash="0",
            context_size=CONTEXT_SIZE,
            bos=True,
            bos_id=0,
            separator_id=0,
            special_ids=(0,),
        ),
        compute=ComputeRecord(batch_size=1, attention="sdpa", device="cpu"),
        documents=True,
        hooks={HOOK: HookRecord(d_model=D_MODEL, dtype="float16")},
        shard_contexts=1,
        block_contexts=1,
        contexts_requested=shards,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def record_of(manifest: Manifest, index: int) -> ShardRecord:
    checksums = np.random.default_rng(index).integers(0, 2**32, BLOCKS).tolist()
    files = {
        shard_file(manifest, spec, index): FileRecord(
            bytes=spec.context_bytes,  # of the one context
            sha256=f"{index:064x}",
            blocks=pack_checksums(checksums if path.startswith("activations/") else checksums[:1]),
        )
        for path, spec in array_specs(manifest).items()
    }
    return ShardRecord(
        index=index,
        first_context=index,
        contexts=1,
        text_end=TextPosition(document=index, token=17),
        files=files,
    )


def moments() -> dict[str, HookMoments]:
    return {HOOK: HookMoments.zero(CONTEXT_SIZE, D_MODEL)}


def make(folder: Path, shards: int) -> None:
    """A complete cache, as the writer leaves it, but for what is in the files."""
    manifest = manifest_of(shards)
    sums = moments()[HOOK].to_bytes()
    records = list(records_of(folder, manifest, sums))
    write_fast(folder, records)
    manifest.shards_sha256 = write_list(folder, records)
    manifest.complete = True
    write_manifest(folder, manifest)


def records_of(folder: Path, manifest: Manifest, sums: bytes) -> Iterator[ShardRecord]:
    for spec in array_specs(manifest).values():
        (folder / spec.path).mkdir(parents=True)
    (folder / moments_file(HOOK, 0)).parent.mkdir(parents=True)
    size = FileRecord(bytes=len(sums), sha256="0" * 64)
    for index in range(manifest.contexts_requested):
        record = record_of(manifest, index)
        for name, file in record.files.items():
            (folder / name).write_bytes(bytes(file.bytes))
        (folder / moments_file(HOOK, index)).write_bytes(sums)
        yield record.with_files({moments_file(HOOK, index): size})


def write_fast(folder: Path, records: list[ShardRecord]) -> None:
    """All records but the first, which shows the form, without flushing each to the disk."""
    write_shard(folder, records[0])
    for record in records[1:]:
        content = record.model_dump_json(exclude_defaults=True).encode() + b"\n"
        (folder / f"shards/{record.index:05d}.json").write_bytes(content)


def commit_time(folder: Path, shards: int, commits: int) -> float:
    """Median seconds of a commit to a cache that has so many shards and grows."""
    manifest = manifest_of(shards + commits)
    committed = Commits(folder, manifest, OneRank())
    seconds = []
    for index in range(shards, shards + commits):
        record = record_of(manifest, index)
        begun = time.perf_counter()
        committed.commit(record, moments())
        seconds.append(time.perf_counter() - begun)
    # the cache is complete again, without what was added
    for index in range(shards, shards + commits):
        (folder / f"shards/{index:05d}.json").unlink()
        (folder / moments_file(HOOK, index)).unlink()
    manifest = manifest_of(shards)
    records = [record_of(manifest, index) for index in range(shards)]
    manifest.shards_sha256, manifest.complete = write_list(folder, records), True
    write_manifest(folder, manifest)
    return statistics.median(seconds)


def opening_time(folder: Path) -> float:
    """Seconds of the fastest of three, as the system has read the files' names before."""
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        ActivationCache(folder)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


if __name__ == "__main__":
    main()
