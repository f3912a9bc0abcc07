"""`~` is the home folder wherever a path is given: options, settings in files, and Python."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lmsaes import SAE, ActivationCache
from lmsaes.addresses import expand_home
from lmsaes.analysis import AnalyzeConfig
from lmsaes.cache import locate
from lmsaes.capture import CaptureConfig
from lmsaes.cli.app import app
from lmsaes.configuration import read_config
from lmsaes.errors import ModelError
from lmsaes.model import load_tokenizer
from lmsaes.sae import TopKConfig
from lmsaes.training import TrainConfig
from tests.support.made_up_cache import made_up_cache


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("~/a b", "{home}/a b"),
        ("~", "{home}"),
        ("~nobody-here/a", "~nobody-here/a"),
        ("~column", "~column"),
        ("a/~/b", "a/~/b"),
        ("s3://bucket/~/x", "s3://bucket/~/x"),
    ],
)
def test_a_path_in_the_home_folder_is_the_one_that_it_means(home, given, meant):
    assert expand_home(given) == meant.format(home=home)


def test_every_path_of_a_configuration_may_begin_with_it(home):
    capture = CaptureConfig.of(
        {"model": "~/model", "dataset": ["~/a.jsonl", Path("~/b")], "hooks": "h", "out": "~/c"}
    )
    assert capture.model == f"{home}/model"
    assert capture.dataset == (f"{home}/a.jsonl", f"{home}/b")
    assert capture.out == f"{home}/c"
    training = TrainConfig.of({"cache": Path("~/c"), "out": "~/runs/a"})
    assert (training.cache, training.out) == (f"{home}/c", f"{home}/runs/a")
    analysis = AnalyzeConfig.of({"saes": "~/runs/a", "cache": "~/c", "model": "~/model"})
    assert (analysis.saes, analysis.cache, analysis.model) == (
        (f"{home}/runs/a",), f"{home}/c", f"{home}/model",
    )  # fmt: skip


def test_every_path_in_python_may_begin_with_it(home):
    made_up_cache(home / "c", 4)
    assert ActivationCache.open("~/c").path == home / "c"
    assert locate(Path("~/c")) == home / "c"
    sae = SAE.create(TopKConfig(features=4, k=1), 8, 8)
    sae.save("~/sae")
    assert torch.equal(SAE.load("~/sae").W_enc, sae.W_enc)
    assert (home / "sae").is_dir()
    (home / "model").mkdir()
    with pytest.raises(ModelError, match=f"'{home}/model' holds no model"):
        load_tokenizer("~/model")


def test_commands_take_it_where_no_shell_does(home):
    """`--out=~/x` comes to a command as it is written."""
    made_up_cache(home / "c", 4)
    (home / "tools.toml").write_text('cache = "~/nowhere"\nout = "~/run"\n')
    assert read_config(home / "tools.toml")["out"] == "~/run"
    for words, said in [
        (["tools", "inspect", "~/c"], "4 contexts of"),
        (["tools", "slice", "~/c", "--out=~/cut", "--contexts", ":2"], f"{home}/cut"),
        (["train", "--config=~/tools.toml"], f"{home}/nowhere"),
    ]:
        result = CliRunner().invoke(app, words)
        assert said in result.output
        assert "unforeseen" not in result.output
    assert (home / "cut" / "manifest.json").is_file()
    assert not (home / "~").exists()
