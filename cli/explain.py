"""`lmsaes explain`: what features stand for, in words."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.cli.messages import figure
from lmsaes.cli.options import only_given, options_of, with_options
from lmsaes.errors import ConfigError
from lmsaes.explain.config import ExplainConfig

if TYPE_CHECKING:
    from lmsaes.database import Database, Explanation, SAERecord
    from lmsaes.explain import Explained


@with_options(options_of(ExplainConfig, [n for n in ExplainConfig.model_fields if n != "sae"]))
def explain(
    sae: Annotated[str, typer.Argument(metavar="SAE", help="Name of an SAE in the database.")],
    set: Annotated[
        tuple[int, str] | None,
        typer.Option(
            metavar="FEATURE TEXT",
            help="What a feature stands for; an empty text takes back what was said."
            " [default: none]",
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write all explanations with their history. [default: none]"
        ),
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option(
            "--import", metavar="FILE", help="Add the explanations of such a file. [default: none]"
        ),
    ] = None,
    author: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who says so. [default: your name on this machine]"),
    ] = None,
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            help="MongoDB address. [default: $LMSAES_DB, or the embedded server]",
            metavar="URI",
        ),
    ] = None,
    **given: Any,
) -> None:
    """Say what features stand for, or have a language model say it and score what it says.

    Without an option the explanations are listed. They belong to the SAE's weights and stay when it
    is analyzed again. Nothing is sent anywhere without --endpoint; what a person said of a feature
    is left alone.
    """
    config = ExplainConfig.of({"sae": sae, **only_given(given)})
    asked = {"set": set, "export": export, "import": import_, "endpoint": config.endpoint}
    chosen = [f"--{name}" for name, value in asked.items() if value is not None]
    if len(chosen) > 1:
        raise ConfigError(
            f"{', '.join(chosen[:-1])} and {chosen[-1]} don't go together", "run one at a time"
        )
    if only_given(given) and config.endpoint is None:
        option = next(iter(only_given(given))).replace("_", "-")
        raise ConfigError(
            f"--{option} is for labels by a language model", "give --endpoint and --explainer"
        )

    from lmsaes.database import Database
    from lmsaes.explain import explain_by_hand, export_explanations, import_explanations

    with Database(db) as database:
        record = database.sae(sae)
        if record is None:
            raise ConfigError(f"no SAE '{sae}' in {database.place}", "see: lmsaes db list")
        if set is not None:
            feature, text = set
            explain_by_hand(database, record, feature, text, author or getpass.getuser())
            typer.echo(f"feature {feature} of {record.name}: {text or 'no explanation any more'}")
        elif export is not None:
            count = export_explanations(database, record, export)
            typer.echo(f"{count} explanations of {record.name} are in {export}")
        elif import_ is not None:
            count = import_explanations(database, record, import_)
            typer.echo(f"{count} new explanations of {record.name}")
        elif config.endpoint is not None:
            _by_model(database, record, config)
        else:
            for explanation in _newest(database, record):
                typer.echo(
                    f"{explanation.feature}\t{explanation.text}\t({explanation.author})"
                    + _scored(explanation)
                )


def _newest(database: "Database", record: "SAERecord") -> "list[Explanation]":
    newest = {each.feature: each for each in database.explanations.all(record.sae_hash)}
    return [each for _, each in sorted(newest.items()) if each.text]


def _scored(explanation: "Explanation") -> str:
    from lmsaes.explain import score_of

    score = score_of(explanation)
    if score is None:
        return ""
    return f"\t{figure(score.balanced_accuracy, '.2f')}: {score.verdict()}"


def _by_model(database: "Database", record: "SAERecord", config: ExplainConfig) -> None:
    from lmsaes.addresses import shown_address
    from lmsaes.explain import EndpointError, explain_features

    typer.echo(
        f"{config.explainer} at {shown_address(str(config.endpoint))} explains features of "
        f"{record.name}: at most {config.max_requests} requests"
    )
    found = explain_features(database, record, config)
    _print_labels(found, config.score)
    for what, features in (
        ("explained by hand and left alone", found.by_hand),
        ("in too few contexts to be explained", found.silent),
    ):
        if features:
            typer.echo(f"{len(features)} {what}: {_some(features)}")
    if found.failed:
        first, why = min(found.failed.items())
        typer.echo(
            f"{len(found.failed)} without a label: {_some([*found.failed])} ({first}: {why})"
        )
    if found.failed and not found.labels:
        raise EndpointError(
            "no feature got a label", "see whether the model follows instructions, or try another"
        )
    if found.unfinished:
        typer.echo(
            f"{found.unfinished} features are left: the budget of {config.max_requests} requests "
            "is spent; run the same command again to go on"
        )
    elif not found.new:
        typer.echo("nothing to do: all of it is there already")
    typer.echo(f"{found.requests} requests were sent")


def _print_labels(found: "Explained", scored: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lmsaes.explain import score_of

    columns = ["balanced accuracy", "its tokens", "another's", "missing", ""] if scored else []
    table = Table("feature", "label", *columns)
    for feature, said in sorted(found.labels.items()):
        row = [str(feature), Text(said.text)]
        score = score_of(said) if scored else None
        if score is not None:
            other = score.baseline_random
            interval = f" ({figure(score.low, '.2f')} to {figure(score.high, '.2f')})"
            row += [
                figure(score.balanced_accuracy, ".2f") + interval,
                figure(score.baseline_token.balanced_accuracy, ".2f"),
                figure(other and other.balanced_accuracy, ".2f"),
                f"{score.missing} of {score.n}",
                score.verdict(),
            ]
        table.add_row(*row)
    if found.labels:
        Console().print(table)


def _some(features: list[int]) -> str:
    shown = ", ".join(map(str, sorted(features)[:8]))
    return f"{shown}, …" if len(features) > 8 else shown
