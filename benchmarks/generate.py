"""Stage one against the bare forward pass of the same model to the same depth.

    python benchmarks/generate.py                       GPT-2 small's shape, random weights, a CPU
    python benchmarks/generate.py --json                one object
    python benchmarks/generate.py --peer-python PATH    and SAELens' cache runner, in its own
                                                        environment
    python benchmarks/generate.py --device cuda --dtype bfloat16 --batch 128 --batches 100

Stage one is everything from token ids on: they are packed, run, two residual hooks kept, cast,
checked, summed up, written and flushed to the disk. Raw weights are measured against Hugging Face's
own forward with fused attention, processed ones against the forward of TransformerLens' bridge;
both are cut after the last wanted block and keep nothing. Rounds alternate, so that a machine whose
speed drifts drifts for all; ratios are medians over rounds.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _peers import run_there
from _report import row, tell

CONTEXT = 128
MUST, AIM = {"raw": 0.90, "processed": 0.90}, {"raw": 0.98, "processed": 0.97}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--d", type=int, default=768)
    parser.add_argument("--layers", type=int, default=6, help="blocks that are run")
    parser.add_argument("--batch", type=int, default=16, help="contexts per batch")
    parser.add_argument("--batches", type=int, default=3, help="batches per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="float32", help="of the model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peer-python", type=Path, help="python of an environment with sae_lens")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.peer:
        print(json.dumps(sae_lens_speeds(arguments)))
        return
    tell(measure(arguments), arguments)


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    runs: dict[str, Callable[[], None]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = save_model(folder / "model", arguments)
        for weights in ("raw", "processed"):
            forward, stage_one = both(source, weights, folder / weights, arguments)
            runs[f"{weights}: forward"], runs[f"{weights}: stage one"] = forward, stage_one
        for run in runs.values():
            run()
        speeds: dict[str, list[float]] = {what: [] for what in runs}
        tokens = arguments.batches * arguments.batch * CONTEXT
        for _ in range(arguments.rounds):
            for what, run in runs.items():
                speeds[what].append(tokens / timed(run, arguments.device))
    rows: list[dict[str, Any]] = []
    for weights, bare in (
        ("raw", "Hugging Face's forward, SDPA, nothing kept"),
        ("processed", "the bridge's forward, nothing kept"),
    ):
        forward, ours = speeds[f"{weights}: forward"], speeds[f"{weights}: stage one"]
        ratio = statistics.median(a / b for a, b in zip(ours, forward, strict=True))
        rows.append(speed_row(bare, statistics.median(forward)))
        what = f"stage one, two residual hooks, {weights} weights"
        rows.append(speed_row(what, statistics.median(ours), ratio, MUST[weights], AIM[weights]))
    return [*rows, sae_lens_row(statistics.median(speeds["raw: stage one"]), arguments)]


def speed_row(
    what: str, tokens_per_second: float | None, *ratio_and_goals: float
) -> dict[str, Any]:
    return row(what, tokens_per_second, "tokens/s", *ratio_and_goals, better="higher")


def save_model(folder: Path, arguments: argparse.Namespace) -> str:
    """GPT-2 of the given width, with one block more than is run, and a tokenizer."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from lmsaes.demo import MODEL

    torch.manual_seed(0)
    config = GPT2Config(
        n_embd=arguments.d,
        n_layer=arguments.layers + 1,
        n_head=arguments.d // 64,
        vocab_size=4096,
        n_positions=CONTEXT,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODEL / name, folder / name)
    return str(folder)


def both(
    source: str, weights: Any, out: Path, arguments: argparse.Namespace
) -> tuple[Callable[[], None], Callable[[], None]]:
    """A round of the bare forward, and one of stage one, with these weights."""
    import torch
    from transformers import AutoModelForCausalLM

    from lmsaes.model import LanguageModel

    lm = LanguageModel.load(source, arguments.device, arguments.dtype, weights=weights)
    last = arguments.layers - 1
    hooks = [f"blocks.{last // 2}.hook_resid_post", f"blocks.{last}.hook_resid_post"]
    attention = lm.specialize(hooks)
    batch = torch.randint(1, 1000, (arguments.batch, CONTEXT), device=arguments.device)
    if weights == "raw":
        bare = AutoModelForCausalLM.from_pretrained(
            source, dtype=getattr(torch, arguments.dtype), attn_implementation="sdpa"
        )
        bare = bare.to(arguments.device).eval().transformer
        bare.h = bare.h[: arguments.layers]

    def forward() -> None:
        with torch.inference_mode():
            for _ in range(arguments.batches):
                if weights == "raw":
                    bare(batch, use_cache=False)
                else:
                    lm.bridge(batch, return_type=None, stop_at_layer=arguments.layers)

    return forward, lambda: write(lm, hooks, arguments, attention, out)


def write(
    lm: Any, hooks: list[str], arguments: argparse.Namespace, attention: str, out: Path
) -> None:
    """Stage one from token ids on, into a fresh cache."""
    import torch

    from lmsaes.cache import CacheWriter, HookRecord, Manifest
    from lmsaes.capture import fill
    from lmsaes.provenance import ComputeRecord, DatasetRecord, TextRecord
    from lmsaes.text import ContextStream, TextSource

    shutil.rmtree(out, ignore_errors=True)
    contexts = arguments.batch * arguments.batches
    manifest = Manifest(
        format="safetensors",
        model=lm.record,
        text=TextRecord(
            dataset="random",
            fingerprint="0",
            tokenizer_hash="0",
            context_size=CONTEXT,
            bos=False,
            bos_id=None,
            separator_id=None,
            special_ids=(0,),
        ),
        compute=ComputeRecord(
            batch_size=arguments.batch, attention=attention, device=arguments.device
        ),
        documents=True,
        hooks={hook: HookRecord(d_model=arguments.d, dtype="float16") for hook in hooks},
        shard_contexts=contexts,
        block_contexts=16,
        contexts_requested=contexts,
        created="now",
    )
    ids = torch.randint(1, 1000, (contexts, CONTEXT)).tolist()
    dataset = DatasetRecord(dataset="random", fingerprint="0")
    source = TextSource(dataset, lambda start: iter(ids[start:]))
    with CacheWriter(out, manifest) as writer:
        fill(
            writer,
            lm,
            lambda start: ContextStream([source], None, manifest.text, lm.vocabulary, start),
        )


def timed(function: Callable[[], None], device: str) -> float:
    start = time.perf_counter()
    function()
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter() - start


# ── SAELens ──────────────────────────────────────────────────────────────────────────────────────


def sae_lens_row(ours: float, arguments: argparse.Namespace) -> dict[str, Any]:
    what = "SAELens' cache runner, one of the hooks; ratio: ours / theirs"
    if arguments.peer_python is None:
        return speed_row("SAELens' cache runner: not measured (--peer-python)", None)
    flags = ("d", "layers", "batch", "batches", "rounds", "dtype", "device")
    options = [f"--{name}={getattr(arguments, name)}" for name in flags]
    found = run_there("SAELens", arguments.peer_python, __file__, "--peer", *options)
    if found is None:
        return speed_row("SAELens' cache runner: not measured", None)
    theirs = statistics.median(found)
    return speed_row(what, theirs, ours / theirs)


def sae_lens_speeds(arguments: argparse.Namespace) -> list[float]:
    """Tokens/s of each round of SAELens' runner over the same model, one hook, float16 rows."""
    import datasets
    import torch
    from sae_lens import CacheActivationsRunner, CacheActivationsRunnerConfig
    from sae_lens import cache_activations_runner as runner_module
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    datasets.disable_progress_bars()
    model = HookedTransformer(
        HookedTransformerConfig(
            n_layers=arguments.layers + 1,
            d_model=arguments.d,
            n_ctx=CONTEXT,
            d_head=64,
            n_heads=arguments.d // 64,
            d_mlp=4 * arguments.d,
            d_vocab=4096,
            act_fn="gelu_new",
            normalization_type="LN",
            dtype=getattr(torch, arguments.dtype),
            device=arguments.device,
        )
    )
    runner_module.load_model = lambda **_: model  # a model of this shape, not one from the hub
    contexts = arguments.batch * arguments.batches
    ids = torch.randint(1, 1000, (contexts + arguments.batch, CONTEXT)).tolist()
    data = datasets.Dataset.from_dict({"input_ids": ids})
    # One buffer, so that the runner doesn't fill two gigabytes for a few thousand tokens.
    buffer = (contexts * CONTEXT * arguments.d * 2 + 1) / 1e9
    speeds: list[float] = []
    for _ in range(arguments.rounds + 1):
        with tempfile.TemporaryDirectory() as out:
            config = CacheActivationsRunnerConfig(
                dataset_path="random",
                model_name="random",
                model_batch_size=arguments.batch,
                hook_name=f"blocks.{arguments.layers - 1}.hook_resid_post",
                d_in=arguments.d,
                training_tokens=contexts * CONTEXT,
                context_size=CONTEXT,
                new_cached_activations_path=f"{out}/cache",
                shuffle=False,
                buffer_size_gb=buffer,
                dtype="float16",
                device=arguments.device,
                prepend_bos=False,
                streaming=False,
            )
            runner = CacheActivationsRunner(config, override_dataset=data)
            took = timed(lambda run=runner.run: run() and None, arguments.device)
            speeds.append(contexts * CONTEXT / took)
    return speeds[1:]  # the first one warms up


if __name__ == "__main__":
    main()
