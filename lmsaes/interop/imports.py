"""An SAE that somebody published becomes an SAE folder of ours.

    place ─► Source ─► reader of its format ─► SAE ─► compared with the source's formula ─► folder

Whose layout it is shows in the files' names, and in the tensors' where it is a single file.
"""

import logging
from pathlib import Path
from typing import Any

from lmsaes.configuration import takes
from lmsaes.errors import ConfigError, SAEError
from lmsaes.interop import (
    circuit_tracer,
    dictionary_learning,
    gemma_scope,
    openmoss,
    renames,
    saelens,
    sparsify,
)
from lmsaes.interop.compare import compare
from lmsaes.interop.config import ImportConfig
from lmsaes.interop.files import only_begun, read_tensors
from lmsaes.interop.hub import open_source
from lmsaes.interop.own import read as read_own
from lmsaes.interop.published import Published, Reader
from lmsaes.interop.source import Source
from lmsaes.sae import SAE

_log = logging.getLogger("lmsaes")

READERS: dict[str, Reader] = {
    "lmsaes": read_own,
    "saelens": saelens.read,
    "gemma-scope": gemma_scope.read,
    "dictionary-learning": dictionary_learning.read,
    "sparsify": sparsify.read,
    "circuit-tracer": circuit_tracer.read,
    "llama-scope": openmoss.read_llama_scope,
    "llamascopium": openmoss.read_llamascopium,
    "openai": renames.read_openai,
    "goodfire": renames.read_relu("goodfire"),
    "qwen-scope": renames.read_qwen,
    "deepseek-r1": renames.read_relu("deepseek-r1"),
}
# By the files of a folder, the first that fits. A folder that opens here as it is comes first.
_BY_FILES: list[tuple[str, tuple[str, ...]]] = [
    ("lmsaes", ("config.json", "weights.safetensors")),
    ("saelens", ("cfg.json", "sae_weights.safetensors")),
    ("sparsify", ("cfg.json", "sae.safetensors")),
    ("gemma-scope", ("params.npz",)),
    ("gemma-scope", ("params.safetensors",)),
    ("dictionary-learning", ("ae.pt",)),
    ("llama-scope", ("hyperparams.json",)),
    ("llamascopium", ("config.json", "sae_weights.safetensors")),
    ("circuit-tracer", ("config.yaml",)),
    ("circuit-tracer", ("layer_0.safetensors",)),
]
# By the tensors of a torch file.
_BY_TENSORS = {
    "pre_bias": "openai",
    "encoder_linear.weight": "goodfire",
    "W_enc": "qwen-scope",
    "decoder.bias": "deepseek-r1",
}


@takes(ImportConfig)
def import_sae(
    source: str | Path, out: str | Path, overwrite: bool = False, **settings: Any
) -> list[Path]:
    """Reads an SAE of another library into an SAE folder of ours: `lmsaes import`.

    Returns the folders written: one, or one for each transcoder of a set. What is there already,
    from the same files with the same settings, is left as it is. Raises SAEError for what is
    missing, damaged or has no class here, ConfigError where a setting is needed that the files
    don't say.

    source: a folder or file, or hf://OWNER/REPO/FOLDER[@REVISION]
    out: the folder of the SAE, or of the SAEs of a set
    overwrite: replace what is in the folder
    """
    config = ImportConfig.of({"source": source, "out": out, **settings})
    place = open_source(config.source)
    format = config.format if config.format != "auto" else _format_of(place)
    _log.info("import: %s from %s → %s", format, place.where, config.out)
    written: list[Path] = []
    for published in READERS[format](place, config):
        folder = Path(config.out) / published.name
        written.append(folder)
        if published.sae.imported is not None:
            imported = published.sae.imported
            imported = imported.model_copy(update={"file_sha256": place.digests()})
            published.sae.imported = imported
        if overwrite or not _is_there(folder, published.sae):
            _finish(published, place, folder)
    return written


def _format_of(source: Source) -> str:
    names = set(source.names())
    if source.file is not None:
        return _format_of_file(source, source.file)
    for format, needed in _BY_FILES:
        if names.issuperset(needed):
            return format
    torch_files = [name for name in names if name.endswith((".pt", ".pth")) and "/" not in name]
    if len(torch_files) == 1:
        return _format_of_file(source, torch_files[0])
    raise ConfigError(
        f"{source.where} is of no layout that is known here",
        "give the folder of one SAE, or say whose it is with --from",
    )


def _format_of_file(source: Source, name: str) -> str:
    if name in gemma_scope.PARAMS:
        return "gemma-scope"
    if name.startswith("layer_") and name.endswith(".safetensors"):
        return "circuit-tracer"
    if name.startswith("ae") and name.endswith(".pt"):
        return "dictionary-learning"
    if name.endswith((".pt", ".pth")):
        tensors = read_tensors(source.path(name))
        for tensor, format in _BY_TENSORS.items():
            if tensor in tensors:
                return format
    raise ConfigError(
        f"{source.where} is of no layout that is known here", "say whose it is with --from"
    )


def _is_there(folder: Path, sae: SAE) -> bool:
    """Whether the folder holds this import. Raises SAEError when it holds something else."""
    if not folder.exists() or (
        folder.is_dir() and only_begun(folder, "config.json", r"weights\.safetensors")
    ):
        return False
    there = SAE.load(folder) if (folder / "config.json").is_file() else None
    if there is None or _identity(there) != _identity(sae):
        raise SAEError(
            f"{folder} is not empty and holds something else",
            "choose another --out, or replace it with --overwrite",
        )
    _log.info("import: %s is there already: nothing to do", folder)
    return True


def _identity(sae: SAE) -> object:
    """What tells one import from another: all that is known before it is compared."""
    if sae.imported is None:
        return sae.provenance
    return sae.imported.model_dump(exclude={"max_relative_difference"})


def _finish(published: Published, source: Source, folder: Path) -> None:
    """Compares with the source's formula, records the difference, and saves."""
    sae, facts = published.sae, published.sae.imported
    if facts is not None and published.formula is not None:
        found = compare(sae, published.formula, source.where)
        sae.imported = facts.model_copy(update={"max_relative_difference": found.relative})
        _log.info(
            "import: %s, %d features of %s%s; against its own formula: %s",
            sae.config.architecture,
            sae.features,
            facts.hooks[0],
            f" → {facts.target}" if facts.target else "",
            found,
        )
    sae.save(folder)
