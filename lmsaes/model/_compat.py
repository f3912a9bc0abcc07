"""Private and version-bound parts of other libraries that this room touches, and no other file.

Seen in transformer_lens 4.3, transformers 5.24 and torch 2.13.
"""

import contextlib
import functools
import inspect
import io
import logging
from collections.abc import Generator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def compile_errors() -> tuple[type[Exception], ...]:
    """What torch.compile raises where a model or a machine doesn't suit it."""
    # seconds to import, for what few ask for
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError

    return TorchDynamoException, InductorError


def official_name(name: str) -> str:
    """The Hugging Face name of a model that has an older one in TransformerLens."""
    from transformer_lens.supported_models import MODEL_ALIASES

    for official, aliases in MODEL_ALIASES.items():
        if name in aliases:
            return official
    return name


@contextlib.contextmanager
def boot_quietly(device: torch.device) -> Generator[None]:
    """Undoes what TransformerLens changes of the process while it wraps a model.

    It prints, logs to the root logger, lowers transformers' log level and draws random numbers.
    """
    loggers = (logging.root, logging.getLogger("transformers"))
    levels, handlers = [logger.level for logger in loggers], list(logging.root.handlers)
    logging.root.setLevel(logging.ERROR)
    random = torch.random.fork_rng([device] if device.type == "cuda" else [])
    try:
        with random, contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.handlers = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def stand_in_tokenizer() -> Any:
    """A tokenizer for a model that has none: TransformerLens looks for another without one."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"a": 0}, unk_token="a")), eos_token="a"
    )


def hook_points(bridge: Any) -> dict[str, tuple[nn.Module, str]]:
    """By hook name, the bridge's component that has it and the attribute that it is there."""
    from transformer_lens.hook_points import HookPoint

    modules = dict(bridge.named_modules())
    paths = {id(m): path for path, m in modules.items() if isinstance(m, HookPoint)}
    found: dict[str, tuple[nn.Module, str]] = {}
    for hook, point in bridge.hook_dict.items():
        owner, _, side = paths.get(id(point), "").rpartition(".")
        if owner in modules:
            found[hook] = modules[owner], side
    return found


def unwrapped(module: nn.Module | None) -> nn.Module | None:
    """The model's own module inside the bridge's components; None where there is none."""
    from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent

    while isinstance(module, GeneralizedComponent):
        inner: Any = module.original_component
        module = inner if isinstance(inner, nn.Module) else None
    return module


def attention_of(model: Any) -> str:
    """Which of transformers' attention implementations a model runs."""
    return model.config._attn_implementation


def with_key_value_cache(model: Any, tokens: Tensor, past: Any) -> tuple[Tensor, Any]:
    """Logits of `tokens` after those in `past`, a key-value cache or None, and the grown cache.

    transformers renamed the argument and the output from `past_key_values` to `cache`.
    """
    name = _cache_argument(type(model))
    found = model(tokens, use_cache=True, **({} if past is None else {name: past}))
    return found.logits, getattr(found, name, None)


@functools.cache
def _cache_argument(model: type) -> str:
    parameters = inspect.signature(model.forward).parameters  # pyright: ignore[reportAttributeAccessIssue]
    return "cache" if "cache" in parameters else "past_key_values"


def stop_tokens(model: Any) -> tuple[int, ...]:
    """The token ids after which a model has nothing more to say."""
    ids = model.generation_config.eos_token_id if model.can_generate() else None
    ids = model.config.eos_token_id if ids is None else ids
    return () if ids is None else tuple(ids) if isinstance(ids, list) else (ids,)


def config_facts(config: Any) -> Mapping[str, Any]:
    """A model's configuration without what depends on the library or the way it was loaded."""
    passing = {"transformers_version", "_name_or_path", "dtype", "torch_dtype"}
    return {name: value for name, value in config.to_dict().items() if name not in passing}
