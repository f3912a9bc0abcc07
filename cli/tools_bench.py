"""`lmsaes tools bench`: how fast a cache is read here."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lmsaes.cli.tools_inspect import Cache, Json
from lmsaes.units import format_bytes, format_count

if TYPE_CHECKING:
    from lmsaes.cache_tools.bench import Rate


def bench(
    cache: Cache,
    hook: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Hook to read. [default: the first]")
    ] = None,
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Most memory for the loader's pool.")
    ] = "1GiB",
    seconds: Annotated[float, typer.Option(help="Seconds to measure, about.")] = 6.0,
    flops: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT",
            help="Operations a second of the machine that will train, such as 400T, to say which "
            "SAEs this disk feeds there. [default: this machine's, measured]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how fast a cache is read here, in order and shuffled, and which SAEs that feeds.

    The page cache is made to drop the hook's files first, where the system allows it.
    """
    from lmsaes.cache import ActivationCache
    from lmsaes.cache_tools.bench import bench as tool

    found = tool(ActivationCache.open(cache), hook, memory, seconds, flops)
    if as_json:
        typer.echo(json.dumps({"path": cache} | asdict(found)))
        return
    copied = found.copy_gigabytes_per_second
    typer.echo(f"{cache}: {found.hook}, d_model {found.d_model}, {found.dtype}")
    typer.echo(f"  {'memory copy':<36}{'':>10}        {copied:>8.3g} GB/s")
    for name, rate in {
        "in order, one thread, cold": found.in_order_cold,
        "in order, one thread, warm": found.in_order_warm,
        f"shuffled, {format_bytes(found.shuffled_memory)} pool, cold": found.shuffled_cold,
        f"shuffled, {format_bytes(found.shuffled_memory)} pool, warm": found.shuffled_warm,
    }.items():
        typer.echo(f"  {name:<36}{_shown(rate, copied)}")
    for fed in found.fed:
        which = f"measured on {found.device}" if fed.measured else "as given"
        rate = f"{fed.flops / 1e12:.3g} TFLOP/s"
        typer.echo(f"  at {rate} ({which}), shuffled rows keep busy")
        for state, features in {"cold": fed.cold, "warm": fed.warm}.items():
            if features is not None:
                typer.echo(
                    f"    {state}: a TopK SAE of {format_count(features)} features or more "
                    f"({features / found.d_model:.3g} × d_model)"
                )


def _shown(rate: "Rate | None", copied: float) -> str:
    if rate is None:
        return f"{'not to be had here':>26}"
    share = rate.gigabytes_per_second / copied
    return (
        f"{format_count(rate.rows_per_second):>10} rows/s {rate.gigabytes_per_second:>8.3g} GB/s "
        f"({share:.2g} of a copy)"
    )
