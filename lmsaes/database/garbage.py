"""What nobody needs any more: collections that no record and no living lease names.

An interrupted analysis, a replaced one and a removed SAE leave them behind. Collections of other
shapes of name are somebody else's and stay.
"""

import re
from collections.abc import Iterator
from typing import Any

from lmsaes.database.connection import Connection
from lmsaes.database.leases import Leases
from lmsaes.database.saes import documents

KINDS = ("features", "samples", "columns", "tokens", "rows", "metrics")
"""Collections of each analysis, as `features_<analysis>`."""
GRAPHS = "graphs"
"""Records of attribution graphs; what each holds stands in `graph_<id>`."""

_OURS = re.compile(
    rf"(?:{'|'.join(KINDS)}|graph)_([0-9a-f]{{16}}_[0-9a-f]{{8}})|contexts_([0-9a-f]{{16}})"
    # as schema 1 named them: features/<name>/<analysis>, contexts/<cache>
    r"|(?:features|samples|columns)/[^/]+/([0-9a-f]{16})|contexts/([0-9a-f]{16})"
)


def collect_garbage(connection: Connection, leases: Leases) -> list[str]:
    """Drops what nobody needs any more; returns the names of the collections."""
    # In this order: whoever began to write after the first line has a lease at the second, and
    # whoever let go of it by then has a record at the third.
    with connection.database() as mongo:
        there = mongo.list_collection_names()
    held = leases.living()
    records = documents(connection)
    with connection.database() as mongo:
        records += list(mongo[GRAPHS].find({}, {"graph": True}))
    # Any text in a record keeps what is called so: records that can't be read name theirs too.
    named = {text for document in (*held, *records) for text in _texts(document)}
    dropped: list[str] = []
    with connection.database() as mongo:
        for collection in sorted(there):
            ours = _OURS.fullmatch(collection)
            if ours is not None and not named.intersection(filter(None, ours.groups())):
                mongo.drop_collection(collection)
                dropped.append(collection)
        if not held:  # vocabularies are written before the record that names them
            keys = [each["_id"] for each in mongo["vocabularies"].find({}, {"_id": True})]
            unused = [key for key in keys if str(key).partition("/")[0] not in named]
            mongo["vocabularies"].delete_many({"_id": {"$in": unused}})
    return dropped


def _texts(value: Any) -> Iterator[str]:
    """Every text in a document, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
