"""Train the demo model's tokenizer: byte-level BPE, split into words as GPT-2 does.

python examples/demo_model/train_tokenizer.py build/demo_model
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END_OF_TEXT = "<|endoftext|>"


def main(
    work: Annotated[Path, typer.Argument(help="Folder with train.jsonl.")],
    out: Annotated[Path, typer.Option(help="Folder of the model.")] = Path("lmsaes/demo/model"),
    vocabulary: Annotated[int, typer.Option(help="Number of entries.")] = 4096,
    context: Annotated[int, typer.Option(help="The model's longest context.")] = 256,
) -> None:
    """Write tokenizer.json and tokenizer_config.json."""
    lines = (work / "train.jsonl").read_text(encoding="utf-8").splitlines()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        # every byte has an entry, so any text can be tokenized
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator((json.loads(line)["text"] for line in lines), trainer)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
