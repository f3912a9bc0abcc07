"""Stage one against the bare forward pass of the same model to the same depth.

    python benchmarks/generate.py                 GPT-2 small's shape, random weights, on a CPU
    python benchmarks/generate.py --json          one object
    python benchmarks/generate.py --device cuda --dtype bfloat16 --batch 128 --batches 100

Stage one is everything after the text: token ids are packed, run, two residual hooks kept, cast,
checked, summed up and written. The bare pass is Hugging Face's own with fused attention over the
same batches, cut after the same block, nothing kept. Rounds alternate, so that a machine whose
speed drifts drifts for both; ratios are medians over rounds.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from lmsaes.cache.manifest import ComputeRecord, DatasetRecord, HookRecord, Manifest, TextRecord
from lmsaes.cache.writer import CacheWriter
from lmsaes.demo import MODEL
from lmsaes.harvest import fill
from lmsaes.lm import LanguageModel
from lmsaes.sources import TextSource
from lmsaes.text import ContextStream

CONTEXT = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--d", type=int, default=768)
    parser.add_argument("--layers", type=int, default=8, help="blocks that are run")
    parser.add_argument("--batch", type=int, default=16, help="contexts per batch")
    parser.add_argument("--batches", type=int, default=4, help="batches per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    report = measure(arguments)
    if arguments.json:
        print(json.dumps(report))
    else:
        for row in report["rows"]:
            print(f"{row['what']:<50} {row['value']:>10.0f} {row['unit']}  × {row['ratio']:.3f}")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        source = save_model(Path(folder) / "model", arguments)
        lm = LanguageModel.load(source, arguments.device, arguments.dtype)
        last = arguments.layers - 1
        hooks = [f"blocks.{last // 2}.hook_resid_post", f"blocks.{last}.hook_resid_post"]
        attention = lm.specialise(hooks)
        bare = AutoModelForCausalLM.from_pretrained(
            source, dtype=getattr(torch, arguments.dtype), attn_implementation="sdpa"
        ).to(arguments.device)
        bare.eval()
        tokens = torch.randint(0, 1000, (arguments.batch, CONTEXT), device=arguments.device)

        def forward() -> None:
            with torch.inference_mode():
                for _ in range(arguments.batches):
                    bare.transformer(tokens, use_cache=False)

        def stage_one(round: int) -> None:
            write(lm, hooks, arguments, attention, Path(folder) / f"cache-{round}")

        forward()
        stage_one(-1)
        speeds: dict[str, list[float]] = {"bare": [], "stage one": []}
        count = arguments.batches * arguments.batch * CONTEXT
        for index in range(arguments.rounds):
            speeds["bare"].append(count / timed(forward, arguments.device))
            speeds["stage one"].append(
                count / timed(lambda i=index: stage_one(i), arguments.device)
            )
        ratios = [a / b for a, b in zip(speeds["stage one"], speeds["bare"], strict=True)]
        return {
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, "
            f"{arguments.device}, torch {torch.__version__}",
            "settings": vars(arguments) | {"attention": attention, "context_size": CONTEXT},
            "rows": [
                {
                    "what": "bare forward (SDPA, same depth)",
                    "value": statistics.median(speeds["bare"]),
                    "unit": "tokens/s",
                    "ratio": 1.0,
                    "must": None,
                    "aim": None,
                    "better": "higher",
                },
                {
                    "what": "stage one, two residual hooks, raw weights",
                    "value": statistics.median(speeds["stage one"]),
                    "unit": "tokens/s",
                    "ratio": statistics.median(ratios),
                    "must": 0.90,
                    "aim": 0.98,
                    "better": "higher",
                },
            ],
        }


def save_model(folder: Path, arguments: argparse.Namespace) -> str:
    """GPT-2 of the given width with exactly the blocks that are run, and a tokenizer."""
    torch.manual_seed(0)
    config = GPT2Config(
        n_embd=arguments.d, n_layer=arguments.layers, n_head=arguments.d // 64, vocab_size=4096
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((MODEL / name).read_bytes())
    return str(folder)


def write(
    lm: LanguageModel, hooks: list[str], arguments: argparse.Namespace, attention: str, out: Path
) -> None:
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
        hooks={hook: HookRecord(d_model=arguments.d, dtype="float16") for hook in hooks},
        shard_contexts=contexts,
        block_contexts=16,
        contexts_requested=contexts,
        created="now",
    )
    ids = torch.randint(1, 1000, (contexts * CONTEXT,)).tolist()
    dataset = DatasetRecord(dataset="random", fingerprint="0")
    source = TextSource(dataset, lambda start: iter([ids][start:]))
    with CacheWriter(out, manifest) as writer:
        fill(writer, lm, ContextStream([source], None, manifest.text, lm.vocabulary))


def timed(function: Any, device: str) -> float:
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
