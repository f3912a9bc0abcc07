"""SAEs pushed to the Hugging Face hub: folders that open here and in SAELens, and a model card.

repository/
  README.md                 the card, where there is none yet
  topk-32/
    config.json  weights.safetensors       ours
    cfg.json  sae_weights.safetensors      SAELens', where it has a class for the SAE
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import yaml

from lmsaes.atomic import replace_file
from lmsaes.errors import ConfigError, SAEError, first_line
from lmsaes.interop import saelens_export
from lmsaes.interop.config import ExportConfig
from lmsaes.interop.saelens_export import public_name
from lmsaes.sae import SAE, Provenance, weights_digest

_log = logging.getLogger("lmsaes")
_FILES = ["*/config.json", "*/weights.safetensors", "*/cfg.json", "*/sae_weights.safetensors"]


def push(folders: list[Path], config: ExportConfig) -> None:
    """Uploads the SAEs to the repository that `config.out` names, in one commit.

    Raises ConfigError when it is no repository's name, SAEError when the hub refuses.
    """
    repo = config.out
    if repo.count("/") != 1 or repo.startswith((".", "/", "~")) or not all(repo.split("/")):
        raise ConfigError(f"'{repo}' is no repository of the hub", "give --out OWNER/REPO")
    with tempfile.TemporaryDirectory(prefix="lmsaes-") as temporary:
        staged = Path(temporary)
        stage(folders, staged, repo, config.license)
        _upload(staged, repo, config.private)
    names = ", ".join(folder.name for folder in folders)
    _log.info("export: %s pushed to https://huggingface.co/%s", names, repo)


def stage(folders: list[Path], out: Path, repo: str, license: str | None) -> None:
    """Everything that is uploaded, in the layout above."""
    saes: dict[str, SAE] = {}
    for folder in folders:
        sae = _without_paths(SAE.load(folder))
        saes[folder.name] = sae
        sae.save(out / folder.name)
        try:
            saelens_export.check(sae, folder.name)
        except SAEError as error:
            _log.warning("export: %s opens here, but not in SAELens: %s", folder.name, error)
        else:
            saelens_export.write(sae, out / folder.name, weights_digest(folder))
    replace_file(out / "README.md", model_card(repo, saes, out, license).encode())


def model_card(repo: str, saes: dict[str, SAE], staged: Path, license: str | None) -> str:
    """README.md: what the SAEs are of, their numbers, and how to load them."""
    origins = [origin for sae in saes.values() if (origin := sae.provenance or sae.imported)]
    models = sorted({o.model for o in origins if o.model and "/" in o.model})
    datasets = sorted({o.dataset for o in origins if isinstance(o, Provenance)})
    head: dict[str, Any] = {
        "library_name": "saelens",
        "tags": ["sparse-autoencoder", "saelens", "lmsaes", "mechanistic-interpretability"],
    }
    if models:
        head["base_model"] = models
    if names := [name for name in datasets if "/" in name]:
        head["datasets"] = names
    if license is not None:
        head["license"] = license
    opens = [name for name in saes if (staged / name / "cfg.json").is_file()]
    lines = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n",
        f"# {repo.partition('/')[2]}\n",
        "Sparse autoencoders trained with lmsaes.\n",
        "| SAE | architecture | hook | d_in | features | L0 | FVU | trained on |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
        *(_line(name, sae) for name, sae in saes.items()),
        "\nWith lmsaes:\n",
        f"```\nlmsaes import hf://{repo}/{next(iter(saes))} --out {next(iter(saes))}\n```",
    ]
    if opens:
        lines += [
            "\nWith SAELens:\n",
            "```python\nfrom sae_lens import SAE\n",
            f'sae = SAE.from_pretrained("{repo}", "{opens[0]}")\n```',
        ]
    return "\n".join(lines) + "\n"


def _line(name: str, sae: SAE) -> str:
    origin = sae.provenance
    hooks = ", ".join(sae.config.inputs) + (f" → {sae.config.target}" if sae.config.target else "")
    l0 = _figure(origin.metrics.l0, ".1f") if origin else ""
    fvu = _figure(origin.metrics.fvu, ".4f") if origin else ""
    text = f"{origin.tokens:,} tokens of {origin.dataset}" if origin else ""
    kind = sae.config.architecture
    return f"| {name} | {kind} | {hooks} | {sae.d_in} | {sae.features} | {l0} | {fvu} | {text} |"


def _without_paths(sae: SAE) -> SAE:
    """Its record without the folders of this machine."""
    if sae.provenance is not None:
        names = ("cache", "model", "dataset")
        named = {name: getattr(sae.provenance, name) for name in names}
        public = {name: public_name(value) for name, value in named.items() if value is not None}
        sae.provenance = sae.provenance.model_copy(update=public)
    if sae.imported is not None:
        facts = sae.imported
        source = facts.source if facts.source.startswith("hf://") else public_name(facts.source)
        sae.imported = facts.model_copy(
            update={"source": source, "model": public_name(facts.model)}
        )
    return sae


def _upload(staged: Path, repo: str, private: bool) -> None:
    from huggingface_hub import HfApi

    api: Any = HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        card = [] if api.file_exists(repo, "README.md") else ["README.md"]
        api.upload_folder(
            repo_id=repo,
            folder_path=staged,
            allow_patterns=[*_FILES, *card],
            commit_message="SAEs by lmsaes",
        )
    except Exception as error:  # its client has no common class for what can go wrong on the way
        raise SAEError(
            f"can't push to {repo}: {first_line(error)}",
            "log in with `hf auth login`, or set HF_TOKEN, and check the name",
        ) from None


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
