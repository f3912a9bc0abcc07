"""Graphs of the database in the layout of circuit-tracer's own viewer."""

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, StrictFloat, StrictInt, StrictStr

from lmsaes import export_sae
from lmsaes.circuits import cantor
from lmsaes.database import Database, EmbeddedServer, GraphGroup, new_explanation
from lmsaes.errors import ConfigError
from tests.support import made_up_analysis as made_up
from tests.support.made_up_graph import IDS, made_up_graph


class _Metadata(BaseModel):
    slug: StrictStr
    scan: StrictStr
    prompt_tokens: list[StrictStr]
    prompt: StrictStr
    node_threshold: StrictFloat


class _QParams(BaseModel):
    pinnedIds: list[StrictStr]
    supernodes: list[list[StrictStr]]
    linkType: StrictStr
    clickedId: StrictStr
    sg_pos: StrictStr


class _Node(BaseModel):
    node_id: StrictStr
    feature: StrictInt
    layer: StrictStr
    ctx_idx: StrictInt
    feature_type: StrictStr
    jsNodeId: StrictStr
    clerp: StrictStr
    influence: StrictFloat | None
    activation: StrictFloat | None


class _Link(BaseModel):
    source: StrictStr
    target: StrictStr
    weight: StrictFloat


class Published(BaseModel):
    """The fields that circuit-tracer's and Neuronpedia's published schemas ask for."""

    metadata: _Metadata
    qParams: _QParams
    nodes: list[_Node]
    links: list[_Link]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedServer(tmp_path_factory.mktemp("db")) as server:
        with Database(server.uri) as database:
            made_up.publish(database)
            record = database.graphs.put("the.piano", made_up_graph())
            group = GraphGroup(name="river words", nodes=("0_3_1", "E_9_1"))
            database.graphs.change_groups(record, [group], 1)
            database.explanations.add("5f3a", new_explanation(3, "rivers", "me"))
        yield server.uri


@pytest.fixture(scope="module")
def folder(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "piano"
    (folder,) = export_sae("the.piano", "circuit-tracer", out, db=uri)
    return folder


def test_the_graph_has_the_published_fields_labels_and_groups(folder: Path):
    found = json.loads((folder / "the-piano.json").read_bytes())
    graph = Published.model_validate(found)
    assert [node.node_id for node in graph.nodes] == IDS
    assert {end for link in graph.links for end in (link.source, link.target)} <= set(IDS)
    assert [node.clerp for node in graph.nodes[:2]] == ["rivers", ""]
    assert graph.qParams.supernodes == [["river words", "0_3_1", "E_9_1"]]
    assert found["metadata"]["proof"]["verification"]["ablations"] == 4
    listed = json.loads((folder / "graph-metadata.json").read_bytes())["graphs"]
    assert [each["slug"] for each in listed] == ["the-piano"]


def test_features_are_found_by_number_and_by_range(folder: Path):
    """As the viewer asks: a scan that begins with ./ is followed by the number; else by ranges."""
    found = json.loads((folder / "the-piano.json").read_bytes())
    assert found["metadata"]["scan"] == "./data/features"
    number = found["nodes"][0]["feature"]
    assert number == cantor(0, 3)
    alone: dict[str, Any] = json.loads((folder / f"features/{number}.json").read_bytes())
    assert (alone["index"], alone["act_max"]) == (3, pytest.approx(made_up.feature(3).maximum))
    assert alone["examples_quantiles"][0]["examples"]
    index = json.loads(gzip.decompress((folder / "features/index.json.gz").read_bytes()))
    assert list(index) == ["0"]  # layer 1's transcoder is not in the database
    offsets = index["0"]["offsets"]
    assert len(offsets) == made_up.FEATURES + 1
    data = (folder / "features" / index["0"]["filename"]).read_bytes()
    part = data[offsets[3] : offsets[4]]
    (length,) = struct.unpack("<I", part[:4])
    assert json.loads(zlib.decompress(part[4 : 4 + length])) == alone
    assert offsets[0] == offsets[3]
    assert offsets[4] == offsets[-1] == len(data)


def test_the_same_again_has_nothing_to_do_and_others_are_left_alone(
    uri: str, folder: Path, tmp_path: Path
):
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    export_sae("the.piano", "circuit-tracer", folder, db=uri)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ConfigError, match="something else"):
        export_sae("the.piano", "circuit-tracer", tmp_path, db=uri)
    with pytest.raises(ConfigError, match="no folder of transcoders and no graph"):
        export_sae("nothing", "circuit-tracer", tmp_path / "out", db=uri)
