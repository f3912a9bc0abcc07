"""`lmsaes trace`: an attribution graph over a model's transcoders, with its proof."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.circuits.config import TraceConfig
from lmsaes.cli.messages import say_where
from lmsaes.cli.options import ConfigFile, options_of, settings_from, with_options
from lmsaes.errors import ConfigError

if TYPE_CHECKING:
    from lmsaes.circuits import Agreement, Traced

_OPTIONS = [name for name in TraceConfig.model_fields if name != "transcoders"]
_SHOWN = 12  # of the strongest features


@with_options(options_of(TraceConfig, _OPTIONS))
def trace(
    transcoders: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help=TraceConfig.model_fields["transcoders"].description),
    ] = None,
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print the graph's JSON alone.")] = False,
    **given: Any,
) -> None:
    """Explain what a model says by its transcoders' features, as a graph with its proof.

    Edges are exact for the model with its attention patterns and norms held; --verify 50 says how
    well they predict the real one.
    """
    settings = TraceConfig.of(
        settings_from(TraceConfig, config, {"transcoders": transcoders, **given})
    )

    from lmsaes.atomic import check_writable
    from lmsaes.circuits import graph_json, keep_graph, shown_graph, write_graph
    from lmsaes.circuits import trace as run
    from lmsaes.database import Database

    if settings.name is None and settings.db is not None:
        raise ConfigError("--db is given and no --name", "name the graph that is to be kept there")
    if settings.out is not None:
        check_writable(Path(settings.out))
    where: str | None = None
    with Database(settings.db) if settings.name else nullcontext() as database:
        found = run(settings)  # with the database open: what is wrong with it shows at once
        if settings.out is not None:
            write_graph(shown_graph(found), Path(settings.out))
        if database is not None and settings.name is not None:
            keep_graph(database, settings.name, found)
            where = f"graph {settings.name} is in {database.place}"
    if json:
        _print_json(graph_json(shown_graph(found), "graph"))
        return
    _print(found)
    if settings.out is not None:
        typer.echo(f"{settings.out}: the graph in circuit-tracer's format")
    if where is not None:
        typer.echo(where)
        say_where(settings.db)


def _print_json(content: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(content, allow_nan=False, ensure_ascii=False))


def _print(found: "Traced") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    graph, replacement = found.graph, found.replacement
    table = Table("feature", "at", "activation", *[repr(t.name) for t in found.targets[:4]])
    weight = found.graph.weights @ graph.edges[graph.features :].abs()
    for row in weight[: graph.features].argsort(descending=True)[:_SHOWN].tolist():
        source = int(graph.followed[row])
        position = int(replacement.position[source])
        edges = graph.edges[graph.features :, row].tolist()[:4]
        table.add_row(
            f"{int(replacement.layer[source])}:{int(replacement.feature[source])}",
            Text(f"{position} {found.text.tokens[position]!r}"),
            f"{float(replacement.activation[source]):.3g}",
            *[f"{edge:+.3g}" for edge in edges],
        )
    console.print(table)
    nodes, edges = int(found.pruned.nodes[: graph.features].sum()), int(found.pruned.edges.sum())
    console.print(
        f"{graph.features} of {replacement.features} active features followed, {nodes} and {edges}"
        " edges shown"
    )
    facts = Table("how far to believe it", "", show_header=True)
    facts.add_row("edges miss what they explain by", f"{graph.completeness_error:.1e} of its size")
    facts.add_row("replacement score", f"{found.scores.replacement:.3f}")
    facts.add_row("completeness score", f"{found.scores.completeness:.3f}")
    console.print(facts)
    if found.verification is None:
        console.print("not compared with the real model: --verify 50 ablates 50 features in it")
        return
    checked = found.verification
    agreement = Table("real model", "r per feature", "r pooled", "slope", "squared effect missed")
    for name, each in {
        f"{len(checked.sources)} ablations, direct edges": checked.direct,
        "along all paths": checked.total,
        "on the targets alone": checked.on_targets,
        **{
            f"direct, {name} let go": each
            for name, each in checked.let_go.items()
            if name != "everything"  # the first line
        },
    }.items():
        agreement.add_row(name, *_figures(each))
    console.print(agreement)


def _figures(found: "Agreement") -> list[str]:
    numbers = (found.r_per_source, found.r_pooled, found.slope)
    missed = "–" if found.missed is None else f"{100 * found.missed:.1f} %"
    return [*("–" if n is None else f"{n:.3f}" for n in numbers), missed]
