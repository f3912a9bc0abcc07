"""Names that SAEs get in the database, and what makes an analysis current."""

from pathlib import Path

import pytest
import torch

from lmsaes.analysis.identity import made_from, name_saes
from lmsaes.cache import ActivationCache
from lmsaes.database import SAERecord, is_name
from lmsaes.errors import ConfigError
from lmsaes.sae import SAE, TopK, TopKConfig, sae_hash
from tests.support import made_up_analysis as made_up
from tests.support.made_up_cache import made_up_cache


def names(*folders: str, records: dict[str, SAERecord] | None = None) -> list[str]:
    saes = {Path(folder): f"hash of {folder}" for folder in folders}
    named = name_saes(saes, records or {})
    assert list(named) == list(saes)
    return list(named.values())


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/data/runs/topk-32", "runs:topk-32"),
        ("/data/_x/topk", "x:topk"),
        ("/data/.x/topk", "x:topk"),
        ("/data/-x/topk", "x:topk"),
        ("/data/my run/topk 8", "my-run:topk-8"),
        ("/data/Schöne Läufe/topk", "Schone-Laufe:topk"),
        ("/data/наука/topk", "topk"),
        ("/data/наука/тест", "sae"),
        ("/topk", "topk"),
        ("/data/a\udcffb/topk", "ab:topk"),
    ],
)
def test_a_folder_of_any_name_gets_a_usable_one(folder: str, name: str) -> None:
    assert names(folder) == [name]
    assert is_name(name)


def test_long_names_are_cut_and_stay_apart() -> None:
    long = "r" * 130
    one, other = names(f"/data/{long}/a", f"/data/{long}/b")
    assert one != other
    assert all(is_name(name) for name in (one, other))


def test_saes_of_one_name_get_the_folders_above_in_front() -> None:
    assert names("/a/run/topk", "/b/run/topk", "/c/b/run/topk") == [
        "run:topk",
        "b.run:topk",
        "c.b.run:topk",
    ]
    # of which nothing is usable: by its whole path, and always the same
    one, other = names("/наука/тест", "/тест/наука")
    assert one == "sae"
    assert other.startswith("sae-")
    assert names("/наука/тест", "/тест/наука") == [one, other]


def test_an_sae_keeps_the_name_that_it_has() -> None:
    records = {
        "run:topk": made_up.sae("run:topk", sae_path="/a/run/topk", sae_hash="1"),
        "b.run:topk": made_up.sae("b.run:topk", sae_path="/b/run/topk", sae_hash="2"),
    }
    assert names("/b/run/topk", records=records) == ["b.run:topk"]  # trained again
    assert name_saes({Path("/moved/b/run/topk"): "2"}, records) == {
        Path("/moved/b/run/topk"): "b.run:topk"
    }
    assert names("/c/run/topk", "/a/run/topk", records=records) == ["c.run:topk", "run:topk"]
    # two copies of one SAE in one call
    copies = name_saes({Path("/a/run/topk"): "1", Path("/d/run/topk"): "1"}, records)
    assert list(copies.values()) == ["run:topk", "d.run:topk"]


def test_a_chosen_name_may_not_be_another_saes() -> None:
    records = {"mine": made_up.sae("mine", sae_path="/a/run/topk", sae_hash="1")}
    with pytest.raises(ConfigError, match="'mine' is in the database as another SAE's name"):
        name_saes({Path("/b/run/topk"): "2"}, records, "mine")
    assert name_saes({Path("/b/run/topk"): "1"}, records, "mine")
    with pytest.raises(ConfigError, match="can't name an SAE"):
        name_saes({Path("/b/run/topk"): "2"}, records, "not mine")


def test_everything_that_an_analysis_depends_on_makes_another(tmp_path: Path) -> None:
    made_up_cache(tmp_path / "cache", 8, hooks={"a": 4, "b": 4})
    made_up_cache(tmp_path / "longer", 12, hooks={"a": 4, "b": 4})
    cache = ActivationCache(tmp_path / "cache")
    sae = TopK(TopKConfig(features=8, k=2), 4, 4)
    for name, changed in (("one", sae), ("copy", sae)):
        changed.save(tmp_path / name)
    first = sae_hash(tmp_path / "one", SAE.load(tmp_path / "one"))
    assert sae_hash(tmp_path / "copy", SAE.load(tmp_path / "copy")) == first

    wider = TopK(TopKConfig(features=8, k=3), 4, 4)
    wider.load_state_dict(sae.state_dict())  # the same weights, another configuration
    wider.save(tmp_path / "wider")
    with torch.no_grad():
        sae.W_enc[0, 0] += 1
    sae.save(tmp_path / "weights")
    others = [sae_hash(tmp_path / n, SAE.load(tmp_path / n)) for n in ("wider", "weights")]
    assert len({first, *others}) == 3

    manifest = cache.manifest
    model = manifest.model.model_copy(update={"weights_hash": "another"})
    text = manifest.text.model_copy(update={"tokenizer_hash": "another"})
    facts = [
        made_from(first, cache, ["a"], {"top": 40}),
        made_from(others[0], cache, ["a"], {"top": 40}),
        made_from(first, cache, ["b"], {"top": 40}),
        made_from(first, cache, ["a"], {"top": 41}),
        made_from(first, ActivationCache(tmp_path / "longer"), ["a"], {"top": 40}),
    ]
    for changes in ({"model": model}, {"text": text}):
        other = ActivationCache(tmp_path / "cache")
        other.manifest = manifest.model_copy(update=changes)
        facts.append(made_from(first, other, ["a"], {"top": 40}))
    assert len({repr(each) for each in facts}) == len(facts)
    assert made_from(first, ActivationCache(tmp_path / "cache"), ["a"], {"top": 40}) == facts[0]
