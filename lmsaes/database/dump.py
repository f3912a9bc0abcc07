"""A database in one file, and back: `lmsaes db dump` and `lmsaes db restore`.

    dump.json           versions, and of each collection its documents and the SHA-256 of its bytes
    COLLECTION.bson     documents one after the other, as `mongodump` writes and `bsondump` reads

in a ZIP archive. What the readable SAEs and graphs need is in it, and everything people and models
said. Nothing of a file is written before all of it has been checked, and records come last.
"""

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import bson
from bson.errors import BSONError
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from lmsaes.atomic import replacing
from lmsaes.database import explanations, graphs, saes
from lmsaes.database.connection import Connection
from lmsaes.database.garbage import GRAPHS, KINDS, collect_garbage
from lmsaes.database.graph_records import GraphRecord
from lmsaes.database.leases import Leases
from lmsaes.database.records import SCHEMA_VERSION, SAERecord
from lmsaes.errors import ConfigError, DatabaseError

_FORMAT = 2  # 1: without graphs
_CONTENTS = "dump.json"
_SAID = (explanations.COLLECTION, "answers", "lists", "notes")
_VOCABULARIES = "vocabularies"
_OURS = re.compile(
    rf"{saes.SAES}|{GRAPHS}|{_VOCABULARIES}|{'|'.join(_SAID)}|contexts_[0-9a-f]{{16}}"
    rf"|(?:{'|'.join(KINDS)}|graph)_[0-9a-f]{{16}}_[0-9a-f]{{8}}"
)


class _Member(BaseModel):
    model_config = ConfigDict(extra="forbid")

    documents: NonNegativeInt
    sha256: str


class _Contents(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: int
    schema_version: int
    created: str
    collections: dict[str, _Member]


class Dumped(NamedTuple):
    """What a file holds, by the records."""

    saes: list[SAERecord]
    graphs: list[GraphRecord]


def dump(connection: Connection, leases: Leases, path: Path) -> Dumped:
    """Writes the readable SAEs and graphs of a database into a file; returns their records.

    Raises DatabaseError while another process writes one of them, ConfigError where the file can't
    be written.
    """
    names = [record.name for record in saes.read_all(connection)[0]]
    names += [graphs.lease_name(record.name) for record in graphs.read_all(connection)[0]]
    with leases.holding(*names):
        records, traced = saes.read_all(connection)[0], graphs.read_all(connection)[0]
        wanted = {f"{kind}_{record.analysis}" for record in records for kind in KINDS}
        wanted |= {f"contexts_{record.cache}" for record in records} | {_VOCABULARIES, *_SAID}
        wanted |= {f"graph_{record.graph}" for record in traced}
        with connection.database() as mongo:
            names = sorted(wanted.intersection(mongo.list_collection_names()))
        collections: dict[str, _Member] = {}
        try:
            with (
                replacing(path) as temporary,
                zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            ):
                for name in names:
                    with connection.database() as mongo:
                        collections[name] = _write(archive, name, mongo[name].find())
                own = map(saes.record_document, records)
                collections[saes.SAES] = _write(archive, saes.SAES, own)
                if traced:
                    collections[GRAPHS] = _write(archive, GRAPHS, map(graphs.document, traced))
                contents = _Contents(
                    format=_FORMAT if traced else 1,  # older versions read files without graphs
                    schema_version=SCHEMA_VERSION,
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    collections=collections,
                )
                archive.writestr(_CONTENTS, contents.model_dump_json(indent=1))
        except OSError as error:
            raise ConfigError(f"can't write {path}: {error.strerror}") from error
    return Dumped(records, traced)


def restore(connection: Connection, leases: Leases, path: Path) -> Dumped:
    """Puts what a file holds into a database; returns the records of it.

    What is there already stays: SAEs of the same analysis, graphs, and what was said of features,
    beside which the file's is put. Raises ConfigError where the file is damaged, of another format,
    or has an SAE or a graph under a name that is another one's here; nothing is written then.
    """
    with _opened(path) as archive:
        contents = _checked(archive, path)
        records = [_record(document, path) for document in _read(archive, saes.SAES)]
        traced: list[GraphRecord] = []
        if GRAPHS in contents.collections:
            traced = [_graph(document, path) for document in _read(archive, GRAPHS)]
        _check_needed(contents, records, traced, path)
        there = {record.name: record.analysis for record in saes.read_all(connection)[0]}
        taken = [r.name for r in records if there.get(r.name, r.analysis) != r.analysis]
        if taken:
            raise ConfigError(
                f"{path} has another analysis of {', '.join(taken[:3])} than the database",
                "rename or remove the database's with: lmsaes db rename, lmsaes db rm",
            )
        made = {record.name: record.graph for record in graphs.read_all(connection)[0]}
        taken = [g.name for g in traced if made.get(g.name, g.graph) != g.graph]
        if taken:
            raise ConfigError(
                f"{path} has another graph {', '.join(taken[:3])} than the database",
                "rename or remove the database's with: lmsaes db rename --graph, db rm --graph",
            )
        new = [record for record in records if record.name not in there]
        new_graphs = [record for record in traced if record.name not in made]
        with ExitStack() as stack:
            stack.callback(collect_garbage, connection, leases)  # of a restore that failed
            for record in new:
                lease = leases.take(record.name, analysis=record.analysis, cache=record.cache)
                stack.callback(leases.release, lease)
            for record in new_graphs:
                lease = leases.take(graphs.lease_name(record.name), graph=record.graph)
                stack.callback(leases.release, lease)
            for name in contents.collections:
                if name not in (saes.SAES, GRAPHS, explanations.COLLECTION):
                    connection.insert(name, _read(archive, name))
            if explanations.COLLECTION in contents.collections:
                _restore_explanations(connection, archive)
            own = [f"{kind}_{record.analysis}" for record in new for kind in KINDS]
            for name in own + [f"graph_{record.graph}" for record in new_graphs]:
                member = contents.collections.get(name)
                if member and connection.count(name) != member.documents:
                    raise DatabaseError(f"{name} is not whole in the database", "try it again")
            connection.insert(saes.SAES, map(saes.record_document, new))
            connection.insert(GRAPHS, map(graphs.document, new_graphs))
    return Dumped(records, traced)


def _write(archive: zipfile.ZipFile, name: str, documents: Iterable[dict[str, Any]]) -> _Member:
    digest, count = hashlib.sha256(), 0
    with archive.open(f"{name}.bson", "w", force_zip64=True) as file:
        for document in documents:
            data = bson.encode(document)
            digest.update(data)
            file.write(data)
            count += 1
    return _Member(documents=count, sha256=digest.hexdigest())


@contextmanager
def _opened(path: Path) -> Generator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, BSONError) as error:
        raise _damaged(path, str(error)) from error


def _checked(archive: zipfile.ZipFile, path: Path) -> _Contents:
    """What the file says of itself, when every byte of it is as it says."""
    try:
        found = json.loads(archive.read(_CONTENTS))
        version = found.get("format") if isinstance(found, dict) else None
        if isinstance(version, int) and version > _FORMAT:
            raise ConfigError(f"{path} needs a newer lmsaes (format {version})", "update lmsaes")
        contents = _Contents.model_validate(found)
    except (ValueError, ValidationError) as error:
        raise _damaged(path, f"{_CONTENTS} can't be understood") from error
    if contents.schema_version != SCHEMA_VERSION:
        raise ConfigError(
            f"{path} is of schema {contents.schema_version}, not {SCHEMA_VERSION}",
            "analyze its SAEs again",
        )
    for name, member in contents.collections.items():
        if _OURS.fullmatch(name) is None:
            raise _damaged(path, f"'{name}' is no collection of lmsaes")
        digest = hashlib.sha256()
        with archive.open(f"{name}.bson") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != member.sha256:
            raise _damaged(path, f"{name} has other bytes than were written")
    return contents


def _check_needed(
    contents: _Contents, records: list[SAERecord], traced: list[GraphRecord], path: Path
) -> None:
    for record in records:
        for name in (f"features_{record.analysis}", f"columns_{record.analysis}", _VOCABULARIES):
            if name not in contents.collections:
                raise _damaged(path, f"{name} of {record.name} is missing")
    for record in traced:
        member = contents.collections.get(f"graph_{record.graph}")
        if member is None or member.documents != graphs.pieces(record):
            raise _damaged(path, f"the graph {record.name} is not whole")


def _read(archive: zipfile.ZipFile, name: str) -> Iterator[dict[str, Any]]:
    with archive.open(f"{name}.bson") as file:
        yield from bson.decode_file_iter(file)


def _record(document: dict[str, Any], path: Path) -> SAERecord:
    found = saes.read(document)
    if not isinstance(found, SAERecord):
        raise _damaged(path, f"the record of {found.name}: {found.problem}")
    return found


def _graph(document: dict[str, Any], path: Path) -> GraphRecord:
    found = graphs.read(document)
    if not isinstance(found, GraphRecord):
        raise _damaged(path, f"the record of graph {found.name}: {found.problem}")
    return found


def _restore_explanations(connection: Connection, archive: zipfile.ZipFile) -> None:
    """Adds those that are not there; one whose number is another's goes after that one."""
    own = explanations.Explanations(connection)
    with connection.database() as mongo:
        there = {each["_id"]: each for each in mongo[explanations.COLLECTION].find()}
    said = {key.rpartition("/")[0] for key in there}
    waiting: list[dict[str, Any]] = []
    for document in _read(archive, explanations.COLLECTION):
        if document["_id"].rpartition("/")[0] not in said:
            waiting.append(document)
            continue
        explanation = explanations.read(document)
        if explanation not in own.history(document["sae"], explanation.feature):
            own.add(document["sae"], explanation)
    connection.insert(explanations.COLLECTION, waiting)


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(f"{path} is damaged, or no dump: {why}", "nothing was restored")
