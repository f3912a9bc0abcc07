"""A language model under TransformerLens' names: tokenize, run to the last hook, unembed.

The model is loaded by `transformers` from safetensors alone (no pickle, no remote code) and
wrapped by TransformerLens' `TransformerBridge`, which gives every hook point its name. Where the
wrapping isn't needed to run it, it is taken off again (forward.py).
"""

import contextlib
import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from torch import Tensor

from lmsaes.addresses import expand_home
from lmsaes.errors import ConfigError, ModelError, first_line
from lmsaes.model._compat import (
    boot_quietly,
    config_facts,
    official_name,
    stand_in_tokenizer,
    stop_tokens,
)
from lmsaes.model.forward import DirectForward, HookSite, differ_by_rounding, find_sites
from lmsaes.model.hooks import HookShape, NamedShapes, find_hooks, named_shapes
from lmsaes.parallel import resolve_device
from lmsaes.provenance import ModelRecord, Weights

if TYPE_CHECKING:
    from lmsaes.model.intervene import PatchedForward

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_TRIAL = (2, 16)  # contexts and positions of the batch that shows two ways to be equal


class LanguageModel:
    """A causal language model and its tokenizer. Make one with `LanguageModel.load`.

    `tokenizer` is None where the model has none: it takes token ids then.
    """

    def __init__(
        self, bridge: Any, tokenizer: Any, record: ModelRecord, device: torch.device
    ) -> None:
        self._bridge, self.tokenizer, self.record, self.device = bridge, tokenizer, record, device
        self._shapes: NamedShapes | None = None
        self._direct: DirectForward | None = None
        self._sites: dict[str, HookSite] = {}
        self._mounted: DirectForward | None = None
        # By hooks, the passes that intervene.py has prepared and tried.
        self.patched: dict[frozenset[str], PatchedForward] = {}

    @staticmethod
    def load(
        name: str,
        device: str = "auto",
        dtype: str = "float32",
        revision: str | None = None,
        weights: Weights = "raw",
    ) -> "LanguageModel":
        """Loads a model by TransformerLens or Hugging Face name, or from a local folder.

        weights: `raw` as published, or `processed` as TransformerLens does by default (layer
        norms folded in, writing weights centered).

        Raises ModelError when it can't be found, is no causal language model that
        TransformerLens knows, or has no safetensors weights.
        """
        from transformer_lens.model_bridge import TransformerBridge
        from transformers import AutoModelForCausalLM

        source = _source(name)
        torch_dtype = check_dtype(dtype)
        where = resolve_device(device)
        auto_model: Any = AutoModelForCausalLM
        try:
            model = auto_model.from_pretrained(
                source,
                revision=revision,
                dtype=torch_dtype,
                attn_implementation="eager",
                use_safetensors=True,
                trust_remote_code=False,
            ).to(where)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file raises anything in the library that reads it
            raise _load_error(name, error) from error
        tokenizer = load_tokenizer(name, revision)
        model.eval().requires_grad_(False)
        config_text = json.dumps(config_facts(model.config), sort_keys=True, default=str)
        record = ModelRecord(
            name=str(Path(source).resolve()) if Path(source).is_dir() else source,
            revision=revision,
            config_hash=hashlib.sha256(config_text.encode()).hexdigest()[:16],
            weights_hash=_weights_hash(model.state_dict()),
            weights=weights,
            dtype=dtype,
        )
        with boot_quietly(where):
            try:
                # a copy: the bridge gives its tokenizer special tokens that the model's has not
                own = stand_in_tokenizer() if tokenizer is None else copy.deepcopy(tokenizer)
                bridge = TransformerBridge.boot_transformers(
                    source,
                    hf_model=model,
                    tokenizer=own,
                    device=where,
                    dtype=torch_dtype,
                )
                if weights == "processed":
                    bridge.enable_compatibility_mode(disable_warnings=True)
            except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
                raise ModelError(
                    f"TransformerLens can't run '{name}': {first_line(error)}",
                    "choose one of the models it supports",
                ) from error
        return LanguageModel(bridge, tokenizer, record, where)

    @property
    def vocabulary(self) -> int:
        """How many token ids the model knows."""
        return self._bridge.cfg.d_vocab

    @property
    def max_context(self) -> int | None:
        """The longest context the model takes; None when it sets no limit."""
        return getattr(self._bridge.cfg, "n_ctx", None)

    @property
    def stop_tokens(self) -> tuple[int, ...]:
        """The token ids after which the model has nothing more to say."""
        return stop_tokens(self._bridge.original_model)

    @property
    def bridge(self) -> Any:
        """TransformerLens' bridge, ready to run."""
        self.mount(None)
        return self._bridge

    def mount(self, direct: DirectForward | None) -> None:
        """Makes the model ready for a direct forward pass, or for the bridge (None).

        They share the modules: one runs without the bridge's wrappers, the other with them.
        """
        if self._mounted is direct:
            return
        if self._mounted is not None:
            self._mounted.rewrap()
            self._mounted = None
        if direct is not None:
            try:
                direct.unwrap()
            except ValueError:
                direct.rewrap()
                raise
            self._mounted = direct

    def find_hooks(self, patterns: Sequence[str]) -> dict[str, HookShape]:
        """The hook points that `patterns` (names or globs) name, each with its vector per token.

        Raises ConfigError for a name that does not exist, with the nearest ones, and for a hook
        that has no vector per token.
        """
        if self._shapes is None:
            self._shapes = named_shapes(self._shapes_of)
        return find_hooks(self._shapes, patterns, self.record.name)

    def _shapes_of(self, contexts: int, positions: int) -> dict[str, tuple[int, ...]]:
        """Every hook point that fires, with the shape it gives for a batch of this size."""
        tokens = torch.zeros((contexts, positions), dtype=torch.int64, device=self.device)
        self.mount(None)
        with torch.inference_mode():
            _, cache = self._bridge.run_with_cache(tokens, return_cache_object=False)
        return {
            name: tuple(value.shape)
            for name, value in cache.items()
            if isinstance(value, Tensor) and value.is_floating_point()
        }

    def specialize(
        self, hooks: Sequence[str], compile: bool = False, batch: tuple[int, int] = _TRIAL
    ) -> str:
        """Takes the fastest way to `hooks` from here on; returns the attention that it runs.

        Raw weights and hooks on a module's input or output run on the Hugging Face model itself
        with fused attention (`sdpa`), once a trial batch has shown that it gives the same values;
        everything else runs on the bridge (`eager`), whose other hooks are then still to be had.

        compile: compiles the direct forward pass for `batch` (contexts, positions), which the trial
        then has. Raises ConfigError where only the bridge gives the hooks, ModelError where this
        machine or torch can't compile the model.
        """
        self.mount(None)
        self._direct = None
        sites = find_sites(self._bridge, hooks) if self.record.weights == "raw" else None
        if sites is not None and self._try_direct_forward(sites, compile, batch):
            return "sdpa"
        if compile:
            raise ConfigError(
                "only TransformerLens' bridge gives these hooks, and it can't be compiled",
                "leave out --compile, or use raw weights and outputs of blocks or their parts",
            )
        return "eager"

    def _try_direct_forward(
        self, sites: dict[str, HookSite], compile: bool, batch: tuple[int, int]
    ) -> bool:
        """Runs on the model without wrappers from here on if that gives what the bridge gives."""
        generator = torch.Generator().manual_seed(0)
        trial = torch.randint(0, self.vocabulary, batch, generator=generator)
        expected = self.activations(trial, list(sites))
        direct = DirectForward(self._bridge)
        try:
            self.mount(direct)
            if direct.holds(list(sites.values())):
                if compile:
                    direct.compile(sites)
                found = direct.run(trial.to(self.device), sites)
                if all(differ_by_rounding(_as_rows(found[hook]), expected[hook]) for hook in sites):
                    self._direct, self._sites = direct, sites
                    return True
        except ValueError:
            pass  # the architecture has no fused attention
        self.mount(None)
        return False

    def activations(self, tokens: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Activations of `tokens` [contexts, context_size] at `hooks`, and no more than that.

        The forward pass stops as soon as the last wanted hook has fired. Returns, by hook,
        [contexts, context_size, width] on the model's device.
        """
        self.mount(self._direct)
        if self._direct is not None:
            found = self._direct.run(self._upload(tokens), {h: self._sites[h] for h in hooks})
            return {hook: _as_rows(found[hook]) for hook in hooks}
        captured: dict[str, Tensor] = {}

        def capture(name: str) -> Any:
            def keep(value: Tensor, hook: Any) -> None:
                captured[name] = _as_rows(value)
                if len(captured) == len(hooks):
                    raise _AllCaptured

            return keep

        with torch.inference_mode(), contextlib.suppress(_AllCaptured):
            self._bridge.run_with_hooks(
                self._upload(tokens),
                return_type=None,
                fwd_hooks=[(name, capture(name)) for name in hooks],
            )
        missing = [name for name in hooks if name not in captured]
        if missing:
            raise ModelError(f"hook '{missing[0]}' did not fire in {self.record.name}")
        return captured

    def _upload(self, tokens: Tensor) -> Tensor:
        """Token ids on the model's device, without waiting for it."""
        if self.device.type == "cuda" and tokens.device.type == "cpu":
            tokens = tokens.pin_memory()
        return tokens.to(self.device, non_blocking=True)

    def unembedding(self) -> Tensor:
        """What a direction in the residual stream adds to each token's logit, to first order.

        The final norm's weight is folded in, and each direction's part that is the same for
        all tokens (which softmax ignores) is taken out. Returns float32 [d_model, vocabulary].
        """
        self.mount(None)
        with torch.inference_mode():
            weight = self._bridge.W_U.float()
            gain, _ = norm_gain(self._bridge.ln_final, self._bridge.W_U[:, 0])
            weight = weight * gain[:, None]
            return (weight - weight.mean(1, keepdim=True)).cpu()


def norm_gain(norm: Any, like: Tensor) -> tuple[Tensor, bool]:
    """What a norm multiplies a direction by, float32 [d_model], and whether it takes the mean off.

    like: a vector [d_model] of the dtype and device that the norm runs on.
    """
    # A vector of alternating signs has mean zero and unit variance, so both LayerNorm and RMSNorm
    # pass it on times their weight (plus a bias, which the difference drops).
    probe = torch.ones_like(like)
    probe[1::2] = -1
    above, below = norm(probe[None, None]).float(), norm(-probe[None, None]).float()
    raised = norm(probe[None, None] + 1).float()  # a LayerNorm gives the same as without the 1
    gain = (above - below).reshape(-1) / 2 * probe.float()
    return gain, bool((raised - above).norm() < 0.01 * (above - below).norm())


class _AllCaptured(Exception):
    """Ends a forward pass whose wanted hooks have all fired."""


def load_tokenizer(name: str, revision: str | None = None) -> Any:
    """A model's tokenizer without the model; None where its folder or repository has none.

    Raises ModelError when it is there and can't be read, or the model can't be had.
    """
    from transformers import AutoTokenizer

    source = _source(name)
    try:
        found = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file raises anything in the library that reads it
        if Path(source).is_dir() and not _has_tokenizer_files(Path(source)):
            return None
        raise _load_error(name, error) from error
    # of some kinds transformers makes one up that knows special tokens and no text
    return found if set(found.get_vocab()) - set(found.all_special_tokens) else None


def _has_tokenizer_files(folder: Path) -> bool:
    """Whether there is any vocabulary of the many kinds that tokenizers read."""
    marks = (
        "tokenizer.",
        "vocab",
        "merges",
        "spiece",
        "sentencepiece",
        "spm",
        "tekken",
        "tiktoken",
    )
    return any(mark in path.name for path in folder.iterdir() for mark in marks)


def check_dtype(dtype: str) -> torch.dtype:
    """A model dtype by name. Raises ConfigError for an unknown one."""
    if dtype not in _DTYPES:
        raise ConfigError(f"a model can't run in '{dtype}'", "choose " + ", ".join(_DTYPES))
    return _DTYPES[dtype]


def _source(name: str) -> str:
    """A local folder as it is, an old TransformerLens name as its Hugging Face name."""
    name = expand_home(name)
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ModelError(f"'{name}' holds no model: it has no config.json")
        return name
    if name.startswith(("/", "./", "../", "~")) or name.count("/") > 1:
        raise ModelError(f"there is no folder '{name}'", "give a model's folder or its hub name")
    return official_name(name)


def _load_error(name: str, error: Exception) -> ModelError:
    if Path(name).is_dir():
        return ModelError(
            f"can't load the model in '{name}': {first_line(error)}",
            "it needs config.json, a tokenizer and safetensors weights in Hugging Face layout",
        )
    return ModelError(
        f"can't load the model '{name}': it is neither a local folder nor to be had from the "
        f"Hugging Face hub ({first_line(error)})",
        "check the name and the network, or give a folder in Hugging Face layout",
    )


def _weights_hash(state: Mapping[str, Tensor]) -> str:
    """A hash of names, shapes and a spread of values of all weights: cheap, but it tells
    a fine-tuned model from its base."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().reshape(-1)
        sample = tensor[:: max(1, len(tensor) // 1024)].float().cpu()
        digest.update(f"{name}{tuple(state[name].shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:16]


def _as_rows(value: Tensor) -> Tensor:
    """One vector per token: those of its heads follow each other."""
    return rearrange(value, "contexts positions ... -> contexts positions (...)")
