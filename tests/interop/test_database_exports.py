"""Features written from the database: Parquet, Neuronpedia's layout, circuit-tracer's files."""

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmsaes import export_sae
from lmsaes.database import Database
from lmsaes.database.embedded import EmbeddedServer
from lmsaes.errors import ConfigError
from tests.support import made_up_analysis as made_up

NAME = "demo:topk"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database that holds one made-up analysis."""
    with EmbeddedServer(tmp_path_factory.mktemp("db")) as server:
        with Database(server.uri) as database:
            made_up.publish(database, NAME)
        yield server.uri


def lines(file: Path) -> list[dict[str, Any]]:
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


def test_parquet_has_a_row_for_each_feature(uri: str, tmp_path: Path):
    (file,) = export_sae(NAME, "parquet", tmp_path / "features.parquet", db=uri)
    table = pq.read_table(file)
    assert table.num_rows == made_up.FEATURES
    assert json.loads(table.schema.metadata[b"lmsaes"])["name"] == NAME
    row, expected = table.slice(11, 1).to_pylist()[0], made_up.feature(11)
    assert (row["feature"], row["firings"]) == (11, expected.firings)
    assert row["maximum"] == pytest.approx(expected.maximum)
    assert row["histogram"] == expected.histogram.tolist()
    token, weight = expected.promotes[0]
    assert row["promotes"][0] == {"token": made_up.TOKENS[token], "weight": weight}
    dead = table.slice(made_up.DEAD[0], 1).to_pylist()[0]
    assert (dead["firings"], dead["mean"], dead["maximum"]) == (0, None, None)


def test_neuronpedia_gets_features_and_their_activations(uri: str, tmp_path: Path):
    (folder,) = export_sae(NAME, "neuronpedia", tmp_path, db=uri)
    assert folder == tmp_path / "lmsaes-demo" / "2-demo-topk"
    (source,) = lines(folder / "source.jsonl")
    assert (source["id"], source["modelId"]) == ("2-demo-topk", "lmsaes-demo")
    features = lines(folder / "features/batch-0.jsonl.gz")
    assert [each["index"] for each in features] == [str(i) for i in range(made_up.FEATURES)]
    expected = made_up.feature(11)
    assert features[11]["frac_nonzero"] == pytest.approx(expected.density)
    assert features[11]["pos_str"][0] == made_up.TOKENS[expected.promotes[0][0]]
    shown = lines(folder / "activations/batch-0.jsonl.gz")
    of_11 = [each for each in shown if each["index"] == "11"]
    sample = made_up.sample(11)
    assert [int(each["dataIndex"]) for each in of_11] == sample.contexts.tolist()
    first = of_11[0]
    assert len(first["tokens"]) == len(first["values"]) == made_up.CONTEXT_SIZE
    assert first["values"][first["maxValueTokenIndex"]] == first["maxValue"]
    assert first["maxValue"] == pytest.approx(float(sample.activations[0].max()), abs=1e-5)
    assert len({each["id"] for each in shown}) == len(shown)


def test_circuit_tracers_files_are_read_by_ranges(uri: str, tmp_path: Path):
    export_sae(NAME, "circuit-tracer-features", tmp_path, db=uri)
    index = json.loads(gzip.decompress((tmp_path / "features/index.json.gz").read_bytes()))
    (entry,) = index.values()
    offsets = entry["offsets"]
    assert list(index) == ["2"]
    assert len(offsets) == made_up.FEATURES + 1
    with (tmp_path / "features" / entry["filename"]).open("rb") as file:
        file.seek(offsets[11])
        (length,) = struct.unpack("<I", file.read(4))
        feature = json.loads(zlib.decompress(file.read(length)))
        assert file.tell() == offsets[12]
    assert feature["index"] == 11
    (quantile,) = feature["examples_quantiles"]
    example = quantile["examples"][0]
    assert example["tokens_acts_list"][example["train_token_ind"]] == pytest.approx(
        feature["act_max"], rel=1e-3
    )


def test_a_name_that_is_not_there_lists_the_nearest(uri: str, tmp_path: Path):
    with pytest.raises(ConfigError, match="has no SAE 'demo:topc'") as raised:
        export_sae("demo:topc", "parquet", tmp_path / "x.parquet", db=uri)
    assert "demo:topk" in str(raised.value.hint)


def test_nothing_is_written_over(uri: str, tmp_path: Path):
    (tmp_path / "mine.parquet").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        export_sae(NAME, "parquet", tmp_path / "mine.parquet", db=uri)
    assert (tmp_path / "mine.parquet").read_text() == "mine"
