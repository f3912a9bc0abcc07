"""A language model on one prompt with attention patterns and norm denominators held as they were.

    stream ─┬─ norm ── attention ──┐        norm:      (x − mean x) · weight / denominator + bias
            └──────────────────────⊕─ mid   attention: Σ_heads P_h · (norm · W_V^h + b_V^h) · W_O^h
    mid ────┬─ norm ── MLP ────────┐
            └──────────────────────⊕─ the next block's stream

What the norms divide by and what the attention patterns P are is taken from the model's own pass;
then everything between one MLP's output and a later MLP's input is affine in the residual stream
(Ameisen et al. 2025, "Circuit Tracing"). Here are these affine maps, the same without their
constants (`linear`, `tangent`), and their transposes (`back`).
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from einops import einsum, rearrange
from torch import Tensor

from lmsaes.errors import ModelError
from lmsaes.model import LanguageModel, differ_by_rounding, unwrapped


@dataclass(frozen=True)
class Norm:
    """A LayerNorm or RMSNorm whose denominators are held."""

    weight: Tensor  # [d_model]
    bias: Tensor | None  # [d_model]
    denominator: Tensor  # [positions]
    centered: bool
    eps: float

    def linear(self, x: Tensor) -> Tensor:
        """The norm without its bias, of x [..., positions, d_model]."""
        if self.centered:
            x = x - x.mean(-1, keepdim=True)
        return x * self.weight / self.denominator[: x.shape[-2], None]

    def __call__(self, x: Tensor) -> Tensor:
        """The norm of x [..., positions, d_model]."""
        found = self.linear(x)
        return found if self.bias is None else found + self.bias

    def let_go(self, x: Tensor) -> Tensor:
        """The norm as the model has it, of x [..., positions, d_model]: nothing is held."""
        found = (x - x.mean(-1, keepdim=True) if self.centered else x) * self.weight
        found = found / denominators(x, self.centered, self.eps)[..., None]
        return found if self.bias is None else found + self.bias

    def back(self, gradient: Tensor, positions: slice | Tensor = slice(None)) -> Tensor:
        """The transpose of `linear` on [..., positions, d_model], or on rows at `positions`."""
        gradient = gradient * self.weight / self.denominator[positions][..., None]
        return gradient - gradient.mean(-1, keepdim=True) if self.centered else gradient


@dataclass(frozen=True)
class Attention:
    """Attention whose patterns are held."""

    pattern: Tensor  # [heads, to, from]
    W_V: Tensor  # [heads, d_model, d_head]: of grouped heads, each one's share
    W_O: Tensor  # [heads, d_head, d_model]
    constant: Tensor  # [d_model]: what its biases add wherever patterns sum to 1

    def linear(self, x: Tensor) -> Tensor:
        """What all heads write without biases, from x [positions, d_model]."""
        values = einsum(x, self.W_V, "q d, h d k -> h q k")
        return einsum(self.pattern @ values, self.W_O, "h p k, h k d -> p d")

    def back(self, gradient: Tensor) -> Tensor:
        """The transpose of `linear`, of a gradient [targets, positions, d_model].

        Positions may be the first few alone: what comes later is not reached from them.
        """
        positions, (heads, d_head, _) = gradient.shape[1], self.W_O.shape
        written = gradient @ rearrange(self.W_O, "h k d -> d (h k)")
        written = rearrange(written, "b p (h k) -> b h p k", h=heads, k=d_head)
        read = self.pattern[:, :positions, :positions].mT @ written
        return rearrange(read, "b h q k -> b q (h k)") @ self._read

    def back_by_head(self, gradient: Tensor) -> Tensor:
        """As `back`, head by head: of [positions, d_model], [heads, positions, d_model]."""
        written = einsum(gradient, self.W_O, "p d, h k d -> h p k")
        return (self.pattern.mT @ written) @ self.W_V.mT

    @cached_property
    def _read(self) -> Tensor:
        return rearrange(self.W_V, "h d k -> (h k) d").contiguous()


@dataclass(frozen=True)
class Block:
    """A block of the model beside what it did on the prompt."""

    norm_1: Norm
    attention: Attention
    norm_2: Norm
    stream: Tensor  # [positions, d_model]: what enters the block
    mid: Tensor  # [positions, d_model]: after attention
    mlp_in: Tensor  # [positions, d_model]: what enters the MLP, after the norm
    mlp_out: Tensor  # [positions, d_model]

    def after_attention(self, stream: Tensor) -> Tensor:
        """The frozen map from what enters the block to what stands after attention."""
        return stream + self.attention.linear(self.norm_1(stream)) + self.attention.constant

    def attention_tangent(self, stream: Tensor) -> Tensor:
        """The same without constants."""
        return stream + self.attention.linear(self.norm_1.linear(stream))

    def attention_back(self, gradient: Tensor) -> Tensor:
        """Its transpose, [targets, positions, d_model]."""
        through = self.attention.back(gradient)
        return gradient + self.norm_1.back(through, slice(gradient.shape[1]))


@dataclass(frozen=True)
class FrozenModel:
    """A model's pass over one prompt, taken apart into maps that are affine."""

    name: str
    token_ids: list[int]
    embeddings: Tensor  # [positions, d_model]: what enters the first block
    blocks: list[Block]
    norm: Norm  # the final one
    last: Tensor  # [positions, d_model]: what enters it
    logits: Tensor  # [positions, vocabulary]
    W_U: Tensor  # [d_model, vocabulary]
    b_U: Tensor  # [vocabulary]
    tuple_of: int | None
    """How many values the model's blocks give back in a tuple; None where it is a tensor alone."""

    @property
    def positions(self) -> int:
        return len(self.token_ids)

    @property
    def d_model(self) -> int:
        return self.embeddings.shape[1]


def freeze(lm: LanguageModel, token_ids: Sequence[int]) -> FrozenModel:
    """Runs the model on a prompt and holds its patterns and denominators.

    Raises ModelError for a model that is not built as above: its own logits don't come back from
    the frozen maps then.
    """
    bridge = lm.bridge
    tokens = torch.tensor([list(token_ids)], device=lm.device)
    with torch.no_grad(), _noting_form(bridge.blocks[0]) as form:
        logits, cache = bridge.run_with_cache(tokens, return_cache_object=False)
        try:
            blocks = [_block(bridge, cache, layer) for layer in range(len(bridge.blocks))]
            last = cache["ln_final.hook_in"][0].float()
            norm = _norm(bridge.ln_final, last)
        except (KeyError, AttributeError, TypeError) as error:
            raise _refused(lm, f"it has no {error}") from error
        frozen = FrozenModel(
            name=lm.record.name,
            token_ids=list(token_ids),
            embeddings=cache["blocks.0.hook_in"][0].float(),
            blocks=blocks,
            norm=norm,
            last=last,
            logits=logits[0].float(),
            W_U=bridge.W_U.detach().float(),
            b_U=bridge.b_U.detach().float(),
            tuple_of=form[0],
        )
        if not _holds(frozen):
            raise _refused(lm, "its logits are not what these parts give")
    return frozen


@contextmanager
def _noting_form(block: Any) -> Generator[list[int | None]]:
    """How many values a block gives back in a tuple; None of a tensor. Known after a pass."""
    form: list[int | None] = []

    def note(module: Any, arguments: Any, output: Any) -> None:
        form[:] = [len(output) if isinstance(output, tuple) else None]

    module: Any = unwrapped(block)
    handle = module.register_forward_hook(note)
    try:
        yield form
    finally:
        handle.remove()


def _holds(model: FrozenModel) -> bool:
    """Whether the affine maps give back what the model did."""
    x = model.embeddings
    for block in model.blocks:
        mid = block.after_attention(x)
        if not differ_by_rounding(block.norm_2(mid), block.mlp_in):
            return False
        x = mid + block.mlp_out
    return differ_by_rounding(model.norm(x) @ model.W_U + model.b_U, model.logits)


def _refused(lm: LanguageModel, why: str) -> ModelError:
    return ModelError(
        f"{lm.record.name} can't be traced: {why}",
        "models whose blocks add attention and then an MLP, each behind a norm, to one stream can"
        " (GPT-2, Llama, Mistral, Qwen 2)",
    )


def _block(bridge: Any, cache: Mapping[str, Tensor], layer: int) -> Block:
    block, name = bridge.blocks[layer], f"blocks.{layer}"
    stream = cache[f"{name}.ln1.hook_in"][0].float()
    mid = cache[f"{name}.ln2.hook_in"][0].float()
    return Block(
        norm_1=_norm(block.ln1, stream),
        attention=_attention(block.attn, cache[f"{name}.attn.hook_pattern"][0].float()),
        norm_2=_norm(block.ln2, mid),
        stream=stream,
        mid=mid,
        mlp_in=cache[f"{name}.mlp.hook_in"][0].float(),
        mlp_out=cache[f"{name}.hook_mlp_out"][0].float(),
    )


def _attention(attention: Any, pattern: Tensor) -> Attention:
    heads = pattern.shape[0]
    grouped, W_O = attention.W_V.detach().float(), attention.W_O.detach().float()
    W_V = grouped.repeat_interleave(heads // len(grouped), 0)
    constant = torch.zeros(W_O.shape[2], device=W_O.device)
    if attention.b_V is not None:
        b_V = attention.b_V.detach().float()
        b_V = b_V.repeat_interleave(heads // b_V.shape[0], 0)
        constant = constant + einsum(b_V, W_O, "h k, h k d -> d")
    if attention.b_O is not None:
        constant = constant + attention.b_O.detach().float()
    return Attention(pattern, W_V, W_O, constant)


def _norm(component: Any, x: Tensor) -> Norm:
    """A bridge's norm, held at what it divides rows `x` [positions, d_model] by."""
    module: Any = unwrapped(component)
    centered = isinstance(module, torch.nn.LayerNorm)
    eps = module.eps if hasattr(module, "eps") else module.variance_epsilon
    bias = getattr(module, "bias", None)
    return Norm(
        weight=module.weight.detach().float(),
        bias=None if bias is None else bias.detach().float(),
        denominator=denominators(x, centered, eps),
        centered=centered,
        eps=eps,
    )


def denominators(x: Tensor, centered: bool, eps: float) -> Tensor:
    """What a norm divides rows x [..., d_model] by, [...]."""
    rows = x - x.mean(-1, keepdim=True) if centered else x
    return (rows.square().mean(-1) + eps).sqrt()
