"""Features chosen by what they do to the output, against those chosen by what they fire on.

    python benchmarks/output_scores.py
    python benchmarks/output_scores.py --sae runs/demo/topk-32

Each of some features is added, at its largest activation, to contexts of held-out text: its output
score is the KL divergence of the next-token distribution (`lmsaes.steering.output_scores`).
Steering with it succeeds as far as the five tokens that it made likeliest there become likelier on
*other* contexts too. The best by output score are compared with the best by activation, those with
the largest one; Arad et al. 2025 (arXiv 2505.20063) report two to three times.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from _report import row, tell
from _rows import add_options, heldout_rows, training_cache

from lmsaes import SAE, TopKConfig, train
from lmsaes.parallel import resolve_device
from lmsaes.steering import find_model, output_scores

TOKENS = 5  # that a feature makes likeliest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, tokens="60k", scored="8k")
    parser.add_argument("--sae", help="folder of an SAE [default: trained here]")
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--tried", type=int, default=256, help="features that are tried")
    parser.add_argument("--chosen", type=int, default=32, help="features of each choice")
    parser.add_argument("--contexts", type=int, default=8)
    parser.add_argument("--length", type=int, default=24, help="tokens of a context")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tell(measure(arguments, Path(folder)), arguments)


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    device = resolve_device(arguments.device)
    sae = SAE.load(arguments.sae or trained(arguments, folder)).to(device)
    lm = find_model(sae, arguments.model, str(device))
    maxima = sae.encode(heldout_rows(arguments, folder / "rows").to(device), dense=True).amax(0)
    alive = (maxima > 0).nonzero()[:, 0]
    drawn = torch.randperm(len(alive), generator=torch.Generator().manual_seed(0))
    features: list[int] = alive[drawn[: arguments.tried].to(alive.device)].tolist()
    values: list[float] = maxima[features].tolist()
    first, second = contexts(lm, arguments)
    scores = output_scores(lm, sae, features, values, first, TOKENS)
    elsewhere = output_scores(lm, sae, features, values, second, lm.vocabulary)
    success: dict[int, float] = {}
    for score, other in zip(scores, elsewhere, strict=True):
        raised = dict(other.raises)
        success[score.feature] = sum(raised[token] for token, _ in score.raises)
    by_output = sorted(scores, key=lambda score: -score.kl)
    by_activation = sorted(scores, key=lambda score: -score.value)
    means = {
        what: statistics.mean(success[each.feature] for each in chosen[: arguments.chosen])
        for what, chosen in (("output score", by_output), ("activation", by_activation))
    }
    everything = statistics.mean(success.values())
    name = "probability gained by a feature's tokens on other texts, of features by"
    return [
        row(f"{name} chance", everything, "", better="higher"),
        row(f"{name} activation", means["activation"], "", better="higher"),
        row(
            f"{name} output score",
            means["output score"],
            "",
            means["output score"] / means["activation"] if means["activation"] else None,
            better="higher",
        ),
    ]


def contexts(lm: Any, arguments: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets of contexts of the held-out text, each [contexts, length]."""
    from live import text_of

    count = 2 * arguments.contexts * arguments.length
    ids = torch.tensor(text_of(lm, arguments.heldout, count))
    if len(ids) < count:
        ids = ids.repeat(count // len(ids) + 1)[:count]
    rows = ids.reshape(2 * arguments.contexts, arguments.length)
    return rows[::2], rows[1::2]


def trained(arguments: argparse.Namespace, folder: Path) -> Path:
    cache = training_cache(arguments, folder / "cache")
    config = TopKConfig(
        name="topk", hook=arguments.hook, k=arguments.k, features=arguments.features
    )
    train(cache, [config], out=folder / "run", tokens=arguments.tokens, device=arguments.device)
    return folder / "run" / config.name


if __name__ == "__main__":
    main()
