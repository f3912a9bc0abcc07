"""Odd requests of every route, drawn from the OpenAPI: answers have the statuses, the content types
and the shapes that it promises. An unforeseen error is a 500, which it promises nowhere."""

import pytest
from hypothesis import HealthCheck, given, settings

from lmsaes import Database
from lmsaes.database import EmbeddedServer
from lmsaes.server.app import create_app
from lmsaes.server.store import Store
from tests.support import made_up_analysis as made_up
from tests.support.made_up_graph import made_up_graph

schemathesis = pytest.importorskip("schemathesis")

CHECKS = [
    getattr(schemathesis.checks, f"{what}_conformance")
    for what in ("status_code", "content_type", "response_schema")
]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The routes of a server without a model, over a made-up analysis."""
    with EmbeddedServer(tmp_path_factory.mktemp("db")) as server, Database(server.uri) as database:
        made_up.publish(database, "demo:topk")
        database.graphs.put("piano", made_up_graph())
        app = create_app(database=database, model="none", hosts=["testserver"])
        app.state.store = Store(database)
        yield schemathesis.openapi.from_asgi("/api/openapi.json", app)


def test_odd_requests_are_answered_as_the_schema_says(api):
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) > 10
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(max_examples=4, suppress_health_check=list(HealthCheck), database=None)
        def answered(case):
            case.call_and_validate(checks=CHECKS)

        answered()
