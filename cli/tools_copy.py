"""`lmsaes tools convert | slice | merge | shuffle`: what is made from caches."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmsaes.cache import Compression, StorageDtype, StorageFormat
from lmsaes.cli.messages import say_next
from lmsaes.cli.tools_inspect import Cache

if TYPE_CHECKING:
    from lmsaes.cache_tools.copy import CopyReport

_Out = Annotated[str, typer.Option(help="Folder of the new cache, or s3://bucket/prefix (zarr).")]


def convert(
    cache: Cache,
    out: _Out,
    format: Annotated[
        StorageFormat | None, typer.Option(help="File format. [default: as it is]")
    ] = None,
    dtype: Annotated[
        StorageDtype | None,
        typer.Option(help="Dtype of the stored activations. [default: as it is]"),
    ] = None,
    compression: Annotated[
        Compression | None, typer.Option(help="Compression of a zarr cache. [default: as it is]")
    ] = None,
    shard_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Bytes of one hook per file. [default: as many contexts]"
        ),
    ] = None,
    block_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Bytes of one hook per read. [default: as many contexts]"
        ),
    ] = None,
) -> None:
    """Write a cache in another format, dtype, compression or size of shards.

    Run it again to continue after an interruption.
    """
    from lmsaes.cache import ActivationCache, locate
    from lmsaes.cache_tools.convert import convert as tool

    source = ActivationCache.open(cache)
    _print_report(tool(source, locate(out), format, dtype, compression, shard_size, block_size))


def shuffle(
    cache: Cache,
    out: Annotated[str, typer.Option(help="Folder of the shuffled copy.")],
    hook: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Hook or glob. [default: all]")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the order, which depends on nothing else.", min=0)
    ] = 0,
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Most memory to hold at a time.")
    ] = "4GiB",
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"] | None,
        typer.Option(help="Dtype of the rows. [default: as stored, int8 as float16]"),
    ] = None,
    keep_special: Annotated[
        bool,
        typer.Option("--keep-special", help="Keep special tokens and first positions as well."),
    ] = False,
    shard_size: Annotated[str, typer.Option(metavar="SIZE", help="Bytes per file.")] = "512MiB",
) -> None:
    """Write a fully shuffled copy of a cache's rows as plain safetensors, for other trainers."""
    from lmsaes.addresses import local_path
    from lmsaes.cache import ActivationCache
    from lmsaes.cache_tools.shuffle import shuffle as tool

    folder = local_path(out)
    source = ActivationCache.open(cache)
    facts = tool(source, folder, hook or (), seed, memory, dtype, keep_special, shard_size)
    typer.echo(
        f"{out} holds {facts['rows']:,} rows of each hook in random order; "
        f"next: read {folder / 'README.md'}"
    )


def cut_out(
    cache: Cache,
    out: _Out,
    hook: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Hook or glob. [default: all]")
    ] = None,
    contexts: Annotated[
        str | None,
        typer.Option(metavar="RANGE", help="A range of contexts, such as 0:512. [default: all]"),
    ] = None,
) -> None:
    """Write some hooks, or a range of contexts, of a cache as a cache of their own."""
    from lmsaes.cache import ActivationCache, locate
    from lmsaes.cache_tools.slice import cut_out as tool

    _print_report(tool(ActivationCache.open(cache), locate(out), hook or (), contexts))


def merge(
    caches: Annotated[
        list[str],
        typer.Argument(help="Folders or URLs of the caches, in order.", metavar="CACHE"),
    ],
    out: _Out,
) -> None:
    """Write several caches of one model, the same hooks and packing as one cache."""
    from lmsaes.cache import ActivationCache, locate
    from lmsaes.cache_tools.merge import merge as tool

    _print_report(tool([ActivationCache.open(cache) for cache in caches], locate(out)))


def _print_report(report: "CopyReport") -> None:
    cache = report.cache
    if report.written == 0:
        typer.echo(f"{cache.path} is finished: nothing to do")
        return
    for hook, record in cache.hooks.items():
        if record.storage_error:
            lost = f"{record.storage_error:.2g} of its variance"
            typer.echo(f"{hook}: storing it as {record.dtype} lost {lost}")
    first = next(iter(cache.hooks))
    say_next(
        f"{cache.path} holds {cache.rows:,} tokens",
        "train", "--cache", str(cache.path), "--hook", first, "--out", f"runs/{cache.path.name}",
    )  # fmt: skip
