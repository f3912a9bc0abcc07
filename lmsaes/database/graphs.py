"""Attribution graphs in the database.

graphs        one document for each graph, under its name: its record
graph_<id>    its tables: `nodes`, and `edges/0`, `edges/1`, … in pieces of bounded size

As of an analysis, nobody sees a graph before one write publishes it whole; the tables of one that
was replaced or removed are dropped. Who writes under a name holds a lease on it.
"""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import ValidationError
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from lmsaes.database.connection import Connection
from lmsaes.database.details import Table, pack_table, unpack_table
from lmsaes.database.garbage import GRAPHS, collect_garbage
from lmsaes.database.graph_records import (
    GraphGroup,
    GraphRecord,
    ShownGraph,
    wrong_groups,
)
from lmsaes.database.leases import Leases
from lmsaes.database.lists import ChangedError
from lmsaes.database.records import SCHEMA_VERSION, Document, check_name, new_analysis_id
from lmsaes.database.saes import UnreadableError, UnreadableRecord
from lmsaes.errors import ConfigError, DatabaseError, nearest

EDGES_TOGETHER = 1 << 19  # in one document: 8 MB
MOST_EDGES = 1 << 23


class TakenError(ConfigError):
    """A name that another graph has."""


class Graphs:
    """The graphs in a database."""

    def __init__(self, connection: Connection, leases: Leases) -> None:
        self._connection, self._leases = connection, leases

    def all(self) -> list[GraphRecord]:
        """The records that can be read, newest first."""
        return read_all(self._connection)[0]

    def unreadable(self) -> list[UnreadableRecord]:
        """Those that this version can't read, by name."""
        return read_all(self._connection)[1]

    def get(self, name: str) -> GraphRecord | None:
        """A graph's record by name. Raises UnreadableError where it can't be read."""
        found = self._connection.fetch(GRAPHS, [name]).get(name)
        record = None if found is None else read(found)
        if isinstance(record, UnreadableRecord):
            raise UnreadableError(f"graph '{name}' can't be read: {record.problem}", record.hint)
        return record

    def contents(self, record: GraphRecord) -> ShownGraph | None:
        """All of a graph; None where it was replaced or removed meanwhile."""
        pieces = range(-(-record.edges // EDGES_TOGETHER))
        keys = ["nodes", *(f"edges/{piece}" for piece in pieces)]
        found = self._connection.fetch(f"graph_{record.graph}", keys)
        if len(found) != len(keys):
            return None
        nodes = unpack_table(found["nodes"]["table"])
        edges = [unpack_table(found[key]["table"]) for key in keys[1:]]
        return ShownGraph(record, nodes, _joined(edges))

    def put(self, name: str, graph: ShownGraph, replace: bool = True) -> GraphRecord:
        """Keeps a graph under a name, in place of one that is called so.

        Raises TakenError unless `replace` where there is one, ConfigError for an impossible name
        and a graph that is too large, DatabaseError while another process writes it and where less
        is in the database than was put there.
        """
        check_name(name)
        facts = graph.facts.model_dump(mode="json")
        if graph.facts.edges > MOST_EDGES:
            raise ConfigError(
                f"{graph.facts.edges} edges are more than the {MOST_EDGES} that a graph in the"
                " database may have",
                "show fewer with a lower --edge-threshold",
            )
        id = new_analysis_id(facts)
        lease = self._leases.take(lease_name(name), graph=id)
        try:
            # as the server's MongoDB keeps it; and those of one second stay in their order
            record = GraphRecord.model_validate(
                {
                    **facts,
                    "name": name,
                    "graph": id,
                    "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "schema_version": SCHEMA_VERSION,
                }
            )
            if not replace and self._connection.fetch(GRAPHS, [name]):
                raise _taken(name)
            count = self._connection.insert(f"graph_{id}", _documents(graph))
            found = self._connection.count(f"graph_{id}")
            if found != count:
                raise DatabaseError(
                    f"graph '{name}' is not published: {found} of {count} pieces are there",
                    "run the same command again",
                )
            self._leases.check(lease)
            self._publish(record, replace)
        finally:
            self._leases.release(lease)
            collect_garbage(self._connection, self._leases)  # the former one, or this one
        return record

    def change_groups(
        self, record: GraphRecord, groups: Sequence[GraphGroup], seen: int
    ) -> GraphRecord:
        """Puts other groups into a graph. Raises ChangedError unless `seen` is their version, and
        ConfigError for nodes that the graph has not."""
        graph = self.contents(record)
        problem = None if graph is None else wrong_groups(groups, graph.ids)
        if problem is not None:
            raise ConfigError(problem)
        changed = record.model_copy(update={"groups": tuple(groups), "version": seen + 1})
        as_it_was = {"_id": record.name, "graph": record.graph, "version": seen}
        said = [group.model_dump(mode="json") for group in groups]
        with self._connection.database() as mongo:
            update = {"$set": {"groups": said, "version": seen + 1}}
            done = mongo[GRAPHS].update_one(as_it_was, update)
        if not done.matched_count:
            raise ChangedError(f"graph '{record.name}' was changed meanwhile", "load it again")
        return changed

    def rename(self, old: str, new: str) -> None:
        """Gives a graph another name. Raises ConfigError where there is no `old` or a `new`."""
        check_name(new)
        with self._leases.holding(lease_name(old), lease_name(new)):
            record = self.get(old)
            if record is None:
                raise self.unknown(old)
            with self._connection.database() as mongo:
                try:
                    mongo[GRAPHS].insert_one(document(record.model_copy(update={"name": new})))
                except DuplicateKeyError:
                    raise _taken(new) from None
                mongo[GRAPHS].delete_one({"_id": old})

    def remove(self, name: str) -> None:
        """Removes a graph, readable or not. Raises ConfigError where there is none."""
        with self._leases.holding(lease_name(name)), self._connection.database() as mongo:
            if not mongo[GRAPHS].delete_one({"_id": name}).deleted_count:
                raise self.unknown(name)
        collect_garbage(self._connection, self._leases)

    def unknown(self, name: str) -> ConfigError:
        """That there is no graph of this name, and which there are."""
        names = [record.name for record in self.all()]
        likest = nearest(name, names) or names[:3]
        return ConfigError(
            f"no graph '{name}' in {self._connection.place}",
            f"there are {', '.join(likest)}" if likest else "make one with: lmsaes trace --name",
        )

    def _publish(self, record: GraphRecord, replace: bool) -> None:
        with self._connection.database() as mongo:
            # journaled: all before it is on the disk then, as of an analysis
            graphs = mongo[GRAPHS].with_options(write_concern=WriteConcern(j=True))
            if replace:
                graphs.replace_one({"_id": record.name}, document(record), upsert=True)
                return
            try:
                graphs.insert_one(document(record))
            except DuplicateKeyError:
                raise _taken(record.name) from None


def read_all(connection: Connection) -> tuple[list[GraphRecord], list[UnreadableRecord]]:
    """The records that can be read, newest first, and the others by name."""
    with connection.database() as mongo:
        found = [read(each) for each in mongo[GRAPHS].find()]
    readable = [each for each in found if isinstance(each, GraphRecord)]
    others = [each for each in found if isinstance(each, UnreadableRecord)]
    readable.sort(key=lambda record: record.name)
    readable.sort(key=lambda record: record.created, reverse=True)
    return readable, sorted(others, key=lambda each: each.name)


def read(found: Document) -> GraphRecord | UnreadableRecord:
    """The record that a document holds, or why it can't be read."""
    fields = {key: value for key, value in found.items() if key != "_id"}
    name, version = str(found["_id"]), fields.get("schema_version")
    hint = f"trace it again, or remove it with: lmsaes db rm --graph {shlex.quote(name)}"
    if not isinstance(version, int):
        return UnreadableRecord(name, "damaged: it has no schema_version", hint, None)
    if version != SCHEMA_VERSION:
        newer = "needs a newer lmsaes" if version > SCHEMA_VERSION else "trace it again"
        return UnreadableRecord(name, f"schema {version}: {newer}", hint, version)
    try:
        return GraphRecord.model_validate({**fields, "name": found["_id"]})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return UnreadableRecord(name, f"damaged: {place}: {first['msg']}", hint, version)


def document(record: GraphRecord) -> Document:
    """The document of a graph, under its name."""
    return {"_id": record.name, **record.model_dump(mode="json", exclude={"name"})}


def pieces(record: GraphRecord) -> int:
    """How many documents hold a graph's tables."""
    return 1 + -(-record.edges // EDGES_TOGETHER)


def _documents(graph: ShownGraph) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"_id": "nodes", "table": pack_table(graph.nodes)}]
    for piece, first in enumerate(range(0, graph.facts.edges, EDGES_TOGETHER)):
        some = {name: a[first : first + EDGES_TOGETHER] for name, a in graph.edges.items()}
        found.append({"_id": f"edges/{piece}", "table": pack_table(some)})
    return found


def _joined(tables: list[dict[str, np.ndarray]]) -> Table:
    if not tables:
        whole = np.zeros(0, np.int32)
        part = np.zeros(0, np.float32)
        return {"source": whole, "target": whole, "weight": part, "cumulative": part}
    return {name: np.concatenate([each[name] for each in tables]) for name in tables[0]}


def lease_name(name: str) -> str:
    """What whoever writes a graph of this name holds a lease on."""
    return f"graph/{name}"


def _taken(name: str) -> TakenError:
    return TakenError(f"there is a graph '{name}' already", "choose another name")
