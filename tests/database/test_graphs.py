"""A graph is seen whole or not at all, and nothing of it stays when it is removed."""

import numpy as np
import pytest

from lmsaes.database import Database, GraphGroup, TakenError
from lmsaes.database import graphs as room
from lmsaes.database.leases import Lease
from lmsaes.database.lists import ChangedError
from lmsaes.errors import ConfigError, DatabaseError
from tests.database.test_database import everything
from tests.support.made_up_graph import IDS, made_up_graph


def collections(uri: str) -> set[str]:
    return {name for name, documents in everything(uri).items() if documents}


def test_a_graph_comes_back_as_it_was(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "EDGES_TOGETHER", 4)  # its 6 edges are two pieces then
    graph = made_up_graph()
    record = database.graphs.put("piano", graph)
    assert database.graphs.get("piano") == record == database.graphs.all()[0]
    found = database.graphs.contents(record)
    assert found is not None
    assert found.ids == IDS
    for before, after in ((graph.nodes, found.nodes), (graph.edges, found.edges)):
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)
    assert [IDS[n] for n in found.edges["source"][found.into(5)]] == ["0_3_1", "1_5_1", "error_1_1"]
    assert [IDS[n] for n in found.edges["target"][found.out_of(0)]] == ["3_2_1", "1_5_1"]


def test_a_newer_one_takes_its_place_and_drops_it(database: Database, uri: str):
    first = database.graphs.put("piano", made_up_graph())
    second = database.graphs.put("piano", made_up_graph())
    assert database.graphs.contents(first) is None
    assert collections(uri) == {"graphs", f"graph_{second.graph}"}
    with pytest.raises(TakenError, match="a graph 'piano' already"):
        database.graphs.put("piano", made_up_graph(), replace=False)
    assert collections(uri) == {"graphs", f"graph_{second.graph}"}
    database.graphs.rename("piano", "grand")
    assert [each.name for each in database.graphs.all()] == ["grand"]
    assert database.gc() == []
    database.graphs.remove("grand")
    assert collections(uri) == set()
    with pytest.raises(ConfigError, match="no graph 'grand'"):
        database.graphs.remove("grand")


def test_what_is_not_whole_is_not_published(
    database: Database, uri: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database._connection, "count", lambda name: 1)
    with pytest.raises(DatabaseError, match="1 of 2 pieces are there"):
        database.graphs.put("piano", made_up_graph())
    assert collections(uri) == set()
    monkeypatch.undo()
    nodes = dict(made_up_graph().nodes)
    nodes["influence"] = nodes["influence"] * np.float32(np.nan)
    with pytest.raises(DatabaseError, match="influence has values that are not finite"):
        database.graphs.put("piano", type(g := made_up_graph())(g.facts, nodes, g.edges))
    assert collections(uri) == set()


def test_two_do_not_write_one_name(database: Database, uri: str):
    held: Lease = database._leases.take("graph/piano")
    with Database(uri) as other, pytest.raises(DatabaseError, match="is being written by"):
        other.graphs.put("piano", made_up_graph())
    database._leases.release(held)
    assert database.graphs.put("piano", made_up_graph()).name == "piano"


def test_groups_are_changed_by_who_saw_them(database: Database):
    record = database.graphs.put("piano", made_up_graph())
    group = GraphGroup(name="river words", nodes=("0_3_1", "E_9_1"))
    changed = database.graphs.change_groups(record, [group], 1)
    assert database.graphs.get("piano") == changed
    assert (changed.version, changed.groups) == (2, (group,))
    with pytest.raises(ChangedError, match="changed meanwhile"):
        database.graphs.change_groups(record, [], 1)
    for wrong, message in (
        ([GraphGroup(name="a", nodes=("9_9_9",))], "no node '9_9_9'"),
        ([group, group], "two groups are called"),
        ([group, group.model_copy(update={"name": "b"})], "in two groups"),
    ):
        with pytest.raises(ConfigError, match=message):
            database.graphs.change_groups(changed, wrong, 2)


def test_a_record_that_cannot_be_read_hinders_no_other(database: Database):
    database.graphs.put("piano", made_up_graph())
    with database._connection.database() as mongo:
        mongo["graphs"].insert_one({"_id": "newer", "schema_version": 99})
        mongo["graphs"].insert_one({"_id": "odd", "schema_version": 2, "prompt": 3})
    assert [each.name for each in database.graphs.all()] == ["piano"]
    assert [each.name for each in database.graphs.unreadable()] == ["newer", "odd"]
    with pytest.raises(DatabaseError, match="needs a newer lmsaes"):
        database.graphs.get("newer")
    database.graphs.remove("newer")
