"""What a cache would know of its rows beforehand, measured on a running model's first ones.

RUN/live/
  HOOK.json           the hook's width and its rows' statistics, as a cache's manifest has them
  HOOK.safetensors    some of the rows, where an SAE's normalization or first weights need them

They are measured once, on the rows that fill the shuffle buffer first: a run that goes on, or an
SAE of it that is trained again, has the same units.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lmsaes.atomic import replace_file, replacing
from lmsaes.cache import HookRecord, Moments, moments_of
from lmsaes.capture import LiveRows
from lmsaes.errors import ConfigError
from lmsaes.loader import Stopped, StreamLoader
from lmsaes.progress import progress
from lmsaes.sae import SAEConfig
from lmsaes.training.initialization import rows_of_sample, samples_rows

LIVE = "live"
_ROWS_AT_ONCE = 1 << 12


def know_rows(
    live: LiveRows,
    loader: StreamLoader,
    saes: Sequence[SAEConfig],
    run: Path,
    writes: bool,
    shown: bool,
) -> None:
    """Gives the source its hooks' statistics, and a sample where one of the SAEs needs it: as the
    run's folder has them, or measured on the loader's first rows.

    writes: whether what was measured is kept. shown: whether progress is. Raises ConfigError for a
    record that can't be understood.
    """
    sampled = any(samples_rows(sae) for sae in saes)
    if not all(_recorded(live, hook, run, sampled) for hook in loader.hooks):
        fill(loader, shown)
        places = np.linspace(0, loader.buffered_rows - 1, _sample_size(live, loader)).astype(int)
        for hook in loader.hooks:
            live.hooks[hook] = _measured(live.hooks[hook], hook, loader)
            live.samples[hook] = loader.buffered(hook, np.unique(places)).cpu()
            if writes:
                _record(live, hook, run, sampled)


def fill(loader: StreamLoader, shown: bool) -> None:
    """Has the loader's pool filled, with a progress bar. Raises KeyboardInterrupt where the loader
    was asked to stop."""
    with progress("fill the shuffle buffer", loader.rows_to_fill, "tokens", shown=shown) as bar:
        try:
            loader.fill(bar.advance)
        except Stopped:
            raise KeyboardInterrupt from None


def forget_rows(run: Path) -> None:
    """Removes what was recorded of another run's rows."""
    shutil.rmtree(run / LIVE, ignore_errors=True)


def _sample_size(live: LiveRows, loader: StreamLoader) -> int:
    width = sum(live.hooks[hook].d_model for hook in loader.hooks)
    return min(rows_of_sample(width), loader.buffered_rows)


def _measured(record: HookRecord, hook: str, loader: StreamLoader) -> HookRecord:
    found = Moments.zero(record.d_model)
    for first in range(0, loader.buffered_rows, _ROWS_AT_ONCE):
        places = np.arange(first, min(first + _ROWS_AT_ONCE, loader.buffered_rows))
        found += moments_of(loader.buffered(hook, places))
    statistics = found.statistics(0)
    return record.model_copy(update={"statistics": statistics, "valid": statistics})


def _record(live: LiveRows, hook: str, run: Path, sampled: bool) -> None:
    folder = run / LIVE
    folder.mkdir(parents=True, exist_ok=True)
    if sampled:
        with replacing(folder / f"{hook}.safetensors") as temporary:
            save_file({"rows": live.samples[hook].contiguous()}, temporary)
    replace_file(folder / f"{hook}.json", live.hooks[hook].model_dump_json(indent=2).encode())


def _recorded(live: LiveRows, hook: str, run: Path, sampled: bool) -> bool:
    """Whether the run's folder has what is needed, which the source then has too."""
    file = run / LIVE / f"{hook}.json"
    rows = file.with_name(f"{hook}.safetensors")
    if not file.is_file() or (sampled and not rows.is_file()):
        return False
    try:
        live.hooks[hook] = HookRecord.model_validate_json(file.read_bytes())
        if sampled:
            live.samples[hook] = load_file(rows)["rows"]
    except (ValidationError, SafetensorError, OSError, KeyError) as error:
        raise ConfigError(
            f"{file.parent} is damaged: {type(error).__name__} for {hook}",
            "train again with --overwrite",
        ) from None
    return True
