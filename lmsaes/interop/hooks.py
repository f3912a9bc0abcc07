"""Module paths of Hugging Face models and the hook points that TransformerLens has there."""

import re

_MODULE = re.compile(r"(?:^|\.)(?:layers|h|blocks|block|resid_post_layer)[._](\d+)(?:\.(.+))?$")
_OUTPUT = {
    None: "hook_resid_post",
    "mlp": "hook_mlp_out",
    "attn": "hook_attn_out",
    "self_attn": "hook_attn_out",
    "attention": "hook_attn_out",
}
_HOOK = re.compile(r"blocks\.(\d+)\.(.+)$")


def hook_of_module(path: str) -> str | None:
    """The hook on a module's output: layers.3 is blocks.3.hook_resid_post; None if unknown."""
    if path.rpartition(".")[2] in ("embed_tokens", "wte", "embed_in"):
        return "hook_embed"
    found = _MODULE.search(path)
    if found is None or found[2] not in _OUTPUT:
        return None
    return f"blocks.{found[1]}.{_OUTPUT[found[2]]}"


def hooks_of_transcoder(path: str) -> tuple[str, str] | None:
    """The hooks that a transcoder of a module reads and predicts; None if unknown."""
    found = _MODULE.search(path)
    if found is None or found[2] != "mlp":
        return None
    return f"blocks.{found[1]}.mlp.hook_in", f"blocks.{found[1]}.hook_mlp_out"


def module_of_hook(hook: str) -> str:
    """The module whose output a hook is, as sparsify names its folders; the hook's own name where
    no module has it."""
    found = _HOOK.match(hook)
    if found is None:
        return "embed_tokens" if hook == "hook_embed" else hook
    layer, name = int(found[1]), found[2]
    if name == "hook_resid_pre" and layer > 0:
        return f"layers.{layer - 1}"
    suffix = {"hook_resid_post": "", "hook_mlp_out": ".mlp", "hook_attn_out": ".self_attn"}
    return f"layers.{layer}{suffix[name]}" if name in suffix else hook


def layer_of_hook(hook: str) -> tuple[int, str] | None:
    """(8, "hook_mlp_out") of blocks.8.hook_mlp_out; None where it is in no block."""
    found = _HOOK.match(hook)
    return None if found is None else (int(found[1]), found[2])
