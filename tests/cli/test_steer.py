"""`lmsaes steer` as it is typed."""

import pytest
from typer.testing import CliRunner

from lmsaes import SAE
from lmsaes.cli.app import app
from lmsaes.demo import MODEL
from lmsaes.sae.origin import Imported
from tests.support.made_up_saes import made_up_sae


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An SAE whose feature 7 writes " sea", of the bundled model by its records."""
    from lmsaes import LanguageModel

    lm = LanguageModel.load(str(MODEL), "cpu")
    token = lm.tokenizer.encode(" sea")[0]
    sae = made_up_sae(256, hook="blocks.3.hook_resid_post")
    direction = lm.unembedding()[:, token]
    sae.W_dec[7] = direction / direction.norm()
    sae.imported = Imported(
        format="saelens", source="made up", file_sha256={}, model=str(MODEL),
        hooks=("blocks.3.hook_resid_post",), weights="raw", dtype="float32",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("steer") / "sae"
    sae.save(path)
    assert SAE.load(path).imported == sae.imported
    return str(path)


def run(*words):
    return CliRunner().invoke(app, ["steer", *words], env={"COLUMNS": "160"})


def test_a_grid_of_strengths_stands_beside_the_models_own_completion(folder):
    result = run(folder, "7", "--prompt", "And the", "--add", "0", "--add", "300", "--tokens", "4",
                 "--device", "cpu")  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = {line.split("│")[1].strip(): line.split("│") for line in result.stdout.splitlines()
            if line.startswith("│")}  # fmt: skip
    assert rows["add 0"][2] == rows["none"][2]
    assert float(rows["add 0"][3]) == 0
    assert rows["add 300"][2].strip() == "sea sea sea sea"
    assert "' sea'" in rows["add 300"][4]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no edit was given"),
        (("--add", "1", "--ablate"), "--add and --ablate don't go together"),
        (("--add", "1", "--tokens", "300"), "more than the 256"),
        (("--ablate", "--model", "no/such/model/at-all"), "there is no folder"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(folder, words, message):
    result = run(folder, "7", "--prompt", "And the", "--device", "cpu", *words)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2


def test_a_feature_that_the_sae_has_not_is_told(folder):
    result = run(folder, "48", "--prompt", "x", "--ablate", "--device", "cpu")
    assert result.exit_code == 1
    assert "no feature 48" in result.stderr
