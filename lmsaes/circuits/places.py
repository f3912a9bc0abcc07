"""Which SAEs are transcoders of an MLP, by their hooks; needs no torch."""

import re

_OUTPUT = re.compile(r"blocks\.(\d+)\.(?:hook_mlp_out|mlp\.hook_out)")
_INPUTS = {
    "mlp.hook_in": "normed",
    "ln2.hook_out": "normed",
    "ln2.hook_normalized": "normalized",
    "hook_resid_mid": "stream",
}


def layer_written(target: str | None) -> int | None:
    """The block whose MLP's output a transcoder with this target gives; None for other SAEs."""
    found = _OUTPUT.fullmatch(target or "")
    return None if found is None else int(found[1])


def what_is_read(hook: str | None, layer: int) -> str | None:
    """Which of an MLP's inputs a hook is: "normed", "normalized" or "stream"; None for others."""
    return _INPUTS.get((hook or "").removeprefix(f"blocks.{layer}."))
