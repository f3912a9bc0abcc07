"""The contract that every architecture keeps, and how an SAE lies on disk.

    x [rows, d_in] ──encode──► SparseRows [rows, features] ──decode──► [rows, d_out]

`W_enc` is [features, d_in], `W_dec` [features, d_out]: a row per feature. A saved SAE takes and
gives raw activations; during training it lives in normalised units (`folded` makes the passage).

    topk-32/
      config.json           what it is, how it was trained, on what, how well it does
      weights.safetensors   W_enc, W_dec, b_enc, b_dec and the architecture's own
      metrics.jsonl         one object per measurement while it trained
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast, overload

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lmsaes.errors import SAEError
from lmsaes.sae.config import SAEConfig
from lmsaes.sae.dead_features import aux_k_loss, ghost_loss
from lmsaes.sae.layer_norm import standard_rows
from lmsaes.sae.sparse_ops import row_norms, rows_product
from lmsaes.sae.sparse_rows import SparseRows

FORMAT_VERSION = 1


class Metrics(BaseModel):
    """How well an SAE does on the rows it was measured on."""

    fvu: float  # squared error / variance of the target
    l0: float  # mean active features per row
    dead_fraction: float  # share of features that did not fire for `dead_after` tokens
    rows: int  # rows measured


class Provenance(BaseModel):
    """Where an SAE comes from: enough to find its data and to make it again."""

    hooks: tuple[str, ...]  # read by the encoder: one, or several side by side (a crosscoder)
    target: str | None = None  # the hook to reconstruct, where it is another one (a transcoder)
    cache: str
    cache_identity: str
    model: str
    dataset: str
    context_size: int
    tokens: int
    steps: int
    batch_size: int
    shuffle_memory: int
    seed: int
    lr: float
    warmup: int
    dead_after: int
    metrics: Metrics


class _Folder(BaseModel, extra="forbid"):
    """config.json."""

    format: Literal["lmsaes-sae"]
    format_version: int
    lmsaes_version: str
    architecture: str
    features: int
    d_in: int
    d_out: int
    config: dict[str, Any]
    provenance: Provenance | None


@dataclass(slots=True)
class StepOutput:
    """What one batch tells an SAE. `loss` carries the graph; the rest is detached."""

    loss: Tensor  # scalar
    squared_error: Tensor  # scalar: summed over rows and dimensions, in training units
    firings: Tensor  # float32 [features]: rows of the batch on which each feature fired


class SAE(nn.Module, ABC):
    """A sparse autoencoder (a transcoder where the target is another hook)."""

    config_type: ClassVar[type[SAEConfig]]
    architectures: ClassVar[dict[str, type[SAE]]] = {}

    def __init_subclass__(cls, architecture: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        SAE.architectures[architecture] = cls

    def __init__(self, config: SAEConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.d_in = d_in
        self.d_out = d_in if d_out is None else d_out
        self.transcodes = config.target is not None
        self.features = config.width(d_in)
        self.provenance: Provenance | None = None
        self.W_enc = nn.Parameter(torch.zeros(self.features, self.d_in))
        self.b_enc = nn.Parameter(torch.zeros(self.features))
        self.W_dec = nn.Parameter(torch.zeros(self.features, self.d_out))
        self.b_dec = nn.Parameter(torch.zeros(self.d_out))
        self.W_skip = nn.Parameter(torch.zeros(self.d_out, self.d_in)) if config.skip else None
        self.aux_k = config.aux_k or max(1, min(round(2 * config.active), self.d_in // 2))
        self.aux_weight, self.ghost_weight = config.aux_weight, config.ghost_weight
        self.precision = torch.bfloat16 if config.precision == "bfloat16" else None
        # Parts of a row that are brought to mean 0 and variance 1, each by itself.
        self.standard_parts = max(1, len(config.hooks)) if config.normalize == "layer_norm" else 0
        self._workspace: Tensor | None = None

    # ── inference ────────────────────────────────────────────────────────────────────────────

    @overload
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: Literal[False] = False
    ) -> SparseRows: ...
    @overload
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: Literal[True]
    ) -> Tensor: ...
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: bool = False
    ) -> SparseRows | Tensor:
        """Feature activations of `x` [rows, d_in].

        `features` (a slice or int64 ids) encodes these alone; columns of the result then count
        within the chosen ones. `dense` gives [rows, features] instead of SparseRows.
        """
        activations = self.activations(x, features)
        return activations if dense else SparseRows.above(activations, 0.0)

    @abstractmethod
    def activations(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        """All activations of `x` [rows, d_in], zeros included: [rows, features]."""

    def decode(self, features: SparseRows | Tensor, x: Tensor | None = None) -> Tensor:
        """Sum of the active features' directions, [rows, d_out].

        Takes SparseRows or a dense [rows, features]. `x` [rows, d_in] are the rows that were
        encoded: with them comes a linear skip, and an SAE trained with layer norm puts each row's
        mean and deviation back. Raises SAEError where that is needed and `x` isn't given.
        """
        if isinstance(features, Tensor):
            out = features @ self.W_dec + self.b_dec
        else:
            out = rows_product(features, self.W_dec) + self.b_dec
        if self.W_skip is not None and x is not None:
            out = out + torch.nn.functional.linear(self.standard(x), self.W_skip)
        if not self.standard_parts or self.transcodes:
            return out
        if x is None:
            raise SAEError(
                "this SAE was trained with layer norm: it decodes only beside the rows it encoded",
                "give decode the rows too, or call the SAE itself",
            )
        return standard_rows(x, self.standard_parts).restored(out)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of `x` [rows, d_in], a linear skip included; [rows, d_out]."""
        return self.decode(self.encode(x), x)

    def error(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """What the reconstruction misses of `target` (of `x` itself if None), [rows, d_out]."""
        return (x if target is None else target) - self(x)

    # ── training ─────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def create(
        config: SAEConfig, d_in: int, d_out: int | None = None, directions: Tensor | None = None
    ) -> SAE:
        """A new SAE of the configuration's architecture, its weights drawn by the seed.

        `directions` [r, d_in], orthonormal, are those that features may start in (default: all).
        """
        sae = SAE.architectures[config.architecture](config, d_in, d_out)
        sae.initialize(torch.Generator().manual_seed(config.seed), directions)
        return sae

    def initialize(self, generator: torch.Generator, directions: Tensor | None = None) -> None:
        """Random unit decoder rows with the encoder tied to them.

        A transcoder's encoder is random and its decoder zero, so that it starts as the mean of
        its target (Dunefsky et al. 2024).
        """
        with torch.no_grad():
            self.W_enc.normal_(generator=generator)
            if directions is not None:
                self.W_enc.copy_(self.W_enc[:, : directions.shape[0]] @ directions)
            self.W_enc.div_(row_norms(self.W_enc)[:, None])
            if not self.transcodes:
                self.W_dec.copy_(self.W_enc)

    @torch.no_grad()
    def centre_on(self, mean_in: Tensor | None, mean_out: Tensor | None) -> None:
        """Starts from rows around `mean_in` [d_in] and targets around `mean_out` [d_out]: the
        encoder sees what differs from the one, the decoder adds to the other. None is zero.
        """
        if mean_in is not None:
            self.shift_inputs(mean_in)
        if mean_out is not None:
            self.b_dec.copy_(mean_out)

    def step(
        self, x: Tensor, target: Tensor, *, dead: Tensor | None = None, progress: float = 1.0
    ) -> StepOutput:
        """The loss on one batch in training units (x [rows, d_in], target [rows, d_out]).

        `dead` int64 [n] names the features that have long been silent; `progress` in [0, 1] is
        the share of the run that is done, for schedules inside the loss.
        """
        if self.W_skip is not None:
            target = target - torch.nn.functional.linear(x, self.W_skip)
        return self.loss(x, target, dead, progress)

    @abstractmethod
    def loss(self, x: Tensor, target: Tensor, dead: Tensor | None, progress: float) -> StepOutput:
        """As `step`, for what is left of the target after a linear skip."""

    def auxiliary_loss(
        self, x: Tensor, residual: Tensor, pre: Tensor, dead: Tensor | None
    ) -> Tensor | float:
        """What teaches the `dead` features from the residual [rows, d_out], which is given:
        aux_weight · aux-k + ghost_weight · ghost gradients (`dead_features.py`).

        `pre` [rows, features] are the pre-activations of x.
        """
        loss: Tensor | float = 0.0
        if dead is None or dead.shape[0] == 0:
            return loss
        given, weights = residual.detach(), (self.W_enc, self.b_enc, self.W_dec)
        if self.aux_weight > 0:
            k = min(self.aux_k, dead.shape[0])
            loss = loss + self.aux_weight * aux_k_loss(x, given, pre, *weights, dead, k)
        if self.ghost_weight > 0:
            loss = loss + self.ghost_weight * ghost_loss(x, given, *weights, dead)
        return loss

    def before_update(self) -> None:
        """Changes gradients before the optimiser sees them."""

    def after_update(self) -> None:
        """Restores what the optimiser may break (unit decoder rows, for example)."""

    def scale_activations(self, factor: Tensor) -> None:
        """Multiplies every activation by `factor` (scalar or [features], positive)."""
        self.W_enc.mul_(factor if factor.dim() == 0 else factor[:, None])
        self.b_enc.mul_(factor)

    def shift_inputs(self, mean: Tensor) -> None:
        """Makes the encoder see x − mean when it is given x; `mean` is [d_in]."""
        self.b_enc.sub_(self.W_enc @ mean)

    def unit_decoder(self) -> None:
        """Moves each decoder row's norm into the encoder; the reconstruction stays the same."""
        norms = row_norms(self.W_dec)
        norms = torch.where(norms > 0, norms, 1.0)
        self.W_dec.div_(norms[:, None])
        self.scale_activations(norms)

    @torch.no_grad()
    def folded(
        self, mean_in: Tensor, scale_in: Tensor, mean_out: Tensor, scale_out: Tensor
    ) -> Self:
        """A copy that takes and gives raw activations and has unit decoder rows.

        In training units the input is (x − mean_in)·scale_in and the output
        (y − mean_out)·scale_out. Means are [d_in] and [d_out]; scales are per dimension like them,
        or symmetric matrices.
        """
        copy = type(self)(self.config, self.d_in, self.d_out).to(self.W_enc)
        copy.load_state_dict(self.state_dict())
        copy.provenance = self.provenance
        copy.W_enc.copy_(_scaled(copy.W_enc, scale_in))
        copy.shift_inputs(mean_in)
        copy.W_dec.copy_(_unscaled(copy.W_dec, scale_out))
        copy.b_dec.copy_(_unscaled(copy.b_dec[None], scale_out)[0] + mean_out)
        if copy.W_skip is not None:
            copy.W_skip.copy_(_unscaled(_scaled(copy.W_skip, scale_in).T, scale_out).T)
            copy.b_dec.sub_(copy.W_skip @ mean_in)
        copy.unit_decoder()
        return copy

    @torch.no_grad()
    def preactivations(self, x: Tensor) -> Tensor:
        """x · W_encᵀ + b_enc without a graph, [rows, features], in memory that is used again.

        A fresh [rows, features] per step costs the CPU a fifth of the product in page faults. In
        bfloat16 where the configuration asks for it: master weights stay as they are.
        """
        rows, dtype = x.shape[0], self.precision or x.dtype
        space = self._workspace
        if space is None or space.shape[0] < rows or space.dtype != dtype:
            space = torch.empty(rows, self.features, dtype=dtype, device=x.device)
            self._workspace = space
        W_enc, b_enc = self.W_enc.to(dtype), self.b_enc.to(dtype)
        return torch.addmm(b_enc, x.to(dtype), W_enc.T, out=space[:rows])

    def linear(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        """x · W_encᵀ + b_enc of all or the chosen features, [rows, features]."""
        chosen = slice(None) if features is None else features
        x = self.standard(x)
        return torch.nn.functional.linear(x, self.W_enc[chosen], self.b_enc[chosen])

    def standard(self, x: Tensor) -> Tensor:
        """`x` [rows, d_in] after layer norm where the SAE was trained with it."""
        return standard_rows(x, self.standard_parts).rows if self.standard_parts else x

    def decoder_norms(self) -> Tensor:
        """Norm of each decoder row, [features]; of a crosscoder the sum of its hooks' norms, so
        that a feature pays for each hook it writes to (Lindsey et al. 2024).
        """
        hooks = max(1, len(self.config.hooks))
        return row_norms(self.W_dec.view(self.features, hooks, -1)).sum(1)

    # ── on disk ──────────────────────────────────────────────────────────────────────────────

    def save(self, path: str | Path) -> None:
        """Writes config.json and weights.safetensors into the folder `path`.

        The configuration comes last and by a rename: a folder that has one is complete.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.contiguous().cpu() for name, tensor in self.state_dict().items()}
        _replace(folder / "weights.safetensors", lambda part: save_file(weights, part))
        config = _Folder(
            format="lmsaes-sae",
            format_version=FORMAT_VERSION,
            lmsaes_version=version("lmsaes"),
            architecture=self.config.architecture,
            features=self.features,
            d_in=self.d_in,
            d_out=self.d_out,
            config=self.config.model_dump(exclude_none=True),
            provenance=self.provenance,
        )
        text = config.model_dump_json(indent=2) + "\n"
        _replace(folder / "config.json", lambda part: part.write_text(text))

    @staticmethod
    def load(path: str | Path, device: torch.device | str = "cpu") -> SAE:
        """The SAE saved in the folder `path`, of the class of its architecture.

        Raises SAEError when the folder is missing, incomplete, damaged or not an lmsaes SAE.
        """
        folder = Path(path)
        saved = _read_config(folder)
        kind = SAE.architectures.get(saved.architecture)
        if kind is None:
            known = ", ".join(sorted(SAE.architectures))
            raise SAEError(
                f"{folder}: architecture '{saved.architecture}' is not known", f"known: {known}"
            )
        try:
            config = kind.config_type.model_validate(saved.config)
        except ValidationError as error:
            raise _damaged(folder, "config.json", _first(error)) from None
        sae = kind(config, saved.d_in, saved.d_out)
        sae.provenance = saved.provenance
        weights = _read_weights(folder)
        for name, parameter in sae.state_dict().items():
            if name not in weights:
                raise _damaged(folder, "weights.safetensors", f"'{name}' is missing")
            if weights[name].shape != parameter.shape:
                have, want = list(weights[name].shape), list(parameter.shape)
                raise _damaged(
                    folder, "weights.safetensors", f"'{name}' is {have}, config.json says {want}"
                )
        sae.load_state_dict(weights)
        return sae.requires_grad_(False).eval().to(device)


def _scaled(weight: Tensor, scale: Tensor) -> Tensor:
    return weight * scale if scale.dim() == 1 else weight @ scale


def _unscaled(weight: Tensor, scale: Tensor) -> Tensor:
    if scale.dim() == 1:
        return weight / scale
    return torch.linalg.solve(scale.double(), weight.double(), left=False).to(weight)


def _read_config(folder: Path) -> _Folder:
    if not folder.is_dir():
        raise SAEError(f"{folder} is not a folder", "give the folder that `lmsaes train` wrote")
    file = folder / "config.json"
    if not file.is_file():
        raise SAEError(
            f"{folder} holds no SAE: config.json is missing",
            "training may not be finished; run `lmsaes train` again with the same arguments",
        )
    try:
        content: object = json.loads(file.read_text())
    except ValueError as error:
        raise _damaged(folder, "config.json", str(error)) from None
    head = cast(dict[str, object], content) if isinstance(content, dict) else {}
    if head.get("format") != "lmsaes-sae":
        raise SAEError(
            f"{file} was not written by lmsaes", "`lmsaes import` reads other libraries' SAEs"
        )
    if head.get("format_version") != FORMAT_VERSION:
        raise SAEError(
            f"{file} has format version {head.get('format_version')}, this lmsaes reads"
            f" {FORMAT_VERSION}",
            "use the lmsaes that wrote it, or a newer one",
        )
    try:
        return _Folder.model_validate(head)
    except ValidationError as error:
        raise _damaged(folder, "config.json", _first(error)) from None


def _read_weights(folder: Path) -> dict[str, Tensor]:
    file = folder / "weights.safetensors"
    if not file.is_file():
        raise SAEError(f"{folder} is incomplete: weights.safetensors is missing", "train it again")
    try:
        return load_file(file)
    except SafetensorError as error:
        raise _damaged(folder, file.name, str(error)) from None


def _damaged(folder: Path, file: str, why: str) -> SAEError:
    return SAEError(f"{folder}/{file} is damaged: {why}", "copy it again or train it again")


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    part = file.with_name(file.name + ".part")
    write(part)
    part.replace(file)
