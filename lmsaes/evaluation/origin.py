"""Where an SAE comes from, and whether a cache holds rows of the kind that it was trained on."""

from pathlib import Path, PurePath

from lmsaes.cache import ActivationCache
from lmsaes.errors import SAEError
from lmsaes.model import official_name
from lmsaes.sae import SAE, Imported, Provenance

Origin = Provenance | Imported


def origin_of(sae: SAE, folder: Path) -> Origin:
    """How it was trained here, or where it was imported from.

    Raises SAEError where neither says which hook it reads.
    """
    origin = sae.provenance or sae.imported
    if origin is None or not origin.hooks:
        raise SAEError(
            f"{folder} does not say which hook it reads",
            "train it with lmsaes train, or import it with --hook",
        )
    return origin


def check_made_alike(origin: Origin, folder: Path, cache: ActivationCache) -> None:
    """Raises SAEError when the cache is of another model than the SAE, of other weights of it, or
    of contexts that begin otherwise: its numbers would be those of inputs it never saw.
    """
    if isinstance(origin, Provenance) and origin.cache_identity == cache.identity:
        return
    model, text = cache.manifest.model, cache.manifest.text
    if not _same_model(origin, model.name):
        raise SAEError(
            f"{folder} was trained on {origin.model}, and {cache.path} is of {model.name}",
            "give the cache of that model, or insist with --any-model",
        )
    if origin.weights is not None and origin.weights != model.weights:
        raise SAEError(
            f"{folder} was trained on {origin.weights} weights of the model, and {cache.path} is"
            f" of {model.weights} ones",
            f"make a cache with --weights {origin.weights}, or insist with --any-model",
        )
    if origin.prepend_bos is not None and origin.prepend_bos != text.bos:
        trained, made = ("with" if bos else "without" for bos in (origin.prepend_bos, text.bos))
        raise SAEError(
            f"{folder} was trained on contexts {trained} a beginning-of-text token, and"
            f" {cache.path} is of contexts {made} one",
            f"make a cache with --{'bos' if origin.prepend_bos else 'no-bos'}, or insist with"
            " --any-model",
        )


def _same_model(origin: Origin, name: str) -> bool:
    """Other libraries name a model by its last part, or as TransformerLens once did."""
    if origin.model is None or origin.model == name:
        return True
    if isinstance(origin, Provenance):
        return False
    theirs, ours = (PurePath(official_name(each)).name for each in (origin.model, name))
    return theirs.casefold() == ours.casefold()
