"""Rows that are not finite count for nothing; SAEs of which something is not finite are refused."""

from pathlib import Path

import pytest
import torch

from lmsaes.analysis.run import _Job, _job, _read_cache, _record  # pyright: ignore[reportPrivateUsage]
from lmsaes.cache import ActivationCache
from lmsaes.errors import SAEError
from lmsaes.progress import progress
from lmsaes.sae import SAE, ReLUConfig
from lmsaes.training import train
from tests.support.holed_cache import finite, holed_cache

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    return holed_cache(tmp_path_factory.mktemp("caches") / "holed")


@pytest.fixture
def folder(cache: ActivationCache, tmp_path: Path) -> Path:
    (result,) = train(
        cache, ReLUConfig(features=12, hook="a"), out=tmp_path / "run", tokens=500, batch_size=64
    )
    return result.path


def read(folder: Path, cache: ActivationCache) -> _Job:
    job = _job(folder, cache, None, 5, CPU, any_model=True)
    with progress("", 1, "", shown=False) as bar:
        _read_cache([job], cache, CPU, bar)
    return job


def test_rows_that_are_not_finite_are_left_out(cache: ActivationCache, folder: Path):
    job = read(folder, cache)
    kept = finite("a")
    kept = kept[kept % cache.context_size != 0]
    rows = cache.activations("a", 0, cache.contexts).flatten(0, 1)[kept]
    sae = SAE.load(folder)
    assert job.statistics.firings.tolist() == (sae.encode(rows, dense=True) > 0).sum(0).tolist()
    assert job.reconstruction.rows == len(rows)
    missed = sae.residual(rows).square().sum() / (rows - rows.mean(0)).square().sum()
    assert _record(job, cache, "vocabulary").fvu == pytest.approx(float(missed), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("W_enc", 1e25, "activations overflow: feature 3"),
        ("b_enc", 3.3e38, "a reconstruction that is not finite"),
    ],
)
def test_an_sae_whose_results_are_not_finite_is_refused_by_name(
    cache: ActivationCache, folder: Path, name: str, value: float, message: str
):
    sae = SAE.load(folder)
    getattr(sae, name)[3] = value
    sae.save(folder)
    with pytest.raises(SAEError, match=message) as error:
        _record(read(folder, cache), cache, "vocabulary")
    assert str(folder) in str(error.value)
