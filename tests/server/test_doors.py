"""Who is answered, by which methods, and in which form."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from lmsaes.cli.app import app as commands
from lmsaes.cli.serve import _is_loopback, _names, listen
from lmsaes.database import Database, EmbeddedServer
from lmsaes.errors import ConfigError
from lmsaes.server import viewer
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up

ADDRESS = "http://127.0.0.1:24577"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with (
        EmbeddedServer(tmp_path_factory.mktemp("doors")) as server,
        Database(server.uri) as database,
    ):
        made_up.publish(database, run="demo")
        yield database


@pytest.fixture(scope="module")
def client(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    built = tmp_path_factory.mktemp("viewer")
    (built / "assets").mkdir()
    (built / "index.html").write_text("<html>the viewer</html>")
    (built / "assets" / "main-abc.js").write_text("a = 1;\n" * 1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(viewer.mount_viewer, "__defaults__", (built,))
        app = create_app(database=database, hosts=["gpu-3"])
    with TestClient(app, ADDRESS, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:24577",
        "localhost:24577",
        "LOCALHOST",
        "localhost.:8000",
        "[::1]:24577",
        "gpu-3:1",
    ],
)
def test_names_of_this_machine_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/saes", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:24577", "127.0.0.1.evil.example", "localhost.evil.example",
     "192.168.1.7", "", "a@evil.example", "[::1", "localhost:24577@evil.example", "/", "?localhost",
     "localhost\\evil.example"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/saes", "/api/saes/demo:topk/features/3", "/", "/assets/x"])
def test_other_names_are_not(client: TestClient, host: str, path: str) -> None:
    """Or a site could have its own name lead here, and read all as if it were its own."""
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == 403
    assert "--allow-host" in answer.json()["detail"]
    assert client.options(path, headers={"Host": host}).status_code == 403


def test_the_address_that_a_connection_came_in_at_is_answered(database: Database) -> None:
    with TestClient(create_app(database=database), "http://192.168.1.7:24577") as client:
        assert client.get("/api/saes").status_code == 200
        assert client.get("/api/saes", headers={"Host": "192.168.1.8:24577"}).status_code == 403


def paths(client: TestClient) -> list[str]:
    """Those that are read and nothing else; no graph and no job is there."""
    found = client.get("/api/openapi.json").json()["paths"]
    read = [
        path
        for path, methods in found.items()
        if list(methods) == ["get"] and not path.startswith(("/api/graphs/", "/api/jobs/"))
    ]
    there = {
        "name": "demo:topk",
        "index": 3,
        "key": made_up.VOCABULARY,
        "context": made_up.sample(3).contexts[0],
        "model": "lmsaes-demo",
        "source": "2-demo-topk",
    }
    asked = {"/api/compare": "?a=demo:topk&b=demo:topk"}
    return [path.format(**there) + asked.get(path, "") for path in read]


def test_pages_can_be_framed_under_embed_alone(client: TestClient) -> None:
    browser = {"Accept": "text/html,*/*"}
    for path, framed in (
        ("/", "'none'"),
        ("/saes/demo:topk/features/3", "'none'"),
        ("/embed/saes/demo:topk/features/3", "*"),
    ):
        policy = client.get(path, headers=browser).headers["content-security-policy"]
        assert policy.endswith(f"frame-ancestors {framed}")
        assert "default-src 'none'" in policy
        # a framed page has its colors in itself, and nothing that runs
        assert ("style-src 'unsafe-inline'" in policy) == (framed == "*")
        assert "script-src 'unsafe" not in policy


def test_what_is_posted_to_says_so(client: TestClient) -> None:
    answer = client.get("/api/steer")
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    explanations = "/api/saes/demo:topk/features/3/explanations"
    assert client.options(explanations).headers["allow"] == "GET, HEAD, OPTIONS, PUT"


def test_every_route_answers_head_as_get_and_options(client: TestClient) -> None:
    for path in (
        *paths(client),
        "/api/openapi.json",
        "/",
        "/assets/main-abc.js",
        "/saes/demo:topk",
    ):
        browser = {"Accept": "text/html,*/*"}
        got, head = client.get(path, headers=browser), client.head(path, headers=browser)
        assert (head.status_code, head.content) == (200, b""), path
        if "random" not in path:
            assert head.headers["content-length"] == got.headers["content-length"]
        options = client.options(path)
        assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS"), path


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_other_methods_are_refused_with_those_that_are_allowed(
    client: TestClient, method: str
) -> None:
    for path in (*paths(client), "/", "/assets/main-abc.js", "/dictionaries"):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS"), path
        assert answer.json()["detail"].startswith(f"{method} is not possible here")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_what_is_not_in_the_api_is_404_whatever_is_asked(client: TestClient, method: str) -> None:
    for path in ("/api", "/api/", "/api/nowhere", "/api/saes/demo:topk/nowhere"):
        answer = client.request(method, path, headers={"Accept": "text/html"})
        assert (answer.status_code, answer.json()) == (404, {"detail": f"nothing is at {path}"})


def test_an_error_nobody_foresaw_has_the_form_of_the_others(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Database) -> None:
        raise RuntimeError("mongodb://me:secret@host")

    monkeypatch.setattr(Database, "saes", fail)
    answer = client.get("/api/saes")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "something unforeseen happened: RuntimeError"}


def test_answers_are_compressed_and_bundled_files_are_kept(client: TestClient) -> None:
    table = client.get("/api/saes/demo:topk/features?limit=50")
    assert table.headers["content-encoding"] == "gzip"
    assert int(table.headers["content-length"]) < len(table.content) / 3
    plain = client.get("/api/saes/demo:topk/features?limit=50", headers={"Accept-Encoding": "br"})
    assert "content-encoding" not in plain.headers
    script = client.get("/assets/main-abc.js")
    assert script.headers["content-encoding"] == "gzip"
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert client.get("/").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("host", ["", "nowhere.invalid", "a" * 300, "é..x", "300.1.1.1", "\x00"])
def test_an_address_that_can_not_be_listened_on_is_one_line(host: str) -> None:
    with pytest.raises(ConfigError, match=r"--host is empty|can't listen on"):
        listen(host, 24577)


def test_serve_says_who_can_read_when_it_is_not_this_machine_alone() -> None:
    for host, alone in (("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)):
        with listen(host, 0) as listening:
            assert _is_loopback(listening) == alone
    assert _names("0.0.0.0") == [socket.gethostname()]
    assert _names("127.0.0.1") == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--host", ""], 1, "--host is empty"),
        (["--port", "99999"], 2, "--port"),
        (["--port", "0"], 2, "--port"),
        (["--allow-host", "http://x"], 1, "is not a host name"),
        (["--allow-host", "*"], 1, "is not a host name"),
    ],
)
def test_what_can_not_be_served_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, says: str
) -> None:
    monkeypatch.setenv("LMSAES_DB_FOLDER", str(tmp_path))
    done = CliRunner().invoke(commands, ["serve", *words])
    assert (done.exit_code, says in done.output) == (code, True), done.output
