"""Provenance of an SAE: how it was trained here, or which other library's SAE it was."""

from pydantic import BaseModel

from lmsaes.provenance import Weights


class Metrics(BaseModel, extra="forbid", allow_inf_nan=False):
    """How well an SAE does on the rows it was measured on; None is what could not be measured."""

    fvu: float | None  # squared error / variance of the target
    l0: float | None  # mean active features per row
    dead_fraction: float | None  # share of features that did not fire for `dead_window` tokens
    rows: int  # rows measured


class Provenance(BaseModel, extra="forbid", allow_inf_nan=False):
    """How an SAE was trained here: enough to find its data and to make it again."""

    hooks: tuple[str, ...]  # read by the encoder: one, or several side by side (a crosscoder)
    target: str | None = None  # the hook to reconstruct, where it is another one (a transcoder)
    cache: str | None = None  # None: trained on a running model
    cache_identity: str  # of it, or of the cache that the model and its text would make
    model: str
    dataset: str
    context_size: int
    contexts: int | None = None  # how many of the text's first contexts rows were drawn from
    cache_rows: int | None = (
        None  # that the cache held; fewer than asked for while it is incomplete
    )
    rows: int | None = None  # of these, the ones that the run drew from
    rows_not_finite: int | None = None  # and those left out because they are not finite
    prepend_bos: bool | None = None  # None in folders from before it was recorded
    weights: Weights | None = None  # of the model: as published, or processed
    tokens: int
    steps: int
    run_steps: int | None = None  # of the whole run, where the SAE was kept before its end
    batch_size: int
    shuffle_buffer: int  # bytes of the rows that were mixed, of all hooks of the run
    seed: int
    lr: float
    warmup: int
    dead_window: int
    metrics: Metrics
    started_from: str | None = None  # the SAE whose weights training began with
    started_from_sha256: str | None = None  # of its weights' file


class Imported(BaseModel, extra="forbid", allow_inf_nan=False):
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
    weights: Weights | None = None  # which of the model's weights it expects
    dtype: str  # of its weights as they were stored
    max_relative_difference: float | None = None
    """Between that library's formula and ours on the same rows; None where it wasn't measured."""
