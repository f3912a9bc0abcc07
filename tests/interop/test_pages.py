"""From another library's folder to feature pages: import, cache, analyze, what the API serves."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from lmsaes.cli.app import app
from lmsaes.database import Database
from lmsaes.demo import HELDOUT, MODEL
from lmsaes.sae import SAE
from lmsaes.server.app import create_app
from tests.docs import commands
from tests.support.safetensors_files import read_file

FOLDER = Path(__file__).parent / "golden/saelens/for-the-bundled-model"


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LMSAES_DB", raising=False)
        patch.setenv("LMSAES_DB_FOLDER", str(tmp_path_factory.mktemp("db")))
        with Database() as opened:
            yield opened


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SAE, and beside it a cache of the hook that it reads."""
    folder = tmp_path_factory.mktemp("reader")
    said = run("import", FOLDER, "--model", MODEL, "--out", folder / "their-sae")
    (words,) = commands.next_commands(said)
    assert words[:3] == ["cache", "--model", str(MODEL)]
    for word, value in (("DATASET", str(HELDOUT)), ("caches/their-sae", str(folder / "cache"))):
        words = [value if each == word else each for each in words]
    run(*words, "--tokens", "2k", "--context-size", "32", "--device", "cpu")
    return folder


def test_an_imported_sae_gets_feature_pages(imported: Path, database: Database):
    run("analyze", imported / "their-sae", "--cache", imported / "cache", "--device", "cpu")
    (record,) = database.saes()
    assert (record.features, record.tokens_trained) == (48, None)
    assert record.l0 is not None
    assert 0 < record.l0 <= 4
    assert "lr" not in record.config
    with TestClient(create_app(database=database)) as client:
        (sae,) = client.get("/api/saes").json()
        assert sae["tokens_trained"] is None
        rows = client.get(f"/api/saes/{sae['name']}/features", params={"filter": "all"}).json()
        assert rows["total"] == 48
        index = max(rows["rows"], key=lambda row: row["firings"])["index"]
        contexts, _ = read_file(client.get(f"/api/saes/{sae['name']}/features/{index}/contexts"))
        assert contexts["maximum"][0] > 0


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (["--weights", "processed"], "was trained on processed weights of the model"),
        (["--no-bos"], "was trained on contexts without a beginning-of-text token"),
        (["--model", "gpt2"], "was trained on gpt2"),
    ],
)
def test_a_cache_that_was_made_otherwise_is_refused_with_the_reason(
    made: list[str], said: str, imported: Path, database: Database, tmp_path: Path
):
    words = ["import", FOLDER, "--out", tmp_path / "sae", "--model", MODEL, *made]
    run(*words)
    analyze = ("analyze", tmp_path / "sae", "--cache", imported / "cache", "--device", "cpu")
    output = run(*analyze, code=1)
    assert said in output
    assert "insist with --any-model" in " ".join(output.split())


def test_the_model_may_be_called_as_transformerlens_calls_it(imported: Path):
    from lmsaes.cache import ActivationCache
    from lmsaes.evaluation.origin import check_made_alike

    cache = ActivationCache.open(imported / "cache")
    facts = SAE.load(imported / "their-sae").imported
    assert facts is not None
    for theirs, ours in (
        ("gpt2-small", "openai-community/gpt2"),
        ("Gemma-2-2b", "google/gemma-2-2b"),
    ):
        manifest = cache.manifest
        named = manifest.model.model_copy(update={"name": ours})
        cache.manifest = manifest.model_copy(update={"model": named})
        check_made_alike(facts.model_copy(update={"model": theirs}), Path("sae"), cache)
        cache.manifest = manifest
