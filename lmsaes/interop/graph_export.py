"""A graph of the database as a folder that circuit-tracer's own server shows.

    graph-metadata.json     the folder's graphs
    SLUG.json               nodes and links, with labels from the database
    features/               the graph's features, one file each, and index.json.gz with layer_N.bin

circuit-tracer's `local_server.serve(FOLDER)` shows it: a `scan` that begins with "./" is a place
on the page's own server, which gives the folder's files under data/.
"""

import json
from pathlib import Path
from typing import Any

from lmsaes.atomic import replace_file
from lmsaes.circuits import slug_of, write_graph
from lmsaes.database import Database, GraphRecord, analyzed_transcoders, graph_labels
from lmsaes.errors import ConfigError, DatabaseError
from lmsaes.interop import feature_files

_METADATA = "graph-metadata.json"
SCAN = "./data/features"
_SHOWN = ("slug", "scan", "transcoder_list", "prompt_tokens", "prompt", "node_threshold")


def write(database: Database, record: GraphRecord, out: Path) -> None:
    """Writes the graph and its features, those of transcoders that are analyzed.

    Raises ConfigError for features that were left out of an analysis.
    """
    shown = database.graphs.contents(record)
    if shown is None:
        raise DatabaseError(f"graph '{record.name}' was replaced meanwhile", "try it again")
    analyzed = analyzed_transcoders(database, record)
    own = {layer: shown.of_layer(layer).tolist() for layer in analyzed}
    for layer, each in analyzed.items():
        start, stop = each.feature_range
        if any(not start <= index < stop for index in own[layer]):
            raise ConfigError(f"'{each.name}' was analyzed in part", "analyze it whole")
    out.mkdir(parents=True, exist_ok=True)
    if analyzed:
        feature_files.write_layers(database, analyzed, out / "features", own)
    slug = slug_of(record.name)
    labels = {key: each.text for key, each in graph_labels(database, shown, analyzed).items()}
    write_graph(shown, out / f"{slug}.json", labels, scan=SCAN, groups=record.groups)
    written = json.loads((out / f"{slug}.json").read_bytes())["metadata"]
    _list(out / _METADATA, {name: written[name] for name in _SHOWN})


def _list(file: Path, metadata: dict[str, Any]) -> None:
    """Puts the graph into the folder's list, in place of one that is called so."""
    graphs: list[dict[str, Any]] = []
    if file.is_file():
        graphs = json.loads(file.read_bytes())["graphs"]
    graphs = [each for each in graphs if each["slug"] != metadata["slug"]] + [metadata]
    content = json.dumps({"graphs": graphs}, allow_nan=False, ensure_ascii=False)
    replace_file(file, content.encode())
