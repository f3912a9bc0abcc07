"""The model in the loop: steered completions beside the plain model's, and a text through two SAEs.

    python benchmarks/live.py
    python benchmarks/live.py --saes runs/demo/topk-32 runs/demo/relu-2
    python benchmarks/live.py --model gpt2 --hook blocks.8.hook_resid_pre --device cuda

Plain is the Hugging Face model's own forward pass with its key-value cache, taking the likeliest
token. A steered completion has one feature added at every token; its rate counts the tokens of both
completions that `stream` writes, the model's own among them, and includes the KL. Two SAEs are
trained for a moment where none are given. All is warm; rounds take turns; ratios are their medians.
"""

import argparse
import gzip
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from _report import row, tell
from _rows import add_options, training_cache

from lmsaes import SAE, LanguageModel, ReLUConfig, TopKConfig, encode_text, train
from lmsaes.model import patched_forward
from lmsaes.parallel import resolve_device
from lmsaes.steering import Edit, Finished, Sampling, find_model, stream, tokenize

ROUNDS_OF_TEXT = 3  # passes of a text for each round of completions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, tokens="60k", scored="0")
    parser.add_argument("--saes", nargs="*", help="folders of two SAEs [default: trained here]")
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=32, help="tokens of the prompt")
    parser.add_argument("--length", type=int, default=64, help="tokens of completion and own text")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tell(measure(arguments, Path(folder)), arguments)


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    device = resolve_device(arguments.device)
    folders = [Path(each) for each in arguments.saes or trained(arguments, folder)]
    saes = [SAE.load(each).to(device) for each in folders]
    lm = find_model(saes[0], arguments.model, str(device))
    ids = text_of(lm, arguments.heldout, arguments.prompt + arguments.length)
    prompt, length = tokenize(lm, ids[: arguments.prompt]), arguments.length
    edits = [Edit(saes[0], 0, add=1.0)]
    plain = patched_forward(lm, [])

    def plain_tokens(count: int) -> None:
        new, past = torch.tensor([prompt.token_ids], device=device), None
        for _ in range(count):
            logits, past = plain.step(new, past=past)
            new = logits[:, -1].argmax(1, keepdim=True)

    def first_token() -> None:
        events = stream(lm, prompt, edits, 1, Sampling(temperature=0))
        next(events)
        events.close()

    def completions() -> int:
        events = stream(lm, prompt, edits, length, Sampling(temperature=0))
        return sum(len(e.completion.token_ids) for e in events if isinstance(e, Finished))

    def own_text() -> None:
        encode_text(lm, saes, ids[:length])

    written = completions()
    plain_tokens(length)
    first: list[float] = []
    rates: list[float] = []
    times: dict[str, list[float]] = {"plain first": [], "first": [], "plain": [], "steered": []}
    texts: list[float] = []
    for _ in range(arguments.rounds):
        times["plain first"].append(seconds(lambda: plain_tokens(1), device))
        times["first"].append(seconds(first_token, device))
        first.append(times["first"][-1] / times["plain first"][-1])
        times["plain"].append(seconds(lambda: plain_tokens(length), device) / length)
        times["steered"].append(seconds(completions, device) / written)
        rates.append(times["plain"][-1] / times["steered"][-1])
        texts += [seconds(own_text, device) for _ in range(ROUNDS_OF_TEXT)]
    typical = {what: statistics.median(values) for what, values in times.items()}
    return [
        row("first token, plain", 1e3 * typical["plain first"], "ms"),
        row(
            "first token, steered",
            1e3 * typical["first"],
            "ms",
            statistics.median(first),
            must=1.5,
        ),
        row("tokens, plain", 1 / typical["plain"], "tokens/s", better="higher"),
        row(
            "tokens, steered and its default",
            1 / typical["steered"],
            "tokens/s",
            statistics.median(rates),
            must=0.67,
            better="higher",
        ),
        row(
            f"own text of {length} tokens through {len(saes)} SAEs, of 150 ms",
            1e3 * statistics.median(texts),
            "ms",
            statistics.median(texts) / 0.15,
            must=1.0,
        ),
    ]


def seconds(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def text_of(lm: LanguageModel, text: str, count: int) -> list[int]:
    """The beginning of a text of JSON lines, as token ids."""
    opened = gzip.open if text.endswith(".gz") else open
    with opened(text, "rt") as file:
        beginning = [json.loads(line)["text"] for line in itertools.islice(file, 20)]
    return tokenize(lm, "\n\n".join(beginning)).token_ids[:count]


def trained(arguments: argparse.Namespace, folder: Path) -> list[Path]:
    cache = training_cache(arguments, folder / "cache")
    configs = [
        TopKConfig(name="topk", hook=arguments.hook, k=arguments.k, features=arguments.features),
        ReLUConfig(name="relu", hook=arguments.hook, l1=2, features=arguments.features),
    ]
    train(cache, configs, out=folder / "run", tokens=arguments.tokens, device=arguments.device)
    return [folder / "run" / config.name for config in configs]


if __name__ == "__main__":
    main()
