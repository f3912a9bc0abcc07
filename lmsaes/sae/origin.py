"""Provenance of an SAE: how it was trained here, or which other library's SAE it was."""

from typing import Literal

from pydantic import BaseModel


class Metrics(BaseModel, extra="forbid"):
    """How well an SAE does on the rows it was measured on."""

    fvu: float  # squared error / variance of the target
    l0: float  # mean active features per row
    dead_fraction: float  # share of features that did not fire for `dead_window` tokens
    rows: int  # rows measured


class Provenance(BaseModel, extra="forbid"):
    """How an SAE was trained here: enough to find its data and to make it again."""

    hooks: tuple[str, ...]  # read by the encoder: one, or several side by side (a crosscoder)
    target: str | None = None  # the hook to reconstruct, where it is another one (a transcoder)
    cache: str
    cache_identity: str
    model: str
    dataset: str
    context_size: int
    contexts: int | None = None  # how many of the cache's first contexts rows were drawn from
    tokens: int
    steps: int
    batch_size: int
    shuffle_buffer: int
    seed: int
    lr: float
    warmup: int
    dead_window: int
    metrics: Metrics


class Imported(BaseModel, extra="forbid"):
    """What is known of an SAE that was not trained here."""

    format: str  # the layout it had, such as "saelens"
    source: str  # hub repository and folder, or the path it was read from
    revision: str | None = None
    sae_id: str | None = None
    file_sha256: dict[str, str]  # by file name
    model: str | None = None
    hooks: tuple[str, ...] = ()
    target: str | None = None
    context_size: int | None = None
    prepend_bos: bool | None = None
    weights: Literal["raw", "processed"] | None = None  # which of the model's weights it expects
    dtype: str  # of its weights as they were stored
    max_relative_difference: float | None = None
    """Between that library's formula and ours on the same rows; None where it wasn't measured."""
