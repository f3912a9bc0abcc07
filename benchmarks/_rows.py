"""Rows of a language model to train SAEs on, and held-out ones to score them on."""

import argparse
from pathlib import Path

import torch
from _scoring import Score, score
from torch import Tensor

from lmsaes import SAE, ActivationCache, cache_activations
from lmsaes.cache import StorageDtype
from lmsaes.demo import HELDOUT, MODEL, TEXT
from lmsaes.units import parse_count


def add_options(parser: argparse.ArgumentParser, tokens: str, scored: str) -> None:
    """The options that say which rows: --model, --dataset, --heldout, --hook, --tokens, --score."""
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--dataset", default=str(TEXT), help="text to train on")
    parser.add_argument("--heldout", default=str(HELDOUT), help="text to score on")
    parser.add_argument("--hook", default="blocks.2.hook_resid_post")
    parser.add_argument("--tokens", type=parse_count, default=tokens, help="rows in the cache")
    parser.add_argument("--score", type=parse_count, default=scored, help="held-out rows")
    parser.add_argument("--device", default="auto")


def training_cache(
    arguments: argparse.Namespace, out: Path, dtype: StorageDtype = "float16"
) -> ActivationCache:
    """The rows to train on."""
    return _cache(arguments, arguments.dataset, arguments.tokens, out, dtype)


def heldout_rows(arguments: argparse.Namespace, out: Path) -> Tensor:
    """Valid rows of the held-out text, float32 [n, d], which were never rounded."""
    cache = _cache(arguments, arguments.heldout, arguments.score, out, "float32")
    valid = cache.valid_positions(cache.tokens(0, cache.contexts))
    return cache.activations(arguments.hook, 0, cache.contexts)[valid]


def score_ours(sae: SAE, x: Tensor) -> Score:
    """The SAE's score on rows [n, d]."""

    def encode(part: Tensor) -> tuple[Tensor, Tensor]:
        rows = sae.encode(part)
        return sae.decode(rows, part), torch.bincount(rows.indices, minlength=sae.features)

    return score(encode, x)


def _cache(
    arguments: argparse.Namespace, text: str, tokens: int, out: Path, dtype: StorageDtype
) -> ActivationCache:
    return cache_activations(
        arguments.model,
        text,
        [arguments.hook],
        out,
        tokens=tokens,
        dtype=dtype,
        device=arguments.device,
    )
