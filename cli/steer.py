"""`lmsaes steer`: a prompt completed with a feature edited, beside the model's own completion."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.cli.options import only_given, options_of, with_options
from lmsaes.steering.config import SteerConfig

if TYPE_CHECKING:
    from lmsaes.steering import Completion, Steered

_RAISED = 5  # next tokens that are shown as likelier


@with_options(
    options_of(SteerConfig, [n for n in SteerConfig.model_fields if n not in ("sae", "feature")])
)
def steer(
    sae: Annotated[
        str, typer.Argument(metavar="SAE", help=SteerConfig.model_fields["sae"].description)
    ],
    feature: Annotated[
        int, typer.Argument(metavar="FEATURE", help=SteerConfig.model_fields["feature"].description)
    ],
    **given: Any,
) -> None:
    """Complete a prompt with a feature edited, beside the model's own completion.

    Several values make a grid: --add 2 --add 8 gives a completion for each.
    """
    config = SteerConfig.of({"sae": sae, "feature": feature, **only_given(given)})

    from lmsaes.sae import SAE
    from lmsaes.steering import Edit, find_model
    from lmsaes.steering import steer as run

    loaded = SAE.load(Path(config.sae))
    edits = {
        words: [
            Edit(loaded, config.feature, **how, positions=config.positions, special=config.special)
        ]
        for words, how in config.edits().items()
    }
    lm = find_model(loaded, config.model, config.device)
    found = run(
        lm,
        config.prompt,
        list(edits.values()),
        tokens=config.tokens,
        seed=config.seed,
        temperature=config.temperature,
        top_p=config.top_p,
        bos=config.bos,
    )
    _print(found, [*edits], lm.tokenizer)


def _print(found: "Steered", names: list[str], tokenizer: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lmsaes.text import strings_of

    table = Table("edit", "completion", "KL", "next token: likelier", show_lines=True)
    table.add_row("none", Text(found.default.text), "", "")
    for name, completion in zip(names, found.sets, strict=True):
        ids = _raised(completion, found.default)
        strings = ", ".join(repr(string) for string in strings_of(tokenizer, ids))
        kl = f"{float(completion.kl.mean()):.3g}"
        table.add_row(name, Text(completion.text), kl, Text(strings))
    Console().print(table)


def _raised(completion: "Completion", default: "Completion") -> list[int]:
    """The tokens whose probability right after the prompt rose most."""
    change = completion.logits[0].softmax(0) - default.logits[0].softmax(0)
    best = change.topk(_RAISED)
    return best.indices[best.values > 0].tolist()
