"""A number that was changed in a finished SAE's folder is noticed, by whoever reads it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from lmsaes.errors import SAEError
from lmsaes.sae import SAE, TopKConfig, read_evaluation, saved_settings, write_evaluation
from lmsaes.sae.origin import Metrics, Provenance
from tests.support.fuzz import REMOVED, places, put

METRICS = Metrics(fvu=0.25, l0=5.0, dead_fraction=0.0, rows=64)
PROVENANCE = Provenance(
    hooks=("hook",), cache="cache", cache_identity="0" * 16, model="model", dataset="text",
    context_size=16, tokens=64, steps=4, batch_size=16, shuffle_buffer=1, seed=0, lr=1e-3,
    warmup=1, dead_window=10, metrics=METRICS,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sae = SAE.create(TopKConfig(features=16, k=2, hook="hook"), 8)
    sae.provenance = PROVENANCE
    sae.save(tmp_path)
    write_evaluation(tmp_path, {"fvu": 0.25})
    return tmp_path


def content(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def other(value: Any) -> Any:
    """Another value of the same kind, which a reader would take for a right one."""
    if isinstance(value, bool) or value is None:
        return not value
    return value + 1 if isinstance(value, int | float) else f"{value}x"


def test_every_changed_value_is_noticed_by_every_reader(folder: Path) -> None:
    whole, seen = content(folder), 0
    for place in places(whole):
        value: Any = whole
        for key in place:
            value = value[key]
        if isinstance(value, dict | list) or place in [("config_sha256",), ("format_version",)]:
            continue
        for changed in (other(value), REMOVED):
            (folder / "config.json").write_text(json.dumps(put(whole, place, changed)))
            for read in (SAE.load, saved_settings, read_evaluation):
                with pytest.raises(SAEError) as error:
                    read(folder)
                assert "\n" not in str(error.value)
            with pytest.raises(SAEError):
                write_evaluation(folder, {})  # and it is not sealed again
            seen += 1
    assert seen > 60


def test_a_changed_figure_is_told_with_what_to_do(folder: Path) -> None:
    changed = put(content(folder), ("provenance", "metrics", "fvu"), 0.2)
    (folder / "config.json").write_text(json.dumps(changed))
    with pytest.raises(
        SAEError, match=r"config\.json is damaged: its content has another digest"
    ) as e:
        SAE.load(folder)
    assert e.value.hint is not None
    assert "config_sha256" in e.value.hint
    del changed["config_sha256"]  # who changed it on purpose says so
    (folder / "config.json").write_text(json.dumps(changed))
    assert saved_settings(folder).provenance.metrics.fvu == 0.2  # pyright: ignore
    write_evaluation(folder, {"fvu": math.pi})
    assert content(folder)["config_sha256"]
    assert read_evaluation(folder) == {"fvu": math.pi}


def test_another_layout_of_the_same_content_is_no_change(folder: Path) -> None:
    turned = dict(reversed(content(folder).items()))
    (folder / "config.json").write_text(json.dumps(turned, indent=None))
    assert SAE.load(folder).provenance == PROVENANCE


@pytest.mark.parametrize("part", [0, 0.1, 0.99])
def test_half_a_copy_of_the_weights_is_noticed_without_reading_them(
    folder: Path, part: float
) -> None:
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[: int(part * file.stat().st_size)])
    with pytest.raises(SAEError, match=r"weights\.safetensors is damaged"):
        saved_settings(folder)
    file.unlink()
    with pytest.raises(SAEError, match=r"weights\.safetensors is missing"):
        saved_settings(folder)
