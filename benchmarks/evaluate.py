"""`lmsaes eval` through the model, against the model's own forward pass.

    python benchmarks/evaluate.py
    python benchmarks/evaluate.py --model gpt2 --hook blocks.8.hook_resid_pre --device cuda

An evaluation of SAEs runs the model above the hook once as it is, with zeros, with the mean, and
with each SAE's reconstruction. Tokens per second are counted for each of these variants, with all
that belongs to them: reading the cache, the SAEs, losses, KL and sums. The model's own is a forward
pass from tokens to the next tokens' log-probabilities, in batches of the same size. Everything is
warm; rounds take turns, and the ratio is the median of theirs.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _report import row, tell
from _rows import add_options, training_cache

from lmsaes import TopKConfig, train
from lmsaes.evaluation.cache_model import load_cache_model
from lmsaes.evaluation.downstream import Downstream
from lmsaes.evaluation.measured_sae import MeasuredSAE
from lmsaes.evaluation.rows import choose_contexts
from lmsaes.evaluation.run import batch_contexts, batch_of
from lmsaes.model import patched_forward
from lmsaes.parallel import resolve_device
from lmsaes.units import parse_count

VARIANTS = ("clean", "zero", "mean")  # and one for each SAE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, tokens="60k", scored="0")
    parser.add_argument("--measure", type=parse_count, default=8_000, help="tokens of a round")
    parser.add_argument("--train", type=parse_count, default=20_000, help="rows the SAEs see")
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--saes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tell(measure(arguments, Path(folder)), arguments)


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    device = resolve_device(arguments.device)
    cache = training_cache(arguments, folder / "cache")
    configs = [
        TopKConfig(
            name=f"topk-{i}", hook=arguments.hook, k=arguments.k, features=arguments.features
        )
        for i in range(arguments.saes)
    ]
    train(cache, configs, out=folder / "run", tokens=arguments.train, device=arguments.device)
    lm = load_cache_model(cache, None, str(device))
    jobs = [MeasuredSAE(folder / "run" / c.name, cache, device, False) for c in configs]
    chosen = choose_contexts(cache, [job.sae for job in jobs], arguments.measure, None)
    size = batch_contexts(cache, lm, device, None)
    batches = list(chosen.batches(size))
    hook = arguments.hook
    downstream = Downstream(lm, jobs[0].means, [hook], cache.manifest.text.padding_id)
    own = patched_forward(lm, [])
    tokens = chosen.count * cache.context_size

    def evaluated() -> None:
        for runs in batches:
            batch, _ = batch_of(cache, runs, [hook], device)
            downstream.measure(batch, {hook: [job.add(batch)[hook] for job in jobs]})

    def forward() -> None:
        for runs in batches:
            ids = torch.cat([cache.tokens(run.start, run.stop) for run in runs])
            own.logits(ids).float().log_softmax(-1)

    with torch.inference_mode():
        evaluated()
        forward()
        pairs = [
            (seconds(evaluated, device), seconds(forward, device)) for _ in range(arguments.rounds)
        ]
    variants = len(VARIANTS) + len(jobs)
    ours = [variants * tokens / ours for ours, _ in pairs]
    plain = [tokens / plain for _, plain in pairs]
    return [
        row("the model's own forward", statistics.median(plain), "tokens/s", better="higher"),
        row(
            f"eval of {len(jobs)} SAEs at {hook}, for each of {variants} variants",
            statistics.median(ours),
            "tokens/s",
            statistics.median(a / b for a, b in zip(ours, plain, strict=True)),
            must=0.8,
            better="higher",
        ),
    ]


def seconds(work: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
