"""`lmsaes show`: one feature in the terminal."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.cli.db import Db, Name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from lmsaes.database import SAERecord

_GROUPS = "top, interval-0 to interval-4, random, silent or same-token"
_EFFECTS = 6  # tokens whose change is printed under a context


def show(
    name: Name,
    feature: Annotated[int, typer.Argument(metavar="FEATURE", help="The feature's number.")],
    group: Annotated[
        str, typer.Option("--group", help=f"Which contexts are shown: {_GROUPS}.")
    ] = "top",
    count: Annotated[
        int, typer.Option("--contexts", min=0, help="How many contexts are shown.")
    ] = 10,
    loss_effect: Annotated[
        bool,
        typer.Option(
            "--loss-effect",
            help="Run the contexts shown through the model, with the feature and without it: how "
            "the next tokens' log-probabilities change.",
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="The model for --loss-effect, a name or a folder. [default: the one in the SAE's "
            "records]",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="TEXT", help="Where it runs: auto, cpu, cuda, cuda:1 or mps.")
    ] = "auto",
    db: Db = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all that is known as one JSON object.")
    ] = False,
) -> None:
    """Show a feature: its numbers, its tokens, its contexts with their activations in color."""
    from lmsaes.database import Database, feature_page
    from lmsaes.errors import ConfigError

    with Database(db) as database:
        record = database.sae(name)
        if record is None:
            raise ConfigError(f"no SAE '{name}' in {database.place}", "see: lmsaes db list")
        if group not in record.groups:
            raise ConfigError(f"'{group}' is no group of contexts", f"choose {_GROUPS}")
        page = feature_page(database, record, feature)
    if loss_effect:
        _add_loss_effects(page, record, page["groups"][group]["contexts"][:count], model, device)
    if as_json:
        typer.echo(json.dumps(page))
        return
    from rich.console import Console

    _print(page, group, count, Console())


def _add_loss_effects(
    page: dict[str, Any],
    record: "SAERecord",
    shown: list[dict[str, Any]],
    model: str | None,
    device: str,
) -> None:
    """Puts `loss_effect` into the contexts: for each token, of the token after it."""
    from lmsaes.steering import find_model, find_sae, loss_effects

    sae = find_sae(record)
    lm = find_model(sae, model, device)
    effects = loss_effects(lm, sae, page["feature"], (each["token_ids"] for each in shown))
    for context, changes in zip(shown, effects, strict=True):
        context["loss_effect"] = changes


def _print(page: dict[str, Any], group: str, count: int, console: "Console") -> None:
    from rich.text import Text

    title = f"feature {page['feature']} of {page['sae']}"
    console.print(Text(f"{title}: {page['label'] or 'never fires'}", "bold"))
    if page["firings"]:
        console.print(
            f"fires on {page['firings']} tokens ({100 * page['density']:.3g} %) in "
            f"{page['contexts']} contexts; maximum {page['maximum']:.4g}, mean {page['mean']:.4g}"
        )
    for twin in page["twins"]:
        told = "none" if twin["feature"] is None else f"{twin['feature']} ({twin['score']:.2f})"
        console.print(Text(f"twin in {twin['sae']}: {told}"))
    lists = {
        "fires on": [(e["token"], f"{e['share_of_firings']:.0%}") for e in page["fires_on"]],
        "after": [(e["token"], f"{e['lift']:.0f}×") for e in page["preceded_by"]],
        "promotes": [(e["token"], f"{e['weight']:.2g}") for e in page["promotes"]],
        "suppresses": [(e["token"], f"{e['weight']:.2g}") for e in page["suppresses"]],
    }
    for what, tokens in lists.items():
        if tokens:
            told = "  ".join(f"'{token}' {number}" for token, number in tokens[:8])
            console.print(Text(f"{what:<11}{told}"), soft_wrap=True)
    if output := page["output"]:
        raised = "  ".join(f"'{e['token']}' +{e['change']:.2g}" for e in output["raises"])
        console.print(
            Text(f"{'added':<11}{output['value']:.4g}: KL {output['kl']:.3g} nats  {raised}"),
            soft_wrap=True,
        )
    for what, parts in _wired(page["wiring"]).items():
        console.print(Text(f"{what:<11}{'  '.join(parts)}"), soft_wrap=True)
    chosen = page["groups"][group]
    between = ""
    if chosen["lower"] is not None:
        between = f", whose maximum is above {chosen['lower']:.4g} up to {chosen['upper']:.4g}"
    shown = chosen["contexts"][:count]
    console.print(Text(f"\n{group}: {len(shown)} of {chosen['available']} contexts{between}"))
    for context in shown:
        line = Text(f"{context['maximum']:8.4g}  ", "dim")
        line.append_text(_snippet(context, page["maximum"], console.width - 12))
        console.print(line, no_wrap=True, overflow="crop")
        if "loss_effect" in context:
            console.print(_effects(context), no_wrap=True, overflow="crop")


def _effects(context: dict[str, Any]) -> "Text":
    """The tokens whose log-probability changes most when the feature is taken out."""
    from rich.text import Text

    after = zip(context["tokens"][1:], context["loss_effect"], strict=False)  # the last has none
    known = [(token, change) for token, change in after if change is not None]
    most = sorted(known, key=lambda each: -abs(each[1]))[:_EFFECTS]
    told = "  ".join(f"'{token}' {change:+.2f}" for token, change in most)
    return Text(f"{'':8}  without it: {told}".replace("\n", "⏎"), "dim")


def _wired(wiring: dict[str, Any] | None) -> dict[str, list[str]]:
    """The parts that write into a feature and that read it, as L2H5 and L2N310."""
    told: dict[str, list[str]] = {}
    for what, side in (("written by", "writers"), ("read by", "readers")):
        found = (wiring or {}).get(side)
        if found is None:
            continue
        parts: list[str] = []
        for each in found["heads"][:4]:
            last = each["head"] + each["heads"] - 1
            head = f"L{each['layer']}H{each['head']}" + (f"–{last}" if each["heads"] > 1 else "")
            parts.append(f"{head}{_by(each)} {each['ratio']:.1f}×")
        for each in found["neurons"][:4]:
            parts.append(f"L{each['layer']}N{each['neuron']}{_by(each)} {each['ratio']:.1f}×")
        if parts:
            told[what] = parts
    return told


def _by(part: dict[str, Any]) -> str:
    return "" if part["by"] == "output" else f" {part['by']}"


def _snippet(context: dict[str, Any], maximum: float, width: int) -> "Text":
    """As much of the context around its position as fits, darker where the feature is stronger."""
    from rich.text import Text

    tokens = [token.replace("\n", "⏎") for token in context["tokens"]]
    first = last = context["position"]
    room = width - len(tokens[first])
    while room > 0 and (first > 0 or last + 1 < len(tokens)):
        if first > 0:
            first -= 1
            room -= len(tokens[first])
        if last + 1 < len(tokens) and room > 0:
            last += 1
            room -= len(tokens[last])
    line = Text()
    for token, value in zip(
        tokens[first : last + 1], context["activations"][first : last + 1], strict=True
    ):
        share = value / maximum if maximum else 0.0
        green = round(60 + 140 * share)
        line.append(
            token, f"black on rgb({255 - green},{green + 55},{255 - green})" if share else ""
        )
    return line
