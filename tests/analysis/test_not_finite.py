"""Rows that are not finite count for nothing; SAEs of which something is not finite are refused."""

from pathlib import Path

import pytest
import torch

from lmsaes.analysis import AnalyzeConfig
from lmsaes.analysis.findings import Depth, Findings
from lmsaes.analysis.jobs import Job, new_job
from lmsaes.analysis.run import pass_samples
from lmsaes.analysis.scan import ScannedSAE, scan
from lmsaes.analysis.store import measured
from lmsaes.cache import ActivationCache
from lmsaes.errors import SAEError
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


def read(folder: Path, cache: ActivationCache, scratch: Path) -> tuple[Job, Findings]:
    config = AnalyzeConfig.of({"saes": str(folder), "cache": str(cache.path), "any_model": True})
    job = new_job(folder, cache, config, CPU)
    findings = Findings(
        job.count, cache.context_size, Depth(), pass_samples(cache, config), scratch
    )
    scan(
        [ScannedSAE(folder, job.sae, job.hooks, job.target, job.features, findings)],
        cache,
        CPU,
        lambda _: None,
    )
    return job, findings


def test_rows_that_are_not_finite_are_left_out(
    cache: ActivationCache, folder: Path, tmp_path: Path
):
    job, findings = read(folder, cache, tmp_path)
    kept = finite("a")
    kept = kept[kept % cache.context_size != 0]
    rows = cache.activations("a", 0, cache.contexts).flatten(0, 1)[kept]
    sae = SAE.load(folder)
    fires = sae.encode(rows, dense=True) > 0
    assert findings.statistics.firings.tolist() == fires.sum(0).tolist()
    assert findings.rows == len(rows)
    assert findings.occurrences.own.sum() == len(rows)
    missed = sae.residual(rows).square().sum() / (rows - rows.mean(0)).square().sum()
    assert measured(job, findings, cache)[0] == pytest.approx(float(missed), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("W_enc", 1e25, "activations overflow: feature 3"),
        ("b_enc", 3.3e38, "a reconstruction that is not finite"),
    ],
)
def test_an_sae_whose_results_are_not_finite_is_refused_by_name(
    cache: ActivationCache, folder: Path, name: str, value: float, message: str, tmp_path: Path
):
    sae = SAE.load(folder)
    getattr(sae, name)[3] = value
    sae.save(folder)
    with pytest.raises(SAEError, match=message) as error:
        read(folder, cache, tmp_path)
    assert str(folder) in str(error.value)
