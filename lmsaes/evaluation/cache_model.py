"""The model beside a cache: what is read from it holds only if it made the cache's rows."""

from lmsaes.cache import ActivationCache
from lmsaes.errors import ModelError
from lmsaes.model import LanguageModel
from lmsaes.text import tokenizer_facts


def load_cache_model(
    cache: ActivationCache, name: str | None = None, device: str = "cpu"
) -> LanguageModel:
    """The language model that a cache is of, with its weights as raw or processed as there.

    name: where it is, if not where the manifest says. Raises ModelError when it can't be loaded,
    or its configuration, weights or tokenizer are not those that the cache was made with.
    """
    record, text = cache.manifest.model, cache.manifest.text
    revision = None if name else record.revision
    lm = LanguageModel.load(name or record.name, device, record.dtype, revision, record.weights)
    compared = {
        "configuration": (lm.record.config_hash, record.config_hash),
        "weights": (lm.record.weights_hash, record.weights_hash),
        "tokenizer": (tokenizer_facts(lm.tokenizer).hash, text.tokenizer_hash),
    }
    other = [what for what, (found, wanted) in compared.items() if found != wanted]
    if other:
        raise ModelError(
            f"{lm.record.name} is not the model that {cache.path} was made with: another "
            + ", another ".join(other),
            "give that model's folder or name with --model",
        )
    return lm
