"""`lmsaes tools verify`: whether a cache is what its manifest says, and what its model says."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.cli.tools_inspect import Cache, Json
from lmsaes.errors import ConfigError

if TYPE_CHECKING:
    from lmsaes.capture import Verification


def verify(
    cache: Cache,
    deep: Annotated[bool, typer.Option("--deep", help="Check every file's digest.")] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Drop broken shards, so that lmsaes cache makes them again."),
    ] = False,
    against_model: Annotated[
        int | None,
        typer.Option(
            help="Run the model again on so many random contexts, and compare tokens and rows. "
            "[default: don't]",
            metavar="N",
            min=1,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the contexts drawn.", min=0)] = 0,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Where the language model is. [default: where the cache says]"
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="TEXT", help="Device that the model runs on: auto, cpu, cuda, ….")
    ] = "auto",
    as_json: Json = False,
) -> None:
    """Check a cache against its manifest, or its model; exit code 1 on any fault."""
    from lmsaes.cache import ActivationCache, locate, read_manifest
    from lmsaes.cache_tools import verify as tool
    from lmsaes.progress import progress

    place = locate(cache)
    if repair:
        if against_model is not None or as_json:
            raise ConfigError("--repair goes by digests alone", "give it without other options")
        done = tool.repair(place)
        if done.removed:
            typer.echo(f"removed files that the manifest doesn't name: {len(done.removed)}")
        if done.dropped:
            typer.echo(
                f"dropped {len(done.dropped)} shard{'s' * (len(done.dropped) > 1)}; run the same "
                "lmsaes cache command to make them again"
            )
        if not done.dropped and not done.removed:
            typer.echo("nothing to repair")
        return
    size = sum(f.bytes for s in read_manifest(place).shards for f in s.files.values())
    with progress("verifying", size if deep else 0, "bytes") as bar:
        faults = tool.verify(place, deep, bar.advance)
    checked = None
    if against_model is not None and not faults:
        from lmsaes.capture import verify_against_model

        checked = verify_against_model(
            ActivationCache.open(place), against_model, seed, model, device
        )
        faults = checked.faults
    if as_json:
        found: dict[str, Any] = {"path": cache, "deep": deep, "faults": faults}
        if against_model is not None:
            found["against_model"] = checked and asdict(checked)
        typer.echo(json.dumps(found))
    else:
        if checked is not None:
            _print_verification(checked)
        for fault in faults:
            typer.echo(f"error: {fault}", err=True)
        if not faults:
            how = "" if deep or checked else " (sizes; --deep checks digests)"
            typer.echo(f"{cache} is sound{how}")
    if faults:
        raise typer.Exit(1)


def _print_verification(checked: "Verification") -> None:
    typer.echo(
        f"{len(checked.contexts)} contexts again through {checked.model} ({checked.weights} "
        f"weights, {checked.dtype}, {checked.attention}, {checked.device})"
    )
    if checked.tokens_compared:
        typer.echo(f"  tokens: {checked.tokens_compared:,} tokenized again from the text")
    for note in checked.notes:
        typer.echo(f"  {note}")
    width = max(34, *(len(hook) for hook in checked.hooks))
    typer.echo(
        f"  {'distance from the model, of a norm':<{width}}  {'typical':>8}  {'largest':>8}  "
        f"{'rounding explains':>17}  rows beyond"
    )
    for hook, found in checked.hooks.items():
        typer.echo(
            f"  {hook:<{width}}  {found.typical:>8.2g}  {found.largest:>8.2g}  "
            f"{found.explained:>17.2g}  {found.rows_beyond:>11}"
        )
