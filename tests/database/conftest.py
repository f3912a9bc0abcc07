"""An embedded server for a file's tests, and a database of its own for each."""

import re
from collections.abc import Iterator

import pytest

from lmsaes.database import Database, EmbeddedServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("database")) as server:
        yield server


@pytest.fixture
def uri(server: EmbeddedServer, request: pytest.FixtureRequest) -> str:
    """A database of its own for each test."""
    return f"{server.uri}/{re.sub(r'[^a-z0-9_]', '-', request.node.name)[:60]}"


@pytest.fixture
def database(uri: str) -> Iterator[Database]:
    with Database(uri) as database:
        yield database
