"""An attribution graph: processor time, and memory beside the transcoders.

    python benchmarks/trace.py                       the bundled model, four transcoders of 1024
    python benchmarks/trace.py --gpt2                GPT-2 small's shape, 64 tokens, 24 576 features

Transcoders have random weights and TopK's k features a token; what they stand for doesn't matter
for time. With --gpt2 the model's weights are random too. Verification runs after the graph.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

# as the command sets it before torch is loaded: idle threads must not spin
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from _report import row, tell

from lmsaes.circuits import TraceConfig, trace
from lmsaes.demo import MODEL
from lmsaes.model import LanguageModel
from lmsaes.sae import SAE, TopKConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpt2", action="store_true", help="GPT-2 small's shape, random weights")
    parser.add_argument("--tokens", type=int, help="of the prompt [default: 32; with --gpt2 64]")
    parser.add_argument("--features", type=int, help="a layer [default: 1024; with --gpt2 24 576]")
    parser.add_argument("--k", type=int, help="that fire at a token [default: 16; with --gpt2 32]")
    parser.add_argument("--nodes", type=int, default=7500)
    parser.add_argument("--verify", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    defaults = (64, 24_576, 32) if arguments.gpt2 else (32, 1024, 16)
    for name, default in zip(("tokens", "features", "k"), defaults, strict=True):
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
    with tempfile.TemporaryDirectory() as folder:
        tell(measure(arguments, Path(folder)), arguments)


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    model = random_gpt2(folder / "model") if arguments.gpt2 else str(MODEL)
    lm = LanguageModel.load(model, arguments.device)
    made_up(lm, folder / "run", arguments.features, arguments.k)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, lm.vocabulary, (arguments.tokens - 1,), generator=generator)
    prompt = lm.tokenizer.decode(ids.tolist())
    given = {"transcoders": str(folder / "run"), "prompt": prompt, "nodes": arguments.nodes}

    def run(verify: int) -> tuple[float, float, int]:
        processor, clock = time.process_time(), time.perf_counter()
        found = trace(TraceConfig.of({**given, "verify": verify}), lm)
        spent = time.process_time() - processor, time.perf_counter() - clock
        return *spent, found.graph.features

    run(0)  # warm
    before = peak()
    processor, clock, followed = run(0)
    memory = peak() - before
    _, with_proof, _ = run(arguments.verify)
    shape = f"{arguments.tokens} tokens, {arguments.features} features a layer"
    limit = None if arguments.gpt2 else 3.0
    minutes = 180.0 if arguments.gpt2 else None
    return [
        row(f"graph, {shape}", processor, "s of processor", processor, limit),
        row("the same", clock, "s", clock, minutes),
        row("features followed", followed, ""),
        row("memory that a second graph added", memory, "GiB", memory, 4.0),
        row(
            f"--verify {arguments.verify} / the graph",
            with_proof - clock,
            "s",
            (with_proof - clock) / clock,
            1.0,
        ),
    ]


def peak() -> float:
    """The largest memory of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def random_gpt2(folder: Path) -> str:
    """GPT-2 small's shape with random weights and the bundled tokenizer."""
    import shutil

    from transformers import AutoModelForCausalLM, GPT2Config

    shutil.copytree(MODEL, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(GPT2Config()).save_pretrained(folder)
    return str(folder)


def made_up(lm: LanguageModel, out: Path, features: int, k: int) -> None:
    """Transcoders with random weights, one of each layer."""
    d, generator = lm.bridge.cfg.d_model, torch.Generator().manual_seed(0)
    for layer in range(len(lm.bridge.blocks)):
        config = TopKConfig(
            name=f"layer-{layer}",
            hook=f"blocks.{layer}.mlp.hook_in",
            target=f"blocks.{layer}.hook_mlp_out",
            skip=True,
            features=features,
            k=k,
        )
        sae = SAE.create(config, d, d)
        with torch.no_grad():
            sae.W_dec.normal_(generator=generator).mul_(0.1 / d**0.5)
            assert sae.W_skip is not None
            sae.W_skip.normal_(generator=generator).mul_(0.1 / d**0.5)
        sae.save(out / f"layer-{layer}")


if __name__ == "__main__":
    main()
