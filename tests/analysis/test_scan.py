"""The pass over a made-up cache, with real SAEs."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from lmsaes.analysis import scan as scan_module
from lmsaes.analysis.findings import Depth, Findings, Samples
from lmsaes.analysis.reference_contexts import ReferenceContexts
from lmsaes.analysis.run import resume
from lmsaes.analysis.sampling import context_hashes
from lmsaes.analysis.scan import ScannedSAE, scan
from lmsaes.cache import ActivationCache
from lmsaes.errors import LmsaesError, SAEError
from lmsaes.sae import SAE, ReLUConfig, TopKConfig
from tests.support.made_up_cache import made_up_cache

CONTEXTS, SIZE = 23, 4
CPU = torch.device("cpu")


class Rank:
    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def wait(self) -> None:
        pass


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> ActivationCache:
    return made_up_cache(tmp_path_factory.mktemp("cache"), CONTEXTS, hooks={"a": 6, "b": 3})


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Five contexts to a batch, and two to a product of the wider SAE."""
    monkeypatch.setattr(scan_module, "_ROWS_PER_BATCH", 5 * SIZE)
    monkeypatch.setattr(scan_module, "_VALUES_PER_PRODUCT", 2 * SIZE * 24)


def saes() -> dict[str, SAE]:
    topk = SAE.create(TopKConfig(name="topk", hook="a", k=3, features=24, seed=1), 6)
    relu = SAE.create(ReLUConfig(name="relu", hook="a", target="b", l1=1, features=12), 6, 3)
    with torch.no_grad():
        relu.W_dec.normal_(generator=torch.Generator().manual_seed(0))
    return {"topk": topk, "relu": relu}


def scanned(
    cache: ActivationCache,
    folder: Path,
    names: tuple[str, ...] = ("topk", "relu"),
    part: str = "all",
) -> list[ScannedSAE]:
    samples = Samples(ReferenceContexts(CONTEXTS, SIZE, 9, 0), 5, None)
    found = []
    for name in names:
        sae, target = saes()[name], "b" if name == "relu" else None
        (folder / name).mkdir(exist_ok=True)
        findings = Findings(
            sae.features, SIZE, Depth(top=4, per_interval=3), samples, folder / name, part
        )
        found.append(ScannedSAE(Path(name), sae, ("a",), target, slice(0, sae.features), findings))
    return found


def arrays(each: ScannedSAE) -> dict[str, np.ndarray]:
    findings = each.findings
    findings.finish()
    (pairs,), (before,) = findings.tokens.fires_on.merged(), findings.tokens.before.merged()
    return {
        **findings.statistics.state(),
        "pairs": np.stack([pairs.features, pairs.tokens, pairs.counts]),
        "sums": pairs.sums,
        "before": np.stack([before.features, before.tokens, before.counts]),
        "own": findings.occurrences.own,
        "firing": np.stack(findings.firing.pairs()),
        "rows": np.stack(findings.sampler.firings()),
        "error": np.array([findings.squared_error, findings.rows]),
    }


def same(one: ScannedSAE, other: ScannedSAE) -> bool:
    a, b = arrays(one), arrays(other)
    different = [name for name in a if not np.array_equal(a[name], b[name])]
    assert not different
    return True


@pytest.fixture
def whole(cache, tmp_path):
    (tmp_path / "whole").mkdir()
    found = scanned(cache, tmp_path / "whole")
    scan(found, cache, CPU, lambda _: None)
    return {each.folder.name: each for each in found}


def test_the_pass_counts_what_the_saes_give(cache, whole):
    tokens = cache.tokens(0, CONTEXTS)
    valid = cache.valid_positions(tokens).flatten()
    x = cache.activations("a", 0, CONTEXTS).flatten(0, 1)
    for name, sae in saes().items():
        dense = sae.encode(x, dense=True).detach() * valid[:, None]
        found = whole[name].findings
        found.finish()
        assert found.rows == int(valid.sum())
        assert found.statistics.firings.tolist() == (dense > 0).sum(0).tolist()
        assert found.statistics.maximum == pytest.approx(dense.amax(0).numpy(), rel=1e-6)
        y = cache.activations("b", 0, CONTEXTS).flatten(0, 1) if name == "relu" else x
        error = (y - sae.decode(dense)).detach().square().sum(1)[valid].sum()
        assert found.squared_error == pytest.approx(float(error), rel=1e-5)
        assert found.occurrences.own.tolist() == np.bincount(tokens.flatten()[valid]).tolist()


def test_an_sae_has_the_same_bits_alone_and_beside_another(cache, whole, tmp_path):
    (alone,) = scanned(cache, tmp_path, ("topk",))
    scan([alone], cache, CPU, lambda _: None)
    assert same(alone, whole["topk"])


def test_processes_that_share_the_cache_have_the_bits_of_one(cache, whole, tmp_path):
    parts = []
    for rank in range(2):
        done = []
        part = scanned(cache, tmp_path, part=f"rank-{rank}")
        scan(part, cache, CPU, done.append, Rank(rank, 2))
        parts.append(part)
    for one, two in zip(*parts, strict=True):
        two.findings.save()
        again = scanned(cache, tmp_path, (one.folder.name,), "rank-1")[0]
        assert again.findings.load()
        one.findings.merge(again.findings)
        assert same(one, whole[one.folder.name])


def test_an_interrupted_pass_goes_on_to_the_same_bits(cache, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(scan_module, "_MOST_WORKERS", 1)
    begun = scanned(cache, tmp_path)

    def stop(_: int) -> None:
        if begun[0].findings.next >= 10:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        scan(begun, cache, CPU, stop, checkpoint_every=-1)
    again = scanned(cache, tmp_path)
    assert all(each.findings.load() for each in again)
    assert 0 < again[0].findings.next < CONTEXTS
    done: list[int] = []
    scan(again, cache, CPU, done.append)
    assert sum(done) == cache.rows
    for each in again:
        assert same(each, whole[each.folder.name])


def test_ctrl_c_saves_what_is_done(cache, whole, tmp_path):
    (begun,) = scanned(cache, tmp_path, ("topk",))

    def interrupt(_: int) -> None:
        if begun.findings.next == 10:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        scan([begun], cache, CPU, interrupt)
    (again,) = scanned(cache, tmp_path, ("topk",))
    assert again.findings.load()
    assert again.findings.next == 10
    scan([again], cache, CPU, lambda _: None)
    assert same(again, whole["topk"])


def test_a_checkpoint_that_is_damaged_or_lacks_a_run_is_told_of(cache, tmp_path, caplog):
    (begun,) = scanned(cache, tmp_path, ("topk",))
    assert not begun.findings.load()
    scan([begun], cache, CPU, lambda _: None, checkpoint_every=-1)
    file = tmp_path / "topk" / "all.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:1000])
    (again,) = scanned(cache, tmp_path, ("topk",))
    with pytest.raises(LmsaesError, match=r"all\.safetensors is damaged"):
        again.findings.load()
    for place in (-20, len(content) // 2):  # a bit of what it holds
        flipped = bytearray(content)
        flipped[place] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(LmsaesError, match="its content has another digest"):
            again.findings.load()
        assert again.findings.next == 0
    with caplog.at_level("WARNING", "lmsaes"):
        assert not resume(again.findings, "demo:topk")
    assert "all.safetensors is damaged" in caplog.text
    assert "demo:topk begins again" in caplog.text
    file.write_bytes(content)
    assert again.findings.load()
    run = begun.findings.tokens.before.runs[0]
    counts = bytearray(run.read_bytes())
    counts[-1] ^= 1
    run.write_bytes(counts)
    (other,) = scanned(cache, tmp_path, ("topk",))
    with pytest.raises(LmsaesError, match=f"{run.name} has another digest"):
        other.findings.load()
    run.unlink()
    with pytest.raises(LmsaesError, match="is damaged"):
        other.findings.load()


def test_only_some_contexts_tokens_are_counted_where_there_are_too_many(cache, tmp_path):
    (each,) = scanned(cache, tmp_path, ("topk",))
    reference = each.findings.samples.reference
    limit = int(context_hashes(reference.ids[[3]], 0)[0])
    samples = Samples(reference, 5, limit)
    findings = Findings(24, SIZE, Depth(), samples, tmp_path / "topk")
    scan(
        [ScannedSAE(Path("topk"), each.sae, ("a",), None, slice(0, 24), findings)],
        cache,
        CPU,
        lambda _: None,
    )
    valid = cache.valid_positions(cache.tokens(0, CONTEXTS))[np.sort(reference.ids[:4])]
    assert findings.occurrences.own.sum() == int(valid.sum())
    assert findings.rows > int(valid.sum())


def test_activations_that_are_not_finite_are_refused_by_feature(cache, tmp_path):
    each = scanned(cache, tmp_path, ("relu",))[0]
    with torch.no_grad():
        each.sae.b_enc[7] = torch.inf
    with pytest.raises(SAEError, match="relu has activations that are not finite: feature 7"):
        scan([each], cache, CPU, lambda _: None)
