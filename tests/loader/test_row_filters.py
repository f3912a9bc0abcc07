"""Rows that are not finite are left out, for the price of a look at the manifest."""

from pathlib import Path

import pytest
import torch

from lmsaes.cache import ActivationCache
from lmsaes.loader import ShuffledLoader
from lmsaes.loader.row_filters import RowFilters, RowMask
from tests.support.holed_cache import D, finite, holed_cache
from tests.support.made_up_cache import made_up_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    return holed_cache(tmp_path_factory.mktemp("caches") / "holed")


@pytest.mark.parametrize(("hooks", "left_out"), [("a", 3), ("b", 2), ("ab", 4)])
def test_rows_that_the_statistics_leave_out_are_left_out(
    cache: ActivationCache, hooks: str, left_out: int
):
    settings = {"memory": "1MiB", "batch_size": 50, "return_rows": True, "drop_not_finite": True}
    with ShuffledLoader(cache, list(hooks), **settings) as loader:  # pyright: ignore[reportArgumentType]
        batches = list(loader)
        assert loader.rows_not_finite == left_out
        assert loader.rows == cache.rows - left_out
    rows = torch.cat([rows for _, rows in batches]).sort().values
    assert torch.equal(rows, finite(hooks))
    for values, _ in batches:
        for each in values.values() if isinstance(values, dict) else [values]:
            assert each.isfinite().all()
    if len(hooks) == 1:
        assert left_out == cache.hooks[hooks].statistics.left_out  # pyright: ignore[reportOptionalMemberAccess]


def test_only_rows_that_would_have_come_count_as_left_out(cache: ActivationCache):
    mask = RowMask(cache, ["a"], RowFilters(special=True, not_finite=True))
    assert mask.not_finite == 2  # the third is a first position
    mask = RowMask(cache, ["a", "b"], RowFilters(max_norm=1.5, not_finite=True))
    assert mask.not_finite == 4
    kept = [mask.first_rows[block] + mask.inside(block) for block in range(len(mask.blocks))]
    rows = cache.activations("a", 0, cache.contexts).flatten(0, 1)
    other = cache.activations("b", 0, cache.contexts).flatten(0, 1)
    expected = rows.isfinite().all(1) & other.isfinite().all(1)
    for hook, values in (("a", rows), ("b", other)):
        limit = 1.5 * cache.hooks[hook].statistics.mean_norm  # pyright: ignore[reportOptionalMemberAccess]
        expected &= values.norm(dim=1) <= limit
    assert [int(row) for part in kept for row in part] == expected.nonzero().squeeze(1).tolist()


def test_only_shards_with_such_rows_are_read(
    cache: ActivationCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read: list[int] = []
    activations = ActivationCache.activations

    def noting(self: ActivationCache, hook: str, start: int, stop: int) -> torch.Tensor:
        read.append(start)
        return activations(self, hook, start, stop)

    sound = made_up_cache(tmp_path / "sound", 32, hooks={"a": D}, context_size=8)
    monkeypatch.setattr(ActivationCache, "activations", noting)
    assert RowMask(sound, ["a"], RowFilters(not_finite=True)).not_finite == 0
    assert read == []
    RowMask(cache, ["a"], RowFilters(not_finite=True))
    assert sorted(read) == [8, 10, 12, 14, 24, 26, 28, 30]
