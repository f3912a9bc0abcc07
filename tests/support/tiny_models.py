"""Tiny models with random weights and the bundled tokenizer."""

import shutil
from pathlib import Path

import torch

from lmsaes.demo import MODEL


def tiny_llama(folder: Path, width: int = 32, blocks: int = 3) -> str:
    """Rotary embeddings, grouped queries and RMSNorm; returns its folder."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    shutil.copytree(MODEL, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=width,
        intermediate_size=48,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # as large as trained ones, so that every part of a block shows
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(5)
    model.save_pretrained(folder)
    return str(folder)
