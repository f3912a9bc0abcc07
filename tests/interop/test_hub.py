"""SAEs from the hub and to it, against a stand-in that speaks what the hub's client asks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import constants
from safetensors.torch import load_file

from lmsaes import export_sae, import_sae
from lmsaes.errors import ConfigError, SAEError
from lmsaes.sae import SAE
from tests.interop.made_up import SAES, TOPK_TRANSCODERS, made_up
from tests.interop.test_golden import GOLDEN, assert_gives
from tests.support.hub import SHA, hub_of

GEMMA = "google/gemma-scope-2b-pt-res/layer_1/width_16k/average_l0_71"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the hub's repositories."""
    with hub_of(tmp_path / "hub") as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        yield tmp_path / "hub"


def test_a_folder_of_the_hub_is_imported_with_its_commit(hub: Path, tmp_path: Path):
    shutil.copytree(GOLDEN / "hub", hub)
    (folder,) = import_sae(f"hf://{GEMMA}", tmp_path / "sae")
    sae = SAE.load(folder)
    assert_gives(sae, load_file(GOLDEN / "hub" / GEMMA / "expected.safetensors"))
    facts = sae.imported
    assert facts is not None
    assert (facts.source, facts.revision) == (f"hf://{GEMMA}", SHA)
    assert (facts.model, *facts.hooks) == ("google/gemma-2-2b", "blocks.1.hook_resid_post")
    assert list(facts.file_sha256) == ["params.npz"]


def test_a_file_of_the_hub_is_imported_and_nothing_else_downloaded(hub: Path, tmp_path: Path):
    shutil.copytree(GOLDEN / "hub", hub)
    place = "Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_5/layer1.sae.pt"
    (folder,) = import_sae(f"hf://{place}@main", tmp_path / "sae")
    assert SAE.load(folder).config.hook == "blocks.1.hook_resid_post"
    downloaded = [p.name for p in (tmp_path / "hub-cache").glob("*/snapshots/*/*")]
    assert downloaded == ["layer1.sae.pt"]


def test_without_the_network_the_hubs_own_cache_is_used(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(GOLDEN / "hub", hub)
    (first,) = import_sae(f"hf://{GEMMA}", tmp_path / "sae")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (again,) = import_sae(f"hf://{GEMMA}", tmp_path / "again")
    assert SAE.load(again).imported == SAE.load(first).imported


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("hf://nobody/nothing/here", "hf://nobody/nothing/here can't be read"),
        ("hf://google/gemma-scope-2b-pt-res/layer_9", "layer_9 does not exist"),
    ],
)
def test_what_the_hub_does_not_have_is_said_in_one_line(
    place: str, said: str, hub: Path, tmp_path: Path
):
    shutil.copytree(GOLDEN / "hub", hub)
    with pytest.raises(SAEError, match=said) as raised:
        import_sae(place, tmp_path / "sae")
    assert "\n" not in str(raised.value)


def test_a_name_that_is_none_of_the_hubs_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="is not hf://OWNER/REPO"):
        import_sae("hf://only-one", tmp_path / "sae")
    made_up(SAES["topk"]).save(tmp_path / "topk")
    with pytest.raises(ConfigError, match="is no repository of the hub"):
        export_sae(tmp_path / "topk", "hub", tmp_path / "a-folder")


def test_what_is_pushed_opens_here_and_in_saelens(hub: Path, tmp_path: Path):
    for name in ("topk", "batchtopk"):
        made_up(SAES[name]).save(tmp_path / "run" / name)
    export_sae(tmp_path / "run", "hub", "somebody/saes", license="mit")
    x = torch.randn(20, 16)
    for name in ("topk", "batchtopk"):
        ours = SAE.load(tmp_path / "run" / name)
        (whole,) = import_sae(f"hf://somebody/saes/{name}", tmp_path / "whole" / name)
        assert torch.equal(SAE.load(whole)(x), ours(x))
        assert SAE.load(whole).config == ours.config
        (theirs,) = import_sae(
            f"hf://somebody/saes/{name}", tmp_path / "theirs" / name, format="saelens"
        )
        torch.testing.assert_close(SAE.load(theirs)(x), ours(x))
    card = (hub / "somebody/saes/README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert (head["library_name"], head["license"]) == ("saelens", "mit")
    assert "| topk | topk | blocks.1.hook_resid_post | 16 | 64 | 3.5 | 0.2500 |" in card
    assert 'SAE.from_pretrained("somebody/saes", "batchtopk")' in card


def test_nothing_of_this_machine_is_pushed(hub: Path, tmp_path: Path):
    made_up(SAES["topk"]).save(tmp_path / "topk")
    export_sae(tmp_path / "topk", "hub", "somebody/saes")
    for file in (hub / "somebody/saes").rglob("*"):
        if file.is_file():
            assert b"/home/somebody" not in file.read_bytes()
            assert str(tmp_path).encode() not in file.read_bytes()


def test_a_card_that_is_there_is_kept(hub: Path, tmp_path: Path):
    made_up(SAES["topk"]).save(tmp_path / "topk")
    (hub / "somebody/saes").mkdir(parents=True)
    (hub / "somebody/saes/README.md").write_text("mine")
    export_sae(tmp_path / "topk", "hub", "somebody/saes")
    assert (hub / "somebody/saes/README.md").read_text() == "mine"
    assert (hub / "somebody/saes/topk/cfg.json").is_file()


def test_what_saelens_has_no_class_for_is_pushed_for_lmsaes_alone(hub: Path, tmp_path: Path):
    made_up(TOPK_TRANSCODERS["topk-transcoder"]).save(tmp_path / "tc")
    export_sae(tmp_path / "tc", "hub", "somebody/transcoders")
    files = sorted(p.name for p in (hub / "somebody/transcoders/tc").iterdir())
    assert files == ["config.json", "weights.safetensors"]
    assert "sae_lens" not in (hub / "somebody/transcoders/README.md").read_text()
