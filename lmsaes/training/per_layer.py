"""A transcoder for every MLP of a cache: what `lmsaes train --transcoders` trains."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lmsaes.errors import ConfigError

MLP_HOOKS = ("blocks.*.mlp.hook_in", "blocks.*.hook_mlp_out")
"""What enters and what leaves every MLP, as patterns of hooks."""

_INPUT = re.compile(r"blocks\.(\d+)\.mlp\.hook_in")


def per_layer_transcoders(
    hooks: Iterable[str], tables: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each SAE table once per MLP whose input and output are among `hooks`, as its transcoder.

    They get a skip connection unless the table says otherwise: at the same L0 their graphs predict
    the model better (Paulo et al. 2025, arXiv 2501.18823). Raises ConfigError where a table names a
    hook, and where no MLP has both of its hooks.
    """
    hooks = set(hooks)
    layers = sorted(int(match[1]) for hook in hooks if (match := _INPUT.fullmatch(hook)))
    layers = [layer for layer in layers if f"blocks.{layer}.hook_mlp_out" in hooks]
    if not layers:
        raise ConfigError(
            "the cache has no MLP's input and output, which transcoders need",
            "make one with: lmsaes cache --transcoders",
        )
    found: list[dict[str, Any]] = []
    for table in tables:
        if named := [name for name in ("hook", "hooks", "target") if table.get(name)]:
            raise ConfigError(
                f"--transcoders takes the MLP of every layer, so {named[0]} says nothing",
                f"leave out {named[0]}, or --transcoders",
            )
        for layer in layers:
            name = f"{table['name']}-" if table.get("name") else ""
            found.append(
                {
                    "skip": True,
                    **table,
                    "hook": f"blocks.{layer}.mlp.hook_in",
                    "target": f"blocks.{layer}.hook_mlp_out",
                    "name": f"{name}layer-{layer}",
                }
            )
    return found
