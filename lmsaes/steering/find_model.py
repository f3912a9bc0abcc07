"""The language model that an SAE was trained on, found from the SAE's own records."""

import logging

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError, LmsaesError
from lmsaes.evaluation import load_cache_model
from lmsaes.model import LanguageModel
from lmsaes.sae import SAE

_log = logging.getLogger("lmsaes")


def find_model(sae: SAE, name: str | None = None, device: str = "auto") -> LanguageModel:
    """Loads the model of an SAE.

    Where the cache that the SAE was trained on is still there, the model is compared with the
    hashes in its manifest; else a log line says why nothing was compared.

    name: the model's name or folder, if not the one in the records. Raises ConfigError where the
    records name none, ModelError where it can't be loaded or is another one.
    """
    origin, imported = sae.provenance, sae.imported
    if origin is not None and origin.cache is not None:
        try:
            cache = ActivationCache.open(origin.cache)
        except LmsaesError as error:
            _log.warning("model: not compared with the cache of the training: %s", error)
        else:
            if cache.identity == origin.cache_identity:
                return load_cache_model(cache, name, device)
            _log.warning(
                "model: not compared with the cache of the training: another one is in %s now",
                origin.cache,
            )
    recorded = origin.model if origin else imported.model if imported else None
    name = name or recorded
    if name is None:
        raise ConfigError("the SAE does not say which model it reads", "name it with --model")
    known = origin.weights if origin else imported.weights if imported else None
    weights = known or "raw"
    return LanguageModel.load(name, device, weights=weights)
