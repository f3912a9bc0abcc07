"""Hook points by name or glob: which there are, and which have a vector for each token."""

import fnmatch
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lmsaes.errors import ConfigError, nearest

NamedShapes = Mapping[str, "tuple[int | str, ...]"]
"""By hook, the shape of what it sees: sizes, and names for those that a batch decides."""

# Two batches that differ in everything: what follows neither of their sizes is the model's own.
_PROBES = ((2, 3), (3, 5))


@dataclass(frozen=True)
class HookShape:
    """One token's vector at a hook: its width, and whose vectors it is made of.

    heads: attention heads whose vectors of `width / heads` follow each other; None where the hook
    has but one vector.
    """

    width: int
    heads: int | None = None


def named_shapes(shapes_of: Callable[[int, int], Mapping[str, tuple[int, ...]]]) -> NamedShapes:
    """Tells the sizes that are the model's from those of the batch.

    `shapes_of(contexts, positions)` gives the shapes for such a batch.
    """
    first, second = (shapes_of(*probe) for probe in _PROBES)
    return {
        name: tuple(map(_named_size, shape, second[name]))
        for name, shape in first.items()
        if name in second and len(second[name]) == len(shape)
    }


def _named_size(first: int, second: int) -> int | str:
    if first == second:
        return first
    names = dict(zip(zip(*_PROBES, strict=True), ("contexts", "positions"), strict=True))
    return names.get((first, second), "varying")


def find_hooks(shapes: NamedShapes, patterns: Sequence[str], model: str) -> dict[str, HookShape]:
    """The hooks that `patterns` (names or globs) mean, with their shapes.

    A glob takes those of its hooks that have a vector per token. Raises ConfigError for a pattern
    that means no hook, with the nearest names, or none with a vector per token.
    """
    found: dict[str, HookShape] = {}
    for pattern in patterns:
        is_glob = any(mark in pattern for mark in "*?[")
        names = fnmatch.filter(shapes, pattern) if is_glob else [pattern]
        if not names or (not is_glob and pattern not in shapes):
            raise ConfigError(
                f"hook '{pattern}' is not in {model}",
                "nearest: " + ", ".join(nearest(pattern, shapes)),
            )
        suitable = {n: shape for n in names if (shape := _vector(shapes[n])) is not None}
        if not suitable:
            described = ", ".join(str(size) for size in shapes[names[0]])
            raise ConfigError(
                f"hook '{pattern}' has no vector per token: its shape is [{described}]",
                "choose a residual, mlp or attention output, such as blocks.0.hook_resid_post",
            )
        found |= suitable
    return found


def _vector(shape: tuple[int | str, ...]) -> HookShape | None:
    """One token's part of a shape [contexts, positions, …], or None when it isn't of that form."""
    own = [size for size in shape[2:] if isinstance(size, int)]
    if shape[:2] != ("contexts", "positions") or len(own) != len(shape) - 2:
        return None
    width = math.prod(own)
    if width < 2:
        return None
    return HookShape(width, heads=own[0] if len(own) == 2 else None)
