"""An SAE on disk: a folder that opens with json and safetensors alone.

    topk-32/
      config.json           what it is, how it was trained or where it was imported from
      weights.safetensors   W_enc, W_dec, b_enc, b_dec and the architecture's own
      metrics.jsonl         one object per measurement while it trained

`config.json` is written last, and where one stands already it is removed before the weights are
replaced: a folder that has one is complete, whenever a save was cut off. It holds the digest of the
weights and that of its own content, so that weights of another SAE, half of a copy or a changed
number are found. Folders without the second, and of format 1, which had no digest and other names
for some settings, still open.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lmsaes.atomic import replace_file, replacing, sync_folder
from lmsaes.errors import SAEError
from lmsaes.sae.architectures import ARCHITECTURES
from lmsaes.sae.autoencoder import SAE
from lmsaes.sae.former_names import RENAMED
from lmsaes.sae.origin import Imported, Provenance

FORMAT_VERSION = 2
CONFIG, WEIGHTS = "config.json", "weights.safetensors"
_RENAMED_PROVENANCE = {"shuffle_memory": "shuffle_buffer", "dead_after": "dead_window"}


@dataclass(frozen=True)
class SavedSettings:
    """Of an SAE on disk."""

    config: dict[str, Any]
    architecture: str
    features: int
    hooks: tuple[str, ...]  # as recorded when it was trained or imported; empty where unknown
    target: str | None
    provenance: Provenance | None
    evaluation: dict[str, Any] | None  # what `lmsaes eval` found last


class _Folder(BaseModel, extra="forbid"):
    """config.json."""

    format: Literal["lmsaes-sae"] = "lmsaes-sae"
    format_version: Literal[2] = FORMAT_VERSION
    lmsaes_version: str
    architecture: str
    features: int = Field(gt=0)
    d_in: int = Field(gt=0)
    d_out: int = Field(gt=0)
    weights_sha256: str | None  # None in folders of format 1 alone
    config_sha256: str | None = None  # of all the rest; None in folders from before it was kept
    config: dict[str, Any]
    provenance: Provenance | None
    imported: Imported | None = None
    evaluation: dict[str, Any] | None = None  # what `lmsaes eval` found last


def save(sae: SAE, folder: Path) -> None:
    """Writes config.json and weights.safetensors into `folder`.

    Cut off at any instant, it leaves the SAE that was there, the new one, or none. Raises SAEError,
    before anything is written, when a weight is not finite.
    """
    if name := first_not_finite(sae.state_dict()):
        raise SAEError(
            f"the SAE for {folder} can't be saved: {name} holds values that are not finite",
            "train it with a smaller lr",
        )
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous().cpu() for name, tensor in sae.state_dict().items()}
    with replacing(folder / WEIGHTS) as temporary:
        save_file(weights, temporary)
        digest = _sha256(temporary)
        (folder / CONFIG).unlink(missing_ok=True)  # the old SAE's, once the new weights are there
        sync_folder(folder)
    config = _Folder(
        lmsaes_version=version("lmsaes"),
        architecture=sae.config.architecture,
        features=sae.features,
        d_in=sae.d_in,
        d_out=sae.d_out,
        weights_sha256=digest,
        # of an SAE that wasn't trained here, what is known alone: defaults would be made up
        config=sae.config.model_dump(exclude_none=True, exclude_unset=sae.imported is not None),
        provenance=sae.provenance,
        imported=sae.imported,
    )
    replace_file(folder / CONFIG, _content(config))


def load(folder: Path, device: torch.device | str = "cpu") -> SAE:
    """The SAE saved in `folder`, of the class of its architecture, on `device`.

    Raises SAEError when the folder is missing, incomplete, damaged or not an lmsaes SAE, or when a
    weight is not finite.
    """
    saved = _read_config(folder)
    kind = ARCHITECTURES.get(saved.architecture)
    if kind is None:
        raise SAEError(
            f"{folder}: architecture '{saved.architecture}' is not known",
            "known: " + ", ".join(sorted(ARCHITECTURES)),
        )
    try:
        config = kind.config_type.model_validate(saved.config)
    except ValidationError as error:
        raise _damaged(folder, CONFIG, _first(error)) from None
    if config.width(saved.d_in) != saved.features:
        width = config.width(saved.d_in)
        raise _damaged(folder, CONFIG, f"{saved.features} features, by its settings {width}")
    weights = _read_weights(folder, saved.weights_sha256)
    _check_sizes(folder, weights, saved)  # before config.json's numbers become memory
    sae = kind(config, saved.d_in, saved.d_out)
    sae.provenance, sae.imported = saved.provenance, saved.imported
    if "input_bias" in weights:
        sae.input_bias = torch.zeros(saved.d_in)
    for name, parameter in sae.state_dict().items():
        if name not in weights:
            raise _damaged(folder, WEIGHTS, f"'{name}' is missing")
        if weights[name].shape != parameter.shape:
            have, want = list(weights[name].shape), list(parameter.shape)
            raise _damaged(folder, WEIGHTS, f"'{name}' is {have}, config.json says {want}")
    if unknown := weights.keys() - sae.state_dict().keys():
        raise _damaged(folder, WEIGHTS, f"'{min(unknown)}' is not a {saved.architecture} SAE's")
    sae.load_state_dict(weights)
    if name := first_not_finite(sae.state_dict()):
        raise SAEError(
            f"{folder}/{WEIGHTS}: {name} holds values that are not finite",
            "train it again, with a smaller lr",
        )
    sae.after_load()
    return sae.requires_grad_(False).eval().to(device)


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds NaN or an infinity; waits for a device once each."""
    for name, tensor in tensors.items():
        # the extremes carry NaN on, and need no mask as large as the tensor
        if tensor.is_floating_point() and tensor.numel() > 0:
            low, high = torch.aminmax(tensor)
            if not bool((low.isfinite() & high.isfinite()).item()):
                return name
    return None


def _check_sizes(folder: Path, weights: Mapping[str, Tensor], saved: _Folder) -> None:
    for name, width in (("W_enc", saved.d_in), ("W_dec", saved.d_out)):
        if name not in weights:
            raise _damaged(folder, WEIGHTS, f"'{name}' is missing")
        have, want = list(weights[name].shape), [saved.features, width]
        if have != want:
            raise _damaged(folder, WEIGHTS, f"'{name}' is {have}, config.json says {want}")


def write_evaluation(folder: Path, evaluation: Mapping[str, Any]) -> None:
    """Puts what an evaluation found into the config.json of the SAE in `folder`, for good and in
    one step; everything else in it stays.

    Raises SAEError when the folder holds no whole SAE or can't be written to.
    """
    saved = _read_config(folder).model_copy(update={"evaluation": dict(evaluation)})
    digest = saved.weights_sha256 or weights_digest(folder)  # format 1 had none
    content = _content(saved.model_copy(update={"weights_sha256": digest}))
    try:
        replace_file(folder / CONFIG, content)
    except OSError as error:
        raise SAEError(
            f"can't write into {folder}: {error.strerror}", "check its permissions, or --no-write"
        ) from None


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """What an evaluation put into the SAE's config.json; None before the first.

    Raises SAEError when the folder holds no whole SAE.
    """
    return _read_config(folder).evaluation


def saved_settings(folder: Path) -> SavedSettings:
    """What config.json of the SAE in `folder` says of its settings, without its weights.

    Raises SAEError when the folder holds no whole SAE; of the weights, the size is compared.
    """
    saved = _read_config(folder)
    _check_whole(folder)
    of = saved.provenance or saved.imported
    hooks, target = ((), None) if of is None else (of.hooks, of.target)
    return SavedSettings(
        saved.config, saved.architecture, saved.features, hooks, target, saved.provenance,
        saved.evaluation,
    )  # fmt: skip


def weights_digest(folder: Path) -> str:
    """sha256 of the weights' file: what tells one SAE from another."""
    return _sha256(folder / WEIGHTS)


def _read_config(folder: Path) -> _Folder:
    if not folder.is_dir():
        raise SAEError(f"{folder} is not a folder", "give the folder that `lmsaes train` wrote")
    file = folder / CONFIG
    if not file.is_file():
        inside = sorted(each.parent.name for each in folder.glob(f"*/{CONFIG}"))
        raise SAEError(
            f"{folder} holds no SAE: config.json is missing",
            f"it may be a run: give one of its SAEs, such as {folder / inside[0]}"
            if inside
            else "training may not be finished; run `lmsaes train` again with the same arguments",
        )
    try:
        content: object = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(file, error) from None
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, CONFIG, str(error)) from None
    head = cast(dict[str, Any], content) if isinstance(content, dict) else {}
    if head.get("format") != "lmsaes-sae":
        raise SAEError(f"{file} was not written by lmsaes", "give a folder that lmsaes train wrote")
    if head.get("format_version") == 1:
        head = _from_format_1(head)
    if head.get("format_version") != FORMAT_VERSION:
        raise SAEError(
            f"{file} has format version {head.get('format_version')}, this lmsaes reads"
            f" {FORMAT_VERSION} and 1",
            "use the lmsaes that wrote it, or a newer one",
        )
    digest = head.get("config_sha256")
    if digest is not None and digest != _digest_of(head):
        raise SAEError(
            f"{file} is damaged: its content has another digest than it says",
            "copy it again or train it again; if you changed it, take config_sha256 out of it",
        )
    try:
        return _Folder.model_validate(head)
    except ValidationError as error:
        raise _damaged(folder, CONFIG, _first(error)) from None


def _content(config: _Folder) -> bytes:
    """config.json, with the digest of what it says."""
    head = json.loads(config.model_dump_json())
    sealed = config.model_copy(update={"config_sha256": _digest_of(head)})
    return (sealed.model_dump_json(indent=2) + "\n").encode()


def _digest_of(head: Mapping[str, Any]) -> str:
    """sha256 of config.json as it is read, but for this digest, whatever its layout."""
    rest = {name: value for name, value in head.items() if name != "config_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _from_format_1(head: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a config.json of format 1 as format 2 has it."""
    architecture = (
        "p_annealing" if head.get("architecture") == "p-anneal" else head.get("architecture")
    )
    config, provenance = _renamed(head.get("config"), RENAMED), head.get("provenance")
    if config.get("clip") is not None:  # None was a gradient of norm 1
        config["gradient"] = "clip"
    return {
        **head,
        "format_version": FORMAT_VERSION,
        "architecture": architecture,
        "weights_sha256": None,
        "config": config | {"architecture": architecture},
        "provenance": provenance and _renamed(provenance, _RENAMED_PROVENANCE),
    }


def _renamed(values: Any, names: Mapping[str, str]) -> dict[str, Any]:
    known = cast(Mapping[str, Any], values) if isinstance(values, Mapping) else {}
    return {names.get(name, name): value for name, value in known.items()}


def _check_whole(folder: Path) -> None:
    """Raises SAEError where the weights' file is missing or was cut off; reads its head alone."""
    file = folder / WEIGHTS
    if not file.is_file():
        raise SAEError(f"{folder} is incomplete: {WEIGHTS} is missing", "train it again")
    try:
        with safe_open(file, "pt"):
            pass
    except OSError as error:
        raise _unreadable(file, error) from None
    except SafetensorError as error:
        raise _damaged(folder, WEIGHTS, str(error)) from None


def _read_weights(folder: Path, digest: str | None) -> dict[str, Tensor]:
    file = folder / WEIGHTS
    _check_whole(folder)
    try:
        if digest is not None and _sha256(file) != digest:
            raise _damaged(folder, WEIGHTS, "its digest is not the one in config.json")
        return load_file(file)
    except OSError as error:
        raise _unreadable(file, error) from None
    except SafetensorError as error:
        raise _damaged(folder, WEIGHTS, str(error)) from None


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _unreadable(file: Path, error: OSError) -> SAEError:
    return SAEError(f"can't read {file}: {error.strerror}", "check the file's permissions")


def _damaged(folder: Path, file: str, why: str) -> SAEError:
    return SAEError(f"{folder}/{file} is damaged: {why}", "copy it again or train it again")


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
