"""The SAE that was analyzed, and the language model it was trained on, found from their records."""

import logging
from pathlib import Path
from typing import Protocol

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError, LmsaesError, SAEError
from lmsaes.evaluation import load_cache_model
from lmsaes.model import LanguageModel
from lmsaes.sae import SAE, sae_hash

_log = logging.getLogger("lmsaes")


class KnownSAE(Protocol):
    """What is known of an SAE whose folder is asked for: its record in the database has it."""

    @property
    def name(self) -> str: ...
    @property
    def sae_path(self) -> str: ...
    @property
    def sae_hash(self) -> str: ...


def find_sae(record: KnownSAE) -> SAE:
    """The SAE of an analysis, from its folder. Raises SAEError where it is gone or another one."""
    folder = Path(record.sae_path)
    sae = SAE.load(folder)
    if sae_hash(folder, sae) != record.sae_hash:
        raise SAEError(
            f"{folder} holds another SAE than '{record.name}' was when it was analyzed",
            "analyze it again",
        )
    return sae


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
