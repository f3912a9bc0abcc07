"""Pruning: a copy of an SAE without its dead, weak and short features.

    cache ─► firings and largest activation of each feature ─► which stay ─► OUT, evaluated again

OUT/
  pruned.json           why each feature went, and where the others are now; at the end also how the
                        SAE did before
  config.json, weights.safetensors    as of any SAE
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmsaes.atomic import check_writable, replace_file, temporary_name
from lmsaes.cache import ActivationCache
from lmsaes.configuration import takes
from lmsaes.errors import ConfigError, SAEError
from lmsaes.evaluation import Evaluation, Evaluations, check_fit, evaluate
from lmsaes.loader import ShuffledLoader
from lmsaes.parallel import resolve_device
from lmsaes.progress import progress
from lmsaes.sae import (
    ARCHITECTURES,
    SAE,
    Matryoshka,
    SAEConfig,
    TopKFamilyConfig,
    read_evaluation,
    row_norms,
    weights_digest,
    write_evaluation,
)
from lmsaes.training.prune_config import PruneConfig

MAP_FILE = "pruned.json"

_log = logging.getLogger("lmsaes")
_ROWS_AT_ONCE = 4096
_OF_NO_FEATURE = ("b_dec", "W_skip", "input_bias")


@dataclass(frozen=True)
class Pruned:
    """A pruned SAE: which features went, and how it does beside the SAE it came from."""

    path: Path
    features: int  # before
    kept: list[int]  # old index by new index, ascending
    removed: dict[str, list[int]]  # old indices by reason: dead, weak, short; each once
    evaluations: Evaluations  # of the SAE and of the pruned one


@takes(PruneConfig)
def prune(
    sae: str | Path,
    cache: ActivationCache | str | Path,
    out: str | Path,
    overwrite: bool = False,
    **settings: Any,
) -> Pruned:
    """Writes a copy of an SAE without the features that don't count: `lmsaes prune`.

    The settings are those of `PruneConfig`, listed below. Raises SAEError or ConfigError for an SAE
    that doesn't fit the cache, where no feature (or fewer than k) would be left, and for a folder
    that holds something else. What was cut off is begun again, what is finished is returned.

    sae: folder of the SAE
    cache: an opened cache, its folder or URL
    out: folder of the pruned SAE
    overwrite: replace the SAE that is there
    """
    if not isinstance(cache, ActivationCache):
        cache = ActivationCache.open(cache)
    config = PruneConfig.of({"sae": sae, "cache": str(cache.path), "out": out, **settings})
    folder, target = Path(config.sae), Path(config.out)
    if target.resolve() == folder.resolve():
        raise ConfigError(f"{folder} would replace itself", "give another --out")
    if not overwrite and (finished := _finished(config)) is not None:
        _log.info("prune: %s is finished: nothing to do", target)
        return finished
    check_writable(target)
    whole = SAE.load(folder, resolve_device(config.device))
    firings, largest, rows = _measured(folder, whole, cache, config)
    removed = _removed(whole, firings.double() / rows, largest, config)
    gone = torch.zeros(whole.features, dtype=torch.bool)
    gone[[index for indices in removed.values() for index in indices]] = True
    kept = (~gone).nonzero().squeeze(1)
    record = _write(config, whole, kept, removed, rows)
    found = evaluate(
        [folder, target], cache, model=config.model, device=config.device, write=False,
        any_model=config.any_model,
    )  # fmt: skip
    write_evaluation(target, found[1].model_dump(mode="json"))
    _write_map(target, {**record, "before": found[0].model_dump(mode="json")})
    return Pruned(target, whole.features, kept.tolist(), removed, found)


def _finished(config: PruneConfig) -> Pruned | None:
    """What the same command has done; None where it is still to be done, or was cut off.

    Raises ConfigError where there is something else.
    """
    target = Path(config.out)
    names = {path.name for path in target.iterdir()} if target.is_dir() else set[str]()
    if not target.exists() or names <= {temporary_name(MAP_FILE)}:
        return None
    try:
        record = json.loads((target / MAP_FILE).read_bytes())
        same = record["settings"] == _settings(config)
        same &= record["source_weights_sha256"] == weights_digest(Path(config.sae))
        if not same:
            raise ConfigError(f"{target} is there already", "give another --out, or --overwrite")
        if "before" not in record:
            return None
        kept = [old for old, new in enumerate(record["new_index"]) if new is not None]
        both = [record["before"], read_evaluation(target)]
        found = Evaluations([Evaluation.model_validate(each) for each in both], [])
        return Pruned(target, len(record["new_index"]), kept, record["removed"], found)
    except (OSError, ValueError, KeyError, TypeError, SAEError):
        raise ConfigError(
            f"{target} is there already", "give another --out, or --overwrite"
        ) from None


def without(sae: SAE, kept: Tensor) -> SAE:
    """A copy of the SAE with the features `kept` int64 [n], ascending, alone.

    Raises ConfigError where an SAE of so few features can't be.
    """
    ids = kept.to(sae.W_enc.device)
    new = ARCHITECTURES[sae.config.architecture](_config(sae, kept), sae.d_in, sae.d_out)
    state = {
        name: value if value.dim() == 0 or name in _OF_NO_FEATURE else value[ids]
        for name, value in sae.state_dict().items()
    }
    if sae.input_bias is not None:
        new.input_bias = torch.zeros_like(sae.input_bias)
    new.to(sae.W_enc.device).load_state_dict(state)
    new.provenance, new.imported = sae.provenance, sae.imported
    return new.requires_grad_(False)


def _config(sae: SAE, kept: Tensor) -> SAEConfig:
    config, features = sae.config, kept.shape[0]
    least = config.k if isinstance(config, TopKFamilyConfig) else 1
    if features < least:
        raise ConfigError(
            f"{features} features would be left, fewer than {least}",
            "lower --min-density, --min-activation or --min-norm",
        )
    changed: dict[str, Any] = {"features": features, "expansion": None, "k_start": None}
    changed["k_anneal"] = None
    if isinstance(sae, Matryoshka):
        ends = torch.tensor([0, *sae.ends])
        sizes = torch.searchsorted(kept, ends).diff()
        changed["prefixes"] = tuple((sizes[sizes > 0].double() / features).tolist())
    known = set(type(config).model_fields)
    given = config.model_dump(exclude_unset=sae.imported is not None)
    return type(config).model_validate(
        given | {name: value for name, value in changed.items() if name in known}
    )


def _measured(
    folder: Path, sae: SAE, cache: ActivationCache, config: PruneConfig
) -> tuple[Tensor, Tensor, int]:
    """Firings and largest activation by feature, both [features], and the rows measured."""
    hooks, _ = check_fit(folder, sae, cache, config.any_model)
    firings = torch.zeros(sae.features, dtype=torch.int64, device=sae.W_enc.device)
    largest = torch.zeros(sae.features, device=sae.W_enc.device)
    rows = 0
    with (
        ShuffledLoader(
            cache, list(hooks), _ROWS_AT_ONCE, seed=config.seed, device=sae.W_enc.device,
            drop_special=True, drop_not_finite=True,
        ) as loader,
        torch.no_grad(),
    ):  # fmt: skip
        if loader.rows == 0:
            raise ConfigError(f"no row of {cache.path} is valid", "prune on another cache")
        total = min(config.tokens, loader.rows)
        with progress("measuring", total, "rows") as bar:
            for batch in loader:
                parts = batch if isinstance(batch, dict) else {loader.hooks[0]: batch}
                x = torch.cat([parts[hook] for hook in hooks], 1)[: total - rows]
                fired = sae.encode(x)
                fired = fired.where(fired.values > 0)
                firings += torch.bincount(fired.indices, minlength=sae.features)
                largest.scatter_reduce_(0, fired.indices, fired.values.float(), "amax")
                rows += x.shape[0]
                bar.advance(x.shape[0])
                if rows >= total:
                    break
    return firings.cpu(), largest.cpu(), rows


def _removed(
    sae: SAE, density: Tensor, largest: Tensor, config: PruneConfig
) -> dict[str, list[int]]:
    """Indices by the first reason that holds."""
    norms = row_norms(sae.W_dec.detach()).cpu()
    reasons = {
        "dead": density <= config.min_density,
        "weak": largest < (config.min_activation or 0.0),
        "short": norms < (config.min_norm or 0.0),
    }
    found: dict[str, list[int]] = {}
    left = torch.ones_like(density, dtype=torch.bool)
    for reason, holds in reasons.items():
        found[reason] = (holds & left).nonzero().squeeze(1).tolist()
        left &= ~holds
    return found


def _write(
    config: PruneConfig, sae: SAE, kept: Tensor, removed: dict[str, list[int]], rows: int
) -> dict[str, Any]:
    pruned, out = without(sae, kept), Path(config.out)
    new_index: list[int | None] = [None] * sae.features
    for new, old in enumerate(kept.tolist()):
        new_index[old] = new
    record = {
        "source": config.sae,
        "source_weights_sha256": weights_digest(Path(config.sae)),
        "rows": rows,
        "settings": _settings(config),
        "removed": removed,
        "new_index": new_index,  # by old index; null where it went
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").unlink(missing_ok=True)  # of what it replaces
    _write_map(out, record)
    pruned.save(out)
    return record


def _write_map(out: Path, record: dict[str, Any]) -> None:
    replace_file(out / MAP_FILE, (json.dumps(record, allow_nan=False) + "\n").encode())


def _settings(config: PruneConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude_none=True)
