"""Files that others published, read without running anything, and checked before they are used.

JSON and YAML as data, safetensors, npz without pickle, torch files with weights_only. Whatever is
wrong with a file is one SAEError.
"""

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lmsaes.errors import SAEError, first_line

_Settings = TypeVar("_Settings", bound=BaseModel)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    return _read(path, lambda: json.loads(path.read_bytes()))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; tags that would make objects are refused."""
    import yaml

    return _read(path, lambda: yaml.safe_load(path.read_bytes()))


def read_settings(kind: type[_Settings], content: Mapping[str, Any], path: Path) -> _Settings:
    """`content`, read from `path`, as `kind` has it."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise damaged(path, f"{place}: {first['msg']}") from None


def read_tensors(path: Path) -> "Tensors":
    """The tensors of a safetensors, npz or torch file, by what its name ends in."""
    if path.suffix == ".safetensors":
        return Tensors(_caught(path, lambda: load_file(path)), path)
    if path.suffix == ".npz":
        return Tensors(_caught(path, lambda: _arrays(path)), path)
    found = read_torch(path)
    return Tensors({k: v for k, v in found.items() if isinstance(v, Tensor)}, path)


def read_torch(path: Path) -> dict[str, Any]:
    """The dictionary in a torch file: tensors, numbers and texts, never other objects."""
    load: Any = torch.load
    return _read(path, lambda: load(path, map_location="cpu", weights_only=True))


def sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def only_begun(folder: Path, last: str, others: str) -> bool:
    """Whether a folder holds nothing but what a process that was killed may have left in it.

    last: the name of the file that is written last. others: a pattern of the others' names.
    """
    ours = re.compile(rf"(?:{others})(?:\.tmp)?|{re.escape(last)}\.tmp")
    return all(ours.fullmatch(path.name) for path in folder.iterdir())


def damaged(path: Path, why: str) -> SAEError:
    """The error that `path` can't be used."""
    return SAEError(f"{path}: {why}", "download or export it again")


class Tensors:
    """The tensors of a file, taken by name with their shapes checked."""

    def __init__(self, found: Mapping[str, Tensor], path: Path) -> None:
        self.path = path
        self.dtype = "float32"  # of the tensor that was taken last, as it was stored
        self._found = dict(found)

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def names(self) -> list[str]:
        return sorted(self._found)

    def within(self, name: str, content: Mapping[str, Any]) -> "Tensors":
        """Those of a dictionary that lies inside the file under `name`."""
        inside = {k: v for k, v in content.items() if isinstance(v, Tensor)}
        if not inside:
            raise damaged(self.path, f"'{name}' holds no tensors")
        return Tensors(inside, self.path)

    def take(self, name: str, *shape: int | None) -> Tensor:
        """A tensor of this shape (None: any size) as contiguous float32."""
        if name not in self._found:
            raise damaged(self.path, f"'{name}' is missing; it has {', '.join(self.names())}")
        tensor = self._found.pop(name)
        fits = tensor.dim() == len(shape) and all(
            want is None or have == want for have, want in zip(tensor.shape, shape, strict=True)
        )
        if not fits or 0 in tensor.shape:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise damaged(self.path, f"'{name}' is {list(tensor.shape)}, not [{wanted}]")
        if tensor.layout != torch.strided or not tensor.is_floating_point():
            raise damaged(self.path, f"'{name}' is {tensor.dtype}, not a tensor of floats")
        self.dtype = str(tensor.dtype).removeprefix("torch.")
        tensor = tensor.to(torch.float32).contiguous()
        if not bool(tensor.isfinite().all()):
            raise damaged(self.path, f"'{name}' holds NaN or infinite values")
        return tensor

    def number(self, name: str) -> float:
        """The value of a tensor that holds one number."""
        tensor = self._found.pop(name)
        if tensor.numel() != 1 or not bool(tensor.isfinite().all()):
            raise damaged(self.path, f"'{name}' is {list(tensor.shape)}, not one finite number")
        return float(tensor)

    def exponential(self, name: str, size: int) -> Tensor:
        """e to the power of a tensor [size]: of what was saved as a logarithm."""
        found = self.take(name, size).exp()
        if not bool(found.isfinite().all()):
            raise self.refused(name, "it is too large for a logarithm")
        return found

    def whole(self, name: str) -> list[int]:
        """The values of a tensor of whole numbers."""
        tensor = self._found.pop(name, None)
        if tensor is None or tensor.dim() != 1 or tensor.is_floating_point():
            raise self.refused(name, "it is missing or holds no whole numbers")
        return [int(value) for value in tensor.tolist()]

    def refused(self, name: str, why: str) -> SAEError:
        """The error that a tensor can't be used."""
        return damaged(self.path, f"'{name}': {why}")

    def leave(self, *names: str) -> None:
        """Tensors that may be there and aren't needed."""
        for name in names:
            self._found.pop(name, None)

    def finish(self) -> None:
        """Raises SAEError where something was not taken: it might change what the SAE does."""
        if self._found:
            raise damaged(self.path, f"'{self.names()[0]}' is not known here")


def _read(path: Path, read: Callable[[], object]) -> dict[str, Any]:
    found = _caught(path, read)
    if not isinstance(found, dict):
        raise damaged(path, "it holds no names with values")
    return cast(dict[str, Any], found)


def _arrays(path: Path) -> dict[str, Tensor]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not an npz file")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in arrays.files}


_Read = TypeVar("_Read")


def _caught(path: Path, read: Callable[[], _Read]) -> _Read:
    """What `read` gives. A file of unknown origin can raise anything in the library that opens it:
    all of it means that the file can't be used."""
    try:
        return read()
    except OSError as error:
        raise SAEError(f"can't read {path}: {error.strerror or first_line(error)}") from None
    except SafetensorError as error:
        raise damaged(path, f"it is no safetensors file: {first_line(error)}") from None
    except Exception as error:
        raise damaged(path, f"it can't be read safely: {first_line(error)}") from None
