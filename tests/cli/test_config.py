"""`--config`: a file's settings and the command line's, as people write them, and runs repeated."""

import hashlib
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmsaes.capture import CaptureConfig
from lmsaes.cli.app import app
from lmsaes.configuration import read_config, write_config
from lmsaes.demo import HELDOUT, MODEL
from lmsaes.errors import ConfigError
from lmsaes.training import TrainConfig

HOOKS = ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 1, result.output
    lines = result.stderr.strip().splitlines()
    assert lines[0].startswith("error: ")
    assert len(lines) <= 2
    return result.stderr


def digests(folder: Path, pattern: str) -> dict[str, str]:
    files = sorted(folder.glob(pattern))
    assert files
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made with names that mean something in one folder only."""
    folder = tmp_path_factory.mktemp("a place")
    (folder / "texts").mkdir()
    shutil.copy(HELDOUT, folder / "texts")
    (folder / "model").symlink_to(MODEL)
    words = ["cache", "--model", "model", "--dataset", "texts/*", "--out", "cache",
             "--context-size", 32, "--shard-size", "64KiB", "--block-size", "16KiB",
             "--batch-size", 8]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(*words, "--hook", HOOKS[0], "--tokens", "3k")
        run(*words, "--hook", "blocks.[01].hook_resid_post", "--tokens", "5k")  # adds to it
    return folder / "cache"


def test_a_cache_is_made_again_from_the_file_in_its_folder(cache: Path, tmp_path: Path):
    """Whatever was added to it later, and with what the machine and the tokenizer decided."""
    kept = read_config(cache / "capture.toml")
    assert kept["hooks"] == HOOKS
    assert (kept["bos"], kept["batch_size"]) == (True, 8)
    printed = run("cache", "--config", cache / "capture.toml", "--out", tmp_path / "again")
    assert digests(tmp_path / "again", "*/**/shard-*") == digests(cache, "*/**/shard-*")
    following = printed.splitlines()[-1].partition("next: ")[2]
    assert shlex.split(following)[:4] == ["lmsaes", "train", "--cache", str(tmp_path / "again")]


def test_a_next_line_can_be_pasted_whatever_the_folders_are_called(cache: Path):
    printed = run("cache", "--config", cache / "capture.toml", "--out", cache)
    words = shlex.split(printed.splitlines()[-1].partition("next: ")[2])
    assert words[words.index("--cache") + 1] == str(cache)
    assert " " in str(cache)


def test_removing_a_cache_removes_its_configuration(cache: Path, tmp_path: Path):
    run("cache", "--config", cache / "capture.toml", "--out", tmp_path / "c", "--tokens", "64")
    assert "stay" not in run("tools", "rm", tmp_path / "c", "--yes")
    assert not (tmp_path / "c").exists()


def test_a_run_is_repeated_to_the_same_bits_from_the_file_in_its_folder(
    cache: Path, tmp_path: Path
):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cache.parent)
        run("train", "--cache", "cache", "--hook", HOOKS[0], "--out", tmp_path / "one", "--k", 4,
            "--features", 64, "--tokens", "4k", "--batch-size", 256, "--seeds", 2, "--seed", 3,
            "--sae", "aux_weight=0.2", "--sae", "normalize=mean_norm")  # fmt: skip
    run("train", "--config", tmp_path / "one/train.toml", "--out", tmp_path / "two")
    weights = digests(tmp_path / "one", "*/weights.safetensors")
    assert weights == digests(tmp_path / "two", "*/weights.safetensors")
    assert list(weights) == [f"topk-4{copy}/weights.safetensors" for copy in ("", "-seed4")]
    assert len(set(weights.values())) == 2
    (sae,) = read_config(tmp_path / "one/train.toml")["sae"]
    assert (sae["aux_weight"], sae["normalize"], sae["seed"]) == (0.2, "mean_norm", 3)


# ── files as people write them ───────────────────────────────────────────────────────────────────


@pytest.fixture
def write(tmp_path: Path):
    def to_file(content: str | bytes, name: str = "sweep.toml") -> Path:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return to_file


def trained(file: Path) -> TrainConfig:
    return TrainConfig.of({"cache": "c", "out": "o"} | read_config(file))


@pytest.mark.parametrize(
    ("text", "saes"),
    [
        ("tokens = 2e4\n[sae]\nk = 3", ["topk-3"]),
        ("tokens = 2e4\nk = 5", ["topk-5"]),
        ("tokens = '20k'\narchitecture = 'relu'\nl1 = 3", ["relu-3"]),
        ("tokens = 20000\nk = 5\n[[sae]]\n[[sae]]\nk = 6", ["topk-5", "topk-6"]),
        ("tokens = 20_000\nk = 5\n[[sae]]\narchitecture = 'relu'\n[[sae]]", ["relu-2", "topk-5"]),
        ("batch-size = 64\ntokens = 2e4\n[[sae]]\naux-weight = 0.5", ["topk-32"]),
        ("\ufefftokens = 2e4", ["topk-32"]),
        ("tokens = 2e4\nseeds = 2\nk = 5", ["topk-5", "topk-5-seed1"]),
    ],
)
def test_what_is_clear_is_taken(write, text: str, saes: list[str]):
    config = trained(write(text))
    assert config.tokens == 20_000
    assert [sae.name for sae in config.saes] == saes


def test_a_setting_at_the_top_is_every_saes_default_and_a_table_wins(write):
    text = "features = 4096\nseed = 7\n[[sae]]\n[[sae]]\nexpansion = 2\nseed = 1\nname = 'wide'"
    first, second = trained(write(text)).saes
    assert (first.features, first.seed) == (4096, 7)
    assert (second.features, second.expansion, second.seed) == (None, 2, 1)


def test_json_is_a_configuration_too(write):
    assert trained(write('{"k": 4, "tokens": "1M"}', "s.json")).saes[0].name == "topk-4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[sae]]\narchitecture = 'vae'", "architecture is not known: vae"),
        ("[[sae]]\narchitecture = ['topk']", "architecture is not known"),
        ("[[sae]]\nl1 = 3", "topk has no setting 'l1': it is relu's, gated's and p_annealing's"),
        ("l1 = 3", "topk has no setting 'l1': it is relu's, gated's and p_annealing's"),
        ("[[sae]]\nauxweight = 3", "topk has no setting 'auxweight'"),
        ("sea = 1", "train has no setting 'sea'"),
        ("dead_after = 5", "'dead_after' is now called 'dead_window'"),
        ("[[sae]]\ndead_after = 5", "'dead_after' is now called 'dead_window'"),
        ("shuffle_memory = '1GiB'", "'shuffle_memory' is now called 'shuffle_buffer'"),
        ("[[sae]\n", "is not TOML"),
        ("[[sae]]\nfeatures = 8\nexpansion = 2", "sae 1: give features or expansion, not both"),
        ("[[sae]]\nk = -3", "sae 1: k should be greater than 0, not -3"),
        ("sae = 3", "sae is no table"),
        ("tokens = true", "tokens: 'True' is not a count"),
        ("tokens = nan", "tokens: 'nan' is not a count"),
        ("batch_size = 0", "batch_size should be greater than 0, not 0"),
        ("x = " + "[" * 9000 + "]" * 9000, "is nested too deeply"),
        (b"\xff\xfek\x00", "is not UTF-8"),
        (b"\x00", "is not TOML"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_that_names_it(write, text: str | bytes, message: str):
    with pytest.raises(ConfigError) as error:
        trained(write(text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_and_a_folder_are_told(tmp_path: Path, write):
    assert "does not exist" in refused("train", "--config", tmp_path / "no.toml")
    write("k = 3")
    assert f"give {tmp_path / 'sweep.toml'}" in refused("train", "--config", tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cache"], "--model is missing"),
        (["cache", "--model", "m", "--dataset", "d", "--out", "o"], "--hook is missing"),
        (["train", "--out", "o"], "--cache is missing"),
        (["analyze", "run"], "--cache is missing"),
        (["analyze", "--cache", "c"], "no SAE was given"),
        (["analyze", "run", "--cache", "c", "--features", "most"], "'most' is not a range"),
        (["analyze", "run", "--cache", "c", "--top", "0"], "top should be greater than 0"),
        (["train", "--cache", "c", "--out", "o", "--l1", "3"], "topk has no setting 'l1'"),
        (["train", "--cache", "c", "--out", "o", "--sae", "kay=3"], "an SAE has no setting 'kay'"),
        (["train", "--cache", "c", "--out", "o", "--sae", "decay=3"], "now called 'lr_decay"),
        (["train", "--cache", "c", "--out", "o", "--sae", "k"], "--sae k has no value"),
        (["train", "--cache", "c", "--out", "o", "--tokens", "lots"], "'lots' is not a count"),
    ],
)
def test_the_command_line_is_checked_before_anything_is_loaded(words: list[str], message: str):
    assert message in refused(*words)


def test_options_win_over_the_file_and_tables_over_an_sae_option(write, tmp_path: Path):
    """An SAE option is for the tables that leave its setting open; with none it is refused."""
    file = write(f'cache = "{tmp_path}/no"\nout = "o"\ntokens = "1M"\n[[sae]]\nk = 8\n[[sae]]')
    assert "is not an activation cache" in refused("train", "--config", file, "--k", 16)
    complete = write(f'cache = "{tmp_path}/no"\nout = "o"\n[[sae]]\nk = 8', "complete.toml")
    message = refused("train", "--config", complete, "--k", 16)
    assert "k = 16 changes nothing: every sae table gives its own k" in message


def test_a_configuration_that_was_written_reads_back_as_it_is(tmp_path: Path):
    train = TrainConfig.of(
        {"cache": "c", "out": "o", "max_norm": 3, "skip_positions": [1, 2], "seed": 3,
         "sae": [{"architecture": kind} for kind in ("gated", "matryoshka", "jumprelu")]}
    )  # fmt: skip
    capture = CaptureConfig.of(
        {"model": "m", "dataset": ["a", "b"], "hook": "h", "out": "o", "mix": [1, 2], "bos": False}
    )
    for config in (train, capture):
        write_config(tmp_path / "kept.toml", config)
        assert type(config).of(read_config(tmp_path / "kept.toml")) == config
    assert "None" not in (tmp_path / "kept.toml").read_text()


def test_every_setting_of_a_stage_can_be_given_in_a_file_by_its_options_name(write):
    """`hook = "…"` as it is typed, beside the field's `hooks`."""
    text = 'model = "m"\ndataset = "d"\nhook = "h"\nout = "o"\ncontext-size = 64'
    config = CaptureConfig.of(read_config(write(text)))
    assert (config.hooks, config.dataset, config.context_size) == (("h",), ("d",), 64)
