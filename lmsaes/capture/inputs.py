"""The model and the text that a configuration names, opened and checked against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmsaes.cache import check_hook_name
from lmsaes.capture.config import ModelOnText
from lmsaes.errors import ConfigError
from lmsaes.model import HookShape, LanguageModel
from lmsaes.parallel import own_device
from lmsaes.provenance import TextPosition, TextRecord
from lmsaes.text import ContextStream, TextSource, check_token_ids, load_mixture


@dataclass(frozen=True)
class Inputs:
    """What activations are computed from."""

    lm: LanguageModel
    shapes: Mapping[str, HookShape]  # of the hooks, globs resolved
    sources: Sequence[TextSource]

    def open_text(self, record: TextRecord, start: TextPosition | None) -> ContextStream:
        """The text's contexts from a position on, or from its start, packed as `record` says."""
        return ContextStream(self.sources, self.lm.tokenizer, record, self.lm.vocabulary, start)


def open_model(config: ModelOnText) -> LanguageModel:
    """Loads the model alone. Raises ModelError where it can't be had."""
    return LanguageModel.load(
        config.model, own_device(config.device), config.model_dtype, config.revision, config.weights
    )


def open_inputs(config: ModelOnText, hooks: Sequence[str]) -> Inputs:
    """Loads the model, finds the hooks, and opens the text.

    Raises ConfigError, ModelError or DataError for what is not there or doesn't fit together.
    """
    lm = open_model(config)
    if lm.max_context is not None and config.context_size > lm.max_context:
        raise ConfigError(
            f"a context of {config.context_size} tokens is longer than {config.model} takes "
            f"({lm.max_context})",
            f"use --context-size {lm.max_context} or less",
        )
    shapes = lm.find_hooks(hooks)
    for hook in shapes:
        check_hook_name(hook)
    sources = load_mixture(
        config.dataset, config.mix, config.split, config.text_column,
        config.dataset_config or None, config.dataset_revision or None,
        config.streaming, config.shuffle, config.seed,
    )  # fmt: skip
    if lm.tokenizer is None:
        for source in sources:
            check_token_ids(source, config.model)
    return Inputs(lm, shapes, sources)
