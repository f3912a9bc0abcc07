"""Measure the demo model on documents that it was not trained on.

python examples/demo_model/evaluate.py
"""

import gzip
import json
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

PASSAGES = 200
LENGTHS = (64, 100)  # tokens of a repeated passage
PROMPT = 12
SEED = 0


@torch.inference_mode()
def main(
    folder: Annotated[Path, typer.Option("--model", help="Folder of the model.")] = Path(
        "lmsaes/demo/model"
    ),
    text: Annotated[Path, typer.Option(help="Held-out documents.")] = Path(
        "lmsaes/demo/heldout.jsonl.gz"
    ),
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print loss, induction and samples."""
    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    documents: dict[str, list[list[int]]] = {}
    for line in gzip.decompress(text.read_bytes()).decode().splitlines():
        record = json.loads(line)
        ids = tokenizer.backend_tokenizer.encode(record["text"]).ids
        documents.setdefault(record["source"], []).append(ids)

    print("source        tokens    loss  unigram entropy   (nats a token)")
    everything = []
    for source, texts in sorted(documents.items()):
        rows = pack(texts, model.config.n_positions, tokenizer.bos_token_id)
        targets, losses = rows[:, 1:].flatten(), loss_of_each(model, rows).flatten()
        everything.append((targets, losses))
        report(source, targets, losses)
    report("all", *(torch.cat(parts) for parts in zip(*everything, strict=True)))

    first, second = induction(model, documents, tokenizer.bos_token_id)
    print(f"\n{PASSAGES} unseen passages of {LENGTHS[0]} to {LENGTHS[1]} tokens, each twice:")
    print(f"loss on the first copy {first:.3f}, on the second {second:.3f} nats a token")

    torch.manual_seed(SEED)
    for source, texts in sorted(documents.items()):
        start = torch.tensor([[tokenizer.bos_token_id, *texts[0][:PROMPT]]])
        sample = model.cache_activations(
            start,
            attention_mask=torch.ones_like(start),
            max_new_tokens=100,
            do_sample=True,
            temperature=0.8,
            top_k=50,
            pad_token_id=tokenizer.eos_token_id,
        )[0]
        prompt, continuation = sample[1 : PROMPT + 1], sample[PROMPT + 1 :]
        print(f"\n--- {source}: {tokenizer.decode(prompt)!r} and then:")
        print(tokenizer.decode(continuation, skip_special_tokens=True))


def pack(texts: list[list[int]], context: int, bos: int) -> Tensor:
    """Contexts that begin with the end-of-text token; an incomplete last one is left out."""
    row = torch.tensor([token for text in texts for token in (*text, bos)])
    rows = row[: len(row) // (context - 1) * (context - 1)].view(-1, context - 1)
    return torch.cat([torch.full((len(rows), 1), bos), rows], dim=1)


def loss_of_each(model: PreTrainedModel, rows: Tensor) -> Tensor:
    """The loss of every token but each row's first."""
    losses = []
    for part in rows.split(16):
        logits = model(part[:, :-1], use_cache=False).logits
        losses.append(torch.nn.functional.cross_entropy(logits.mT, part[:, 1:], reduction="none"))
    return torch.cat(losses)


def report(source: str, targets: Tensor, losses: Tensor) -> None:
    share = targets.bincount() / len(targets)
    entropy = torch.special.entr(share).sum()
    print(f"{source:12}{len(targets):8}{losses.mean():8.3f}{entropy:8.3f}")


def induction(
    model: PreTrainedModel, documents: dict[str, list[list[int]]], bos: int
) -> tuple[float, float]:
    """Mean loss on the first and on the second copy of passages from all sources in turn."""
    generator = torch.Generator().manual_seed(SEED)

    def below(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    sources = [[text for text in texts if len(text) > LENGTHS[1]] for texts in documents.values()]
    means = []
    for index in range(PASSAGES):
        texts = sources[index % len(sources)]
        text = texts[below(len(texts))]
        length = LENGTHS[0] + below(LENGTHS[1] - LENGTHS[0] + 1)
        start = below(len(text) - length)
        passage = text[start : start + length]
        losses = loss_of_each(model, torch.tensor([[bos, *passage, *passage]]))[0]
        means.append((losses[:length].mean(), losses[length:].mean()))
    first, second = torch.tensor(means).mean(dim=0)
    return float(first), float(second)


if __name__ == "__main__":
    typer.run(main)
