"""Train the demo model: a small GPT-2, on the CPU, in a given number of minutes.

    python examples/demo_model/train.py run build/demo_model --minutes 70
    python examples/demo_model/train.py export build/demo_model

`run` writes WORK/checkpoint.pt every few minutes and WORK/loss.jsonl; started again, it goes
on from the checkpoint. The learning rate follows the clock instead of a number of steps, so
that training ends on time on a machine of any speed. `export` writes the checkpoint's weights
in Hugging Face layout, in half precision.
"""

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerBase

app = typer.Typer(add_completion=False)

CONTEXT = 256
BATCH = 16
LEARNING_RATE = 3e-3
WARM_UP = 0.02  # of the time
WEIGHT_DECAY = 0.1
# contexts that repeat one passage, so that the model learns to look back: induction heads form
# from the natural text too, but not in an hour
REPEATS = 0.05
SEED = 0

Work = Annotated[Path, typer.Argument(help="Folder with train.jsonl.")]
Model = Annotated[Path, typer.Option(help="Folder with the tokenizer, for the weights.")]
MODEL = Path("lmsaes/demo/model")


@app.command()
def run(
    work: Work,
    model: Model = MODEL,
    minutes: Annotated[float, typer.Option(help="Wall-clock time to train.")] = 70,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    compiled: Annotated[bool, typer.Option(help="Use torch.compile.")] = True,
) -> None:
    """Train, from the checkpoint if there is one."""
    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokens = tokenize(work / "train.jsonl", tokenizer)
    net = build(tokenizer)
    optimizers = make_optimizers(net)
    generator = torch.Generator().manual_seed(SEED)
    progress = Progress()
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        progress = restore(checkpoint, net, optimizers, generator)
    print(f"{len(tokens) / 1e6:.2f}M tokens, {net.num_parameters() / 1e6:.2f}M parameters")

    step = torch.compile(loss_of) if compiled else loss_of
    before = time.monotonic() - progress.seconds
    saved = logged = progress.seconds
    losses: list[float] = []
    with (work / "loss.jsonl").open("a", encoding="utf-8") as log:
        while progress.seconds < minutes * 60:
            rate = schedule(progress.seconds / (minutes * 60))
            loss = step(net, draw(tokens, tokenizer.eos_token_id, generator))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = LEARNING_RATE * rate
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.item())
            progress.steps += 1
            progress.tokens += BATCH * CONTEXT
            progress.seconds = time.monotonic() - before
            if progress.seconds - logged > 15:
                record = {**vars(progress), "loss": sum(losses) / len(losses), "rate": rate}
                print(json.dumps(record), file=log, flush=True)
                losses, logged = [], progress.seconds
            if progress.seconds - saved > 120:
                save(checkpoint, net, optimizers, generator, progress)
                saved = progress.seconds
    save(checkpoint, net, optimizers, generator, progress)


@app.command()
def export(work: Work, model: Model = MODEL) -> None:
    """Write the checkpoint's weights beside the tokenizer."""
    checkpoint = work / "checkpoint.pt"
    if not checkpoint.exists():
        sys.exit(f"error: no checkpoint in {work}; train first")
    net = build(AutoTokenizer.from_pretrained(model))
    net.load_state_dict(torch.load(checkpoint, weights_only=True)["net"])
    staging = work / "export"
    net.half().save_pretrained(staging)
    config = json.loads((staging / "config.json").read_text())
    # the weights are stored in half precision; on a CPU they are used in single
    config["dtype"] = "float32"
    (staging / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for file in staging.iterdir():
        shutil.copyfile(file, model / (file.name + ".partial"))
        (model / (file.name + ".partial")).replace(model / file.name)
    print(f"{model}: {sum(file.stat().st_size for file in model.iterdir()) / 1e6:.1f} MB")


@dataclass
class Progress:
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0


def build(tokenizer: PreTrainedTokenizerBase) -> GPT2LMHeadModel:
    torch.manual_seed(SEED)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=CONTEXT,
            n_embd=256,
            n_layer=4,
            n_head=8,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def tokenize(path: Path, tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """All documents in one row, each followed by the end-of-text token."""
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    # the underlying tokenizer has no opinion about texts longer than a context
    encoded = tokenizer.backend_tokenizer.encode_batch(texts)
    rows = [torch.tensor([*e.ids, tokenizer.eos_token_id], dtype=torch.int16) for e in encoded]
    return torch.cat(rows)


def draw(tokens: Tensor, end_of_text: int, generator: torch.Generator) -> Tensor:
    """Random contexts, one token longer than the model's, as each token has to be predicted."""
    starts = torch.randint(len(tokens) - CONTEXT, (BATCH, 1), generator=generator)
    rows = tokens[starts + torch.arange(CONTEXT + 1)].long()
    repeated = torch.rand(BATCH, generator=generator) < REPEATS
    for row in rows[repeated]:
        length = int(torch.randint(24, 128, (), generator=generator))
        row.copy_(row[:length].repeat(CONTEXT // length + 2)[: CONTEXT + 1])
    # half of the contexts begin with the end-of-text token, as tools that prepend it do
    rows[torch.rand(BATCH, generator=generator) < 0.5, 0] = end_of_text
    return rows


def loss_of(net: GPT2LMHeadModel, rows: Tensor) -> Tensor:
    logits = net(rows[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalized (Jordan et al. 2024).

    torch.optim.Muon does the same in bfloat16, which a CPU without AVX-512 only emulates, a
    hundred times slower.
    """

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                momentum = state.setdefault("momentum", torch.zeros_like(weight))
                momentum.lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonal(weight.grad.lerp(momentum, group["momentum"]))
                # of AdamW's usual size, so that both share one learning rate (Liu et al. 2025)
                size = 0.2 * max(weight.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * size)


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly the orthogonal matrix nearest to it, by five Newton-Schulz iterations."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        gram = wide @ wide.T
        wide = 3.4445 * wide + (-4.775 * gram + 2.0315 * gram @ gram) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


def make_optimizers(net: GPT2LMHeadModel) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for embeddings, biases and layer norms."""
    matrices = [p for name, p in net.named_parameters() if ".h." in name and p.ndim == 2]
    embeddings = [p for name, p in net.named_parameters() if ".h." not in name and p.ndim == 2]
    vectors = [p for p in net.parameters() if p.ndim == 1]
    return [
        Muon(matrices, {"lr": LEARNING_RATE, "momentum": 0.95, "weight_decay": WEIGHT_DECAY}),
        torch.optim.AdamW(
            [{"params": embeddings, "weight_decay": WEIGHT_DECAY}, {"params": vectors}],
            betas=(0.9, 0.95),
            weight_decay=0.0,
        ),
    ]


def schedule(done: float) -> float:
    """Warm-up, then linear decay to zero, by the share of the time that is over."""
    return done / WARM_UP if done < WARM_UP else max(0.0, (1 - done) / (1 - WARM_UP))


def save(
    path: Path,
    net: GPT2LMHeadModel,
    optimizers: list[torch.optim.Optimizer],
    generator: torch.Generator,
    progress: Progress,
) -> None:
    state: dict[str, Any] = {
        "net": net.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "generator": generator.get_state(),
        "progress": vars(progress),
    }
    torch.save(state, path.with_suffix(".partial"))
    path.with_suffix(".partial").replace(path)


def restore(
    path: Path,
    net: GPT2LMHeadModel,
    optimizers: list[torch.optim.Optimizer],
    generator: torch.Generator,
) -> Progress:
    state = torch.load(path, weights_only=True)
    net.load_state_dict(state["net"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    generator.set_state(state["generator"])
    return Progress(**state["progress"])


if __name__ == "__main__":
    app()
