"""`lmsaes eval`: how well SAEs reconstruct, and what that does to the language model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.cli.messages import say_next
from lmsaes.cli.options import ConfigFile, options_of, settings_from, with_options
from lmsaes.evaluation import EvalConfig

if TYPE_CHECKING:
    from lmsaes.evaluation import Comparison, Evaluation, Evaluations, Figures

_OPTIONS = [name for name in EvalConfig.model_fields if name != "saes"]
_ROWS = (
    "l0", "l1", "mse", "fvu", "explained_variance", "cosine_similarity", "norm_ratio",
    "relative_reconstruction_bias", "alive", "dense_1", "dense_10", "decoder_cosine",
    "decoder_cosine_max", "ce_clean", "ce_sae", "ce_zero", "ce_mean", "ce_recovered_zero",
    "ce_recovered_mean", "kl", "kl_zero", "kl_recovered_zero",
)  # fmt: skip
_COLUMN_WIDTH = 23
_SAID = {
    "fvu": "FVU",
    "l0": "L0",
    "ce_recovered_zero": "CE recovered (zero)",
    "ce_recovered_mean": "CE recovered (mean)",
    "kl": "KL",
}


@with_options(options_of(EvalConfig, _OPTIONS))
def evaluate(
    saes: Annotated[
        list[str] | None,
        typer.Argument(metavar="SAE", help=EvalConfig.model_fields["saes"].description),
    ] = None,
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, no table.")] = False,
    **given: Any,
) -> None:
    """Measure SAEs on a cache: reconstruction, sparsity, cross-entropy recovered.

    Every figure comes with its standard error over contexts. What was found is kept in each SAE's
    config.json.
    """
    settings = EvalConfig.of(settings_from(EvalConfig, config, {"saes": saes, **given}))

    from lmsaes.evaluation import evaluate as run

    results = run(**dict(settings))
    if json:
        _print_json(results)
        return
    _print_table(results)
    _print_comparisons(results.comparisons)
    _print_probing(results)
    say_next("done", "analyze", *settings.saes, "--cache", settings.cache)


def _print_json(results: "Evaluations") -> None:
    import json

    found = {
        "saes": [each.model_dump(mode="json") for each in results],
        "comparisons": [each.model_dump(mode="json") for each in results.comparisons],
    }
    typer.echo(json.dumps(found, allow_nan=False, ensure_ascii=False))


def _print_table(results: "Sequence[Evaluation]") -> None:
    """A row per figure, named as in JSON and Python; as many SAEs beside each other as fit."""
    from rich.console import Console
    from rich.table import Table

    columns: list[tuple[str, Figures]] = []
    for each in results:
        columns.append((each.name.rpartition(":")[2], each))
        columns += each.per_hook.items()
    console = Console()
    beside = max(1, console.width // _COLUMN_WIDTH - 1)
    for start in range(0, len(columns), beside):
        shown = columns[start : start + beside]
        table = Table("", *(name for name, _ in shown))
        for row in _ROWS:
            table.add_row(row, *(_shown(figures, row) for _, figures in shown))
        console.print(table)
    for words in dict.fromkeys(each.rows_used for each in results):
        typer.echo(f"± standard error over contexts; {words}")


def _shown(figures: "Figures", name: str) -> str:
    """A figure and its error, to the digits that the error leaves."""
    value: float | None = getattr(figures, name, None)
    error: float | None = getattr(figures, f"{name}_se", None)
    if value is None:
        return "–"
    if not error:
        return f"{value:.4g}"
    from math import floor, log10

    digits = max(0, 1 - floor(log10(error)))  # two of the error's
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _print_comparisons(comparisons: "Sequence[Comparison]") -> None:
    """By figure, which SAEs differ: beyond 1.96 standard errors of the difference."""
    for figure, name in _SAID.items():
        of = [each for each in comparisons if each.figure == figure and each.differ is not None]
        same = [f"{each.first} and {each.second}" for each in of if not each.differ]
        if of:
            alike = "; not between " + ", ".join(same) if same else ""
            typer.echo(f"{name}: {len(of) - len(same)} of {len(of)} pairs differ{alike}")


def _print_probing(results: "Sequence[Evaluation]") -> None:
    for each in results:
        if each.probing is not None:
            found = " · ".join(
                f"{r.inputs} {r.accuracy:.3f} ({r.low:.3f} to {r.high:.3f})"
                for r in each.probing.results
            )
            typer.echo(f"{each.name}: probing accuracy of {found}")
