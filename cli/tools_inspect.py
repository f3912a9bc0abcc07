"""`lmsaes tools inspect | sample | rm`: what a cache holds, and its end."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.units import format_bytes

if TYPE_CHECKING:
    from lmsaes.cache import ActivationCache

Cache = Annotated[
    str, typer.Argument(help="Folder of the cache, or s3://bucket/prefix.", metavar="CACHE")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def inspect_cache(
    cache: Cache,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw norms by position and channels' sizes into an image. [default: no image]",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of the sample that percentiles are taken from.", min=0, metavar="N"
        ),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Say what a cache is: model, text, sizes, and each hook's statistics."""
    from lmsaes.cache import ActivationCache
    from lmsaes.cache_tools.inspect import describe
    from lmsaes.cache_tools.plot import check_plot
    from lmsaes.cache_tools.plot import plot as draw

    if plot is not None:
        check_plot(plot)
    opened = ActivationCache.open(cache)
    facts = describe(opened, seed)
    if plot is not None:
        draw(opened, facts, plot)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    state = "complete" if facts["complete"] else f"of {facts['contexts_requested']:,} asked for"
    typer.echo(f"{cache}: {facts['contexts']:,} contexts of {facts['context_size']} ({state})")
    typer.echo(f"  model    {facts['model']['name']} ({facts['model']['weights']} weights)")
    typer.echo(f"  text     {facts['text']['dataset']}")
    for other in facts["other_compute"]:
        typer.echo(
            f"  computed {len(other['shards'])} shards otherwise: batches of "
            f"{other['batch_size']} contexts, {other['attention']}, {other['device']}"
            + ", compiled"
            * other["compiled"]
        )
    for source in facts["sources"]:
        first, contexts = source["first_context"], source["contexts"]
        typer.echo(
            f"  copied   contexts {first} to {first + contexts - 1} of {source['text']['dataset']}"
        )
    typer.echo(
        f"  on disk  {format_bytes(facts['bytes'])} in {facts['shards']} shards of "
        f"{facts['format']}, compression {facts['compression']}"
    )
    for hook, found in facts["hooks"].items():
        typer.echo("")
        _print_hook(hook, found)
    if plot is not None:
        typer.echo(f"\nplot: {plot}")


def _print_hook(hook: str, found: dict[str, Any]) -> None:
    before = f" (before: {', '.join(found['stored_before_as'])})" * bool(found["stored_before_as"])
    typer.echo(
        f"{hook}: d_model {found['d_model']}, {found['dtype']}{before}, "
        f"{format_bytes(found['bytes'])}"
    )
    if found["storage_error"] is not None:
        typer.echo(f"  storing it lost {found['storage_error']:.2g} of its variance")
    valid = found.get("valid") or found["statistics"]
    typer.echo(f"  values from {valid['min']:.4g} to {valid['max']:.4g}")
    first = found["first_position"]
    typer.echo(
        f"  norm {valid['mean_norm']:.4g} on average; {first['mean_norm']:.4g} at the first "
        f"position, {first['times_the_others']:.3g} times the others"
    )
    outliers = found["outlier_channels"]
    shown = ", ".join(
        f"{each['channel']} ({each['times_the_median']:.1f} times, "
        f"{each['mean']:.3g} ± {each['deviation']:.2g})"
        for each in outliers["largest"]
    )
    typer.echo(
        f"  {outliers['count']} channels are over {outliers['threshold']:g} times the median's size"
        + (f": {shown}" if shown else "")
    )
    norms = found["norms"]
    typer.echo(f"  percentiles of the norm, in {norms['contexts']} sampled contexts:")
    percents = "".join(f"{percent:>8} %" for percent in norms["percentiles"])
    typer.echo(f"  {'position':>12}{percents}")
    for positions, values in norms["by_positions"].items():
        start, stop = map(int, positions.split(":"))
        name = str(start) if stop - start == 1 else f"{start} to {stop - 1}"
        typer.echo(f"  {name:>12}" + "".join(f"{value:>10.4g}" for value in values))


def sample(
    cache: Cache,
    count: Annotated[int, typer.Option(help="Number of contexts to draw.", min=1)] = 1,
    context: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Context to print. [default: drawn at random]"),
    ] = None,
    hook: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Hook or glob. [default: all]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the contexts drawn.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Print contexts, token by token, with the norm of each hook's activation."""
    from lmsaes.cache import ActivationCache
    from lmsaes.cache_tools.sample import sample as tool

    opened = ActivationCache.open(cache)
    drawn = tool(opened, count, context or (), hook or (), seed)
    names = _token_names(opened, max(max(each.tokens) for each in drawn) + 1)
    if as_json:
        contexts = [
            asdict(each) | {"texts": names and [names[token] for token in each.tokens]}
            for each in drawn
        ]
        typer.echo(json.dumps({"path": str(cache), "contexts": contexts}))
        return
    for each in drawn:
        hooks = "".join(f"  {name:>12}" for name in each.norms)
        typer.echo(f"context {each.context}\n{'position':>8}{hooks}  {'id':>6}  token")
        for position, token in enumerate(each.tokens):
            norms = "".join(
                f"  {norm[position]:>{max(12, len(name))}.4g}" for name, norm in each.norms.items()
            )
            text = "" if names is None else json.dumps(names[token], ensure_ascii=False)
            mark = "" if each.valid[position] else "  (special)"
            typer.echo(f"{position:>8}{norms}  {token:>6}  {text}{mark}")


def _token_names(cache: "ActivationCache", size: int) -> list[str] | None:
    """Each token's text, or None, and a line that says why, when they can't be had."""
    from lmsaes.errors import ModelError
    from lmsaes.model import load_tokenizer
    from lmsaes.text import token_strings, tokenizer_facts

    model = cache.manifest.model
    try:
        tokenizer = load_tokenizer(model.name, model.revision)
    except ModelError as error:
        typer.echo(f"token ids only: {error}", err=True)
        return None
    if tokenizer_facts(tokenizer).hash != cache.manifest.text.tokenizer_hash:
        typer.echo(f"token ids only: the tokenizer of {model.name} has changed", err=True)
        return None
    return token_strings(tokenizer, size)


def remove(
    cache: Cache,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """Delete a cache; a folder that holds none is refused."""
    from lmsaes.cache import locate, read_manifest
    from lmsaes.cache_tools.remove import check_no_link
    from lmsaes.cache_tools.remove import remove as tool
    from lmsaes.errors import ConfigError

    place = locate(cache)
    check_no_link(place)
    manifest = read_manifest(place)
    size = sum(file.bytes for shard in manifest.shards for file in shard.files.values())
    tokens = manifest.contexts * manifest.text.context_size
    what = f"{cache} with {tokens:,} tokens of {len(manifest.hooks)} hooks, {format_bytes(size)}"
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"not asked whether to delete {what}", "say so with --yes")
        typer.confirm(f"delete {what}?", abort=True)
    left = tool(place)
    typer.echo(f"deleted {what}" + (f"; {', '.join(left)} stay there" if left else ""))
