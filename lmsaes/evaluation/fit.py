"""Whether an SAE and a cache belong together: hooks, widths, the model they are of."""

from pathlib import Path

from lmsaes.cache import ActivationCache
from lmsaes.errors import SAEError
from lmsaes.evaluation.origin import check_made_alike, origin_of
from lmsaes.sae import SAE


def check_fit(
    folder: Path, sae: SAE, cache: ActivationCache, any_model: bool = False
) -> tuple[tuple[str, ...], str | None]:
    """The hooks that the SAE in `folder` reads from the cache, and a transcoder's target.

    any_model: take a cache of another model than the SAE was trained on. Raises SAEError where
    they don't fit, ConfigError for a hook that the cache does not hold.
    """
    origin = origin_of(sae, folder)
    hooks, target = origin.hooks, origin.target
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
    if not any_model:
        check_made_alike(origin, folder, cache)
    return hooks, target
