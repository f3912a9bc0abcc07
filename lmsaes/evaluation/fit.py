"""Whether an SAE and a cache belong together: hooks, widths, the model they are of."""

from pathlib import Path

from lmsaes.cache import ActivationCache
from lmsaes.errors import SAEError
from lmsaes.sae import SAE


def check_fit(
    folder: Path, sae: SAE, cache: ActivationCache, any_model: bool = False
) -> tuple[tuple[str, ...], str | None]:
    """The hooks that the SAE in `folder` reads from the cache, and a transcoder's target.

    any_model: take a cache of another model than the SAE was trained on. Raises SAEError where
    they don't fit, ConfigError for a hook that the cache does not hold.
    """
    origin, imported = sae.provenance, sae.imported
    hooks = origin.hooks if origin else imported.hooks if imported else ()
    target = origin.target if origin else imported.target if imported else None
    if not hooks:
        raise SAEError(f"{folder} does not say which hook it reads", "train it with lmsaes train")
    for hook in (*hooks, *([target] if target else [])):
        cache.check_hook(hook)
    for what, width, names in (
        ("reads", sae.d_in, hooks),
        ("gives", sae.d_out, (target,) if target else hooks),
    ):
        there = sum(cache.hooks[n].d_model for n in names)
        if there != width:
            raise SAEError(
                f"{folder} {what} vectors of {width}, and {', '.join(names)} of {cache.path} has "
                f"{there}",
                "give the cache of the model it was trained on",
            )
    here = cache.manifest.model.name
    of = origin.model if origin else imported.model if imported else None
    same = of in (here, None) or (origin and origin.cache_identity == cache.identity)
    if not same and not any_model:
        raise SAEError(
            f"{folder} was trained on {of}, and {cache.path} is of {here}",
            "give the cache of that model, or insist with --any-model",
        )
    return hooks, target
