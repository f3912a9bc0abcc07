"""Features written from the database: Parquet, Neuronpedia's layout, circuit-tracer's files."""

import dataclasses
import gzip
import itertools
import json
import logging
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lmsaes import export_sae
from lmsaes.database import Database, FeatureDetails, FeatureRecord, GroupFacts, SampleRecord
from lmsaes.database.embedded import EmbeddedServer
from lmsaes.errors import ConfigError
from lmsaes.interop import neuronpedia
from tests.support import made_up_analysis as made_up

NAME = "demo:topk"
GOLDEN = Path(__file__).parent / "golden"


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


PYTHON_OF = {"String": str, "Int": int, "Float": (int, float), "Boolean": bool, "Visibility": str}


def test_neuronpedias_tables_take_every_line(uri: str, with_intervals: str, tmp_path: Path):
    """Against the columns of its own schema (golden/make_neuronpedia.py)."""
    known = json.loads((GOLDEN / "neuronpedia/columns.json").read_text())
    (folder,) = export_sae(with_intervals, "neuronpedia", tmp_path, db=uri)
    files = {
        "SourceRelease": "release.jsonl",
        "Model": "model.jsonl",
        "SourceSet": "sourceset.jsonl",
        "Source": "source.jsonl",
        "Neuron": "features/batch-0.jsonl.gz",
        "Activation": "activations/batch-0.jsonl.gz",
    }
    rows = {table: lines(folder / file) for table, file in files.items()}
    for table, columns in known.items():
        assert rows[table]
        required = {name for name, column in columns.items() if column["required"]}
        for line in rows[table]:
            assert line.keys() == rows[table][0].keys()  # the first line's are the file's columns
            assert required <= line.keys() <= columns.keys()
            for name, value in line.items():
                kind, many = PYTHON_OF[columns[name]["type"]], columns[name]["list"]
                for one in value if many else [] if value is None else [value]:
                    assert isinstance(one, kind), (table, name, one)
                assert value is not None or name not in required
    (release,), (model,), (sources,), (source,) = (rows[table] for table in [*known][:4])
    assert sources["releaseName"] == release["name"]
    assert {sources["modelId"], source["modelId"]} == {model["id"]}
    assert source["setName"] == sources["name"]
    neurons = {(row["modelId"], row["layer"], row["index"]) for row in rows["Neuron"]}
    assert {(m, layer) for m, layer, _ in neurons} == {(model["id"], source["id"])}
    shown = {(row["modelId"], row["layer"], row["index"]) for row in rows["Activation"]}
    assert shown <= neurons
    assert "\\u0000" not in json.dumps(rows)


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


BORDERS = (0.0, 1.0, 3.0)  # of two intervals, enough for these features


@pytest.fixture(scope="module")
def with_intervals(uri: str) -> str:
    """The same analysis with samples of two intervals."""
    name = "demo:intervals"

    def found(index: int) -> dict[int, np.ndarray]:
        peaks = made_up.activations(index).max(1).astype(np.float32)
        inside = [(peaks > a) & (peaks <= b) for a, b in itertools.pairwise(BORDERS)]
        return {place: np.flatnonzero(own)[:4] for place, own in enumerate(inside)}

    nothing = {"token": np.empty(0, np.int32), "share_of_firings": np.empty(0, np.float32)}

    def features() -> Iterator[FeatureRecord]:
        for index in range(made_up.FEATURES):
            groups = {
                f"interval-{i}": GroupFacts(len(own), BORDERS[i], BORDERS[i + 1])
                for i, own in found(index).items()
            }
            fires = int((made_up.activations(index).max(1) > 0).sum())
            details = FeatureDetails(fires, None, groups, nothing, {}, {})
            yield dataclasses.replace(made_up.feature(index), details=details)

    def samples() -> Iterator[SampleRecord]:
        yield from made_up.samples()
        for index in range(made_up.FEATURES):
            for place, own in found(index).items():
                if len(own):
                    values = made_up.activations(index)[own]
                    positions = values.argmax(1).astype(np.int32)
                    yield SampleRecord(index, f"interval-{place}", own, positions, values)

    with Database(uri) as database, database.draft(name, made_up.CACHE, {"x": 1}) as draft:
        database.put_vocabulary(made_up.VOCABULARY, made_up.TOKENS)
        database.put_contexts(made_up.CACHE, np.arange(made_up.CONTEXTS), made_up.context_tokens())
        draft.put_features(features())
        draft.put_samples(samples())
        draft.put_columns(made_up.columns())
        groups = ("top", "interval-0", "interval-1")
        draft.publish(made_up.sae(name, analysis=draft.analysis, groups=groups))
    return name


def test_neuronpedia_gets_intervals_by_the_contexts_maximum(
    uri: str, with_intervals: str, tmp_path: Path
):
    (folder,) = export_sae(with_intervals, "neuronpedia", tmp_path, db=uri)
    shown = lines(folder / "activations/batch-0.jsonl.gz")
    assert len({each["id"] for each in shown}) == len(shown)
    bins = {(each["binMin"], each["binMax"]) for each in shown if each["binContains"] >= 0}
    assert bins == {(0.0, 1.0), (1.0, 3.0)}
    for each in shown:
        if each["binContains"] >= 0:
            assert each["binMin"] < each["maxValue"] <= each["binMax"]
    contexts = int((made_up.activations(11).max(1) > 0).sum())
    shares = {
        each["binMin"]: each["binContains"]
        for each in shown
        if each["index"] == "11" and each["binContains"] >= 0
    }
    peaks = made_up.activations(11).max(1)
    for lower, upper in itertools.pairwise(BORDERS):
        inside = min(int(((peaks > lower) & (peaks <= upper)).sum()), 4)
        assert shares.get(lower, 0) == pytest.approx(inside / contexts)


def test_circuit_tracers_files_have_intervals_and_mark_what_is_repeated(
    uri: str, with_intervals: str, tmp_path: Path
):
    export_sae(with_intervals, "circuit-tracer-features", tmp_path, db=uri)
    index = json.loads(gzip.decompress((tmp_path / "features/index.json.gz").read_bytes()))
    start, stop = index["2"]["offsets"][11:13]
    content = (tmp_path / "features/layer_2.bin").read_bytes()[start + 4 : stop]
    quantiles = json.loads(zlib.decompress(content))["examples_quantiles"]
    top, *intervals = quantiles
    assert top["quantile_name"] == "Top activations"
    assert [q["quantile_name"].partition(":")[0] for q in intervals] == [
        "Maximum in (1, 3]",
        "Maximum in (0, 1]",
    ]
    strongest = {str(each["tokens_acts_list"]) for each in top["examples"]}
    for example in intervals[0]["examples"]:
        assert example["is_repeated_datapoint"] is (str(example["tokens_acts_list"]) in strongest)


@pytest.mark.parametrize("to", ["parquet", "neuronpedia", "circuit-tracer-features"])
def test_the_same_export_again_has_nothing_to_do(uri: str, to: str, tmp_path: Path, caplog):
    out = tmp_path / ("x.parquet" if to == "parquet" else "x")
    first = export_sae(NAME, to, out, db=uri)
    files = {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*") if f.is_file()}
    with caplog.at_level(logging.INFO, "lmsaes"):
        assert export_sae(NAME, to, out, db=uri) == first
    assert "is there already: nothing to do" in caplog.text
    assert {f: f.stat().st_mtime_ns for f in files} == files
    with Database(uri) as database:
        made_up.publish(database, f"demo:{to}")
    with pytest.raises(ConfigError, match="holds something else"):
        export_sae(f"demo:{to}", to, out, db=uri)
    assert export_sae(f"demo:{to}", to, out, overwrite=True, db=uri)


def test_an_export_that_was_interrupted_is_written_anew(uri: str, tmp_path: Path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(neuronpedia, "_tables", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export_sae(NAME, "neuronpedia", tmp_path / "x", db=uri)
    (folder,) = export_sae(NAME, "neuronpedia", tmp_path / "x", db=uri)
    assert (folder / "source.jsonl").is_file()


def test_batches_of_a_longer_export_do_not_stay(uri: str, tmp_path: Path):
    (folder,) = export_sae(NAME, "neuronpedia", tmp_path / "x", db=uri)
    (folder / "features/batch-7.jsonl.gz").write_bytes(b"old")
    export_sae(NAME, "neuronpedia", tmp_path / "x", overwrite=True, db=uri)
    assert [f.name for f in (folder / "features").iterdir()] == ["batch-0.jsonl.gz"]
