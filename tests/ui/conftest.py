"""One built viewer, one server, one browser for all tests of pages."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from lmsaes.cli.serve import listen
from lmsaes.database import Database, EmbeddedServer, ListContents, ListEntry
from lmsaes.server.app import create_app
from lmsaes.server.viewer import BUILT
from tests.support import made_up_analysis as made_up

EARLY = "blocks.0.hook_resid_post"
UI = Path(__file__).parents[2] / "ui"
GROUPS = ("top", *(f"interval-{i}" for i in range(5)), "random", "silent")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def built() -> None:
    """The viewer as its sources are now."""
    page = BUILT / "index.html"
    sources = [
        *(path for folder in ("src", "public") for path in (UI / folder).rglob("*")),
        *(UI / name for name in ("index.html", "package-lock.json", "vite.config.ts")),
    ]
    if page.is_file() and page.stat().st_mtime >= max(path.stat().st_mtime for path in sources):
        return
    if not (UI / "node_modules").is_dir():
        subprocess.run(["npm", "ci"], cwd=UI, check=True)
    subprocess.run(["npm", "run", "build"], cwd=UI, check=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("viewer")) as server:
        yield server


@pytest.fixture(scope="session")
def database(server: EmbeddedServer) -> Iterator[Database]:
    with Database(f"{server.uri}/viewer") as database:
        for name, changes in (
            ("demo:topk", {}),
            ("demo:relu", {"architecture": "relu", "l0": 41.2, "fvu": 0.3}),
            ("demo:early", {"hook": EARLY, "l0": None, "fvu": None}),
        ):
            made_up.publish(database, name, **changes)
        made_up.publish(database, "demo:partial", features=500)
        publish_groups(database)
        entries = [ListEntry(sae=name, feature=42) for name in ("demo:topk", "demo:relu")]
        database.lists.add(ListContents(name="kept before", features=entries))
        yield database


def publish_groups(database: Database) -> None:
    """`demo:groups`: every group holds some of the strongest contexts, the last ones first."""
    with database.draft("demo:groups", made_up.CACHE, made_up.MADE_FROM) as draft:
        made_up.write(database, draft)
        for group in GROUPS[1:]:
            draft.put_samples(
                replace(
                    sample,
                    group=group,
                    contexts=sample.contexts[::-1],
                    positions=sample.positions[::-1],
                    activations=sample.activations[::-1],
                )
                for sample in made_up.samples()
            )
        draft.publish(made_up.sae("demo:groups", analysis=draft.analysis, groups=GROUPS))


@contextmanager
def serving(database: Database, model: str | None = None) -> Iterator[str]:
    app = create_app(database=database, model=model)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def address(built: None, database: Database) -> Iterator[str]:
    with serving(database) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("no Chromium: install it (apt install chromium) or name it in CHROMIUM", False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


def is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "blob:", "about:"))


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page whose console must stay free of errors and whose requests must stay at home."""
    context = browser.new_context(
        base_url=address, color_scheme="light", viewport={"width": 1440, "height": 900}
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: is_local(request.url) or problems.append(request.url))
    yield page
    context.close()
    assert problems == []
