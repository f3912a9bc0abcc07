"""`lmsaes tools`: a cache as an object of its own."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lmsaes.quantities import format_bytes

_Cache = Annotated[Path, typer.Argument(help="folder of the cache", metavar="CACHE")]
_Json = Annotated[bool, typer.Option("--json", help="print one JSON object")]


def inspect_cache(cache: _Cache, as_json: _Json = False) -> None:
    """Say what a cache is: model, text, sizes, and each hook's statistics."""
    from lmsaes.cache_tools.inspect import describe

    from lmsaes.cache.reader import ActivationCache

    facts = describe(ActivationCache.open(cache))
    if as_json:
        typer.echo(json.dumps(facts))
        return
    state = "complete" if facts["complete"] else f"of {facts['contexts_requested']:,} asked for"
    typer.echo(f"{cache}: {facts['contexts']:,} contexts of {facts['context_size']} ({state})")
    typer.echo(f"  model    {facts['model']['name']} ({facts['model']['weights']} weights)")
    typer.echo(f"  text     {facts['text']['dataset']}")
    typer.echo(
        f"  on disk  {format_bytes(facts['bytes'])} in {facts['shards']} shards of "
        f"{facts['format']}, compression {facts['compression']}"
    )
    table = Table(
        "hook", "d_model", "dtype", "lost", "mean norm", "at position 0", "smallest", "largest"
    )
    for hook, found in facts["hooks"].items():
        ordinary = found.get("ordinary") or found["statistics"]
        table.add_row(
            hook,
            str(found["d_model"]),
            found["dtype"],
            "?" if found["storage_error"] is None else f"{found['storage_error']:.1e}",
            f"{ordinary['mean_norm']:.4g}",
            f"{found['mean_norm_by_position'][0]:.4g}",
            f"{ordinary['min']:.4g}",
            f"{ordinary['max']:.4g}",
        )
    Console().print(table)


def verify(
    cache: _Cache,
    deep: Annotated[bool, typer.Option("--deep", help="check every file's digest")] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="drop broken shards, so that lmsaes cache makes them again"),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Check a cache against its manifest; exit code 1 on any fault."""
    from lmsaes.cache_tools import verify as tool

    from lmsaes.cache.manifest import read_manifest
    from lmsaes.progress import progress

    if repair:
        dropped = tool.repair(cache)
        typer.echo(
            f"dropped {len(dropped)} shards; run the same lmsaes cache command to make them again"
            if dropped
            else "nothing to repair"
        )
        return
    size = sum(f.bytes for s in read_manifest(cache).shards for f in s.files.values())
    with progress("verifying", size if deep else 0, "bytes") as bar:
        faults = tool.verify(cache, deep, bar.advance)
    if as_json:
        typer.echo(json.dumps({"path": str(cache), "deep": deep, "faults": faults}))
    else:
        for fault in faults:
            typer.echo(f"error: {fault}", err=True)
        if not faults:
            typer.echo(f"{cache} is sound" + ("" if deep else " (sizes; --deep checks digests)"))
    if faults:
        raise typer.Exit(1)
