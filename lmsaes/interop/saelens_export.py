"""An SAE of ours as a SAELens folder that an unmodified SAE.load_from_disk opens.

Everything that a row goes through is in the weights: b_dec is not subtracted from inputs unless
the SAE itself subtracts it, and no normalization but a layer norm is left. What SAELens has no
class for (TopK and gated transcoders, crosscoders) is refused by name.
"""

import json
import math
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lmsaes.atomic import replace_file, replacing
from lmsaes.errors import SAEError
from lmsaes.interop.published import thresholds
from lmsaes.interop.saelens import CONFIG, PROCESSED, WEIGHTS
from lmsaes.sae import SAE, BatchTopK, Gated, Imported, Matryoshka, Provenance, ReLU, TopK

# Read by sae_lens as the version that wrote the folder: below 6, it would drop all metadata.
_VERSION = "6.0.0"
_FILES = (".jsonl", ".json", ".txt", ".csv", ".parquet", ".gz", ".zst", ".bz2", ".xz")


def check(sae: SAE, where: str) -> None:
    """Raises SAEError when SAELens has no class for this SAE."""
    config = sae.config
    if len(config.inputs) > 1:
        raise SAEError(f"{where} is a crosscoder, and SAELens has no class for one")
    if sae.transcodes and isinstance(sae, TopK):
        raise SAEError(
            f"{where} is a TopK transcoder, and SAELens has no class for one",
            "export it --to sparsify or --to circuit-tracer",
        )
    if sae.transcodes and isinstance(sae, Gated):
        raise SAEError(f"{where} is a gated transcoder, and SAELens has no class for one")
    if sae.W_skip is not None and sae.row_norm_parts:
        raise SAEError(f"{where} has a skip of normalized rows, and SAELens' skips take raw rows")


def remarks(sae: SAE) -> list[str]:
    """What a reader of the folder should know."""
    found: list[str] = []
    norms = sae.W_dec.norm(dim=1)
    if not sae.transcodes and not torch.allclose(norms, torch.ones_like(norms), atol=1e-3):
        found.append("its decoder rows are not of norm 1, which SAEBench refuses")
    if sae.row_norm_parts and (sae.config.layer_norm_eps, sae.config.layer_norm_ddof) != (1e-5, 1):
        found.append(
            "SAELens adds 1e-5 to a row's deviation: expect differences of 1e-5 / deviation"
        )
    return found


def write(sae: SAE, folder: Path, digest: str) -> None:
    """`folder` as SAELens opens it. `check` comes first; cfg.json is written last.

    digest: of our weights, to tell one SAE's export from another's
    """
    tensors = _tensors(sae)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS) as temporary:
        (folder / CONFIG).unlink(missing_ok=True)
        save_file(
            {k: t.detach().to(torch.float32).contiguous() for k, t in tensors.items()}, temporary
        )
    replace_file(folder / CONFIG, config(sae, digest))


def _subtracts_b_dec(sae: SAE) -> bool:
    """SAELens can subtract its b_dec from inputs, and no other vector."""
    bias, c = sae.input_bias, _row_norm_factor(sae)
    return bias is not None and not sae.transcodes and c == 1.0 and torch.equal(bias, sae.b_dec)


def _tensors(sae: SAE) -> dict[str, Tensor]:
    c = _row_norm_factor(sae)
    c_out = 1.0 if sae.transcodes else c
    shift = torch.zeros(sae.features, dtype=torch.float64)
    if sae.input_bias is not None and not _subtracts_b_dec(sae):
        shift = sae.W_enc.double() @ sae.input_bias.double()
    tensors = {
        "W_enc": (sae.W_enc.double() / c).T,
        "W_dec": sae.W_dec.double() * c_out,
        "b_dec": sae.b_dec.double() * c_out,
    }
    if isinstance(sae, Gated):
        tensors |= {
            "b_gate": sae.b_enc.double() - shift,
            "b_mag": sae.b_mag.double() - sae.r_mag.double().exp() * shift,
            "r_mag": sae.r_mag,
        }
    else:
        tensors["b_enc"] = sae.b_enc.double() - shift
    threshold = thresholds(sae)
    if threshold is not None:
        tensors["threshold"] = threshold
    if sae.W_skip is not None:
        tensors["W_skip"] = sae.W_skip
    return tensors


def _row_norm_factor(sae: SAE) -> float:
    """SAELens divides a row's squares by d − 1: its normalized rows are shorter by √((d − 1)/d),
    ours longer by the inverse."""
    if not sae.row_norm_parts or sae.config.layer_norm_ddof == 1:
        return 1.0
    return math.sqrt((sae.d_in - 1) / sae.d_in)


def config(sae: SAE, digest: str) -> bytes:
    """cfg.json."""
    hook = sae.config.inputs[0] if sae.config.inputs else ""
    content: dict[str, Any] = {
        "architecture": architecture_of(sae),
        "d_in": sae.d_in,
        "d_sae": sae.features,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": _subtracts_b_dec(sae),
        "normalize_activations": "layer_norm" if sae.row_norm_parts else "none",
        "reshape_activations": "hook_z" if hook.endswith("_z") else "none",
        "metadata": _metadata(sae, hook, digest),
    }
    if sae.transcodes:
        content["d_out"] = sae.d_out
    if isinstance(sae, TopK):
        content |= {"k": sae.k, "rescale_acts_by_decoder_norm": False}
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def architecture_of(sae: SAE) -> str:
    """The SAELens architecture that computes the same."""
    if isinstance(sae, TopK):
        return "topk"
    if isinstance(sae, Gated):
        return "gated"
    base = "" if isinstance(sae, ReLU) else "jumprelu"
    if not sae.transcodes:
        return base or "standard"
    kind = "skip_transcoder" if sae.W_skip is not None else "transcoder"
    return f"{base}_{kind}" if base else kind


def _metadata(sae: SAE, hook: str, digest: str) -> dict[str, Any]:
    """What sae_lens and others read of an SAE's origin; a path of this machine is in none of it."""
    origin = sae.provenance or sae.imported
    found: dict[str, Any] = {
        "sae_lens_version": _VERSION,
        "hook_name": hook,
        "hook_head_index": None,
        "model_class_name": "HookedTransformer",
        "model_from_pretrained_kwargs": {},
        "lmsaes": _own(sae, digest),
    }
    if sae.config.target is not None:
        found["hook_name_out"] = sae.config.target
    if origin is not None:
        found |= {
            "model_name": public_name(origin.model),
            "context_size": origin.context_size,
            "prepend_bos": origin.prepend_bos,
        }
        if origin.weights == "processed":
            found["model_from_pretrained_kwargs"] = dict.fromkeys(PROCESSED, True)
    if isinstance(origin, Provenance):
        found |= {"dataset_path": public_name(origin.dataset), "exclude_special_tokens": True}
    if isinstance(sae, BatchTopK):
        found["training_architecture"] = "batchtopk"
        details: dict[str, Any] = {"k": sae.k}
        if isinstance(sae, Matryoshka):
            found["training_architecture"] = "matryoshka_batchtopk"
            details["matryoshka_widths"] = sae.ends
        found["training_architecture_details"] = details
    return {k: v for k, v in found.items() if v is not None or k == "hook_head_index"}


def _own(sae: SAE, digest: str) -> dict[str, Any]:
    """Our record of its training or of where it was published, under a key that SAELens keeps."""
    record: dict[str, Any] = {"architecture": sae.config.architecture, "weights_sha256": digest}
    if sae.provenance is not None:
        record |= sae.provenance.model_dump(mode="json", exclude={"cache", "model", "dataset"})
    if isinstance(sae.imported, Imported):
        hub = sae.imported.source.startswith("hf://")
        source = sae.imported.source if hub else PurePosixPath(sae.imported.source).name
        record["imported"] = {"format": sae.imported.format, "source": source}
    return record


def public_name(name: str | None) -> str | None:
    """A hub's name as it is; of a path on this machine, the last part alone."""
    if name is None:
        return None
    path = PurePosixPath(name.replace("\\", "/"))
    local = name.startswith(("/", ".", "~", "\\")) or ":" in name.partition("/")[0]
    if local or path.suffix.lower() in _FILES or len(path.parts) > 2 or Path(name).exists():
        return path.name
    return name
