"""Pictures of every page of the viewer, in both themes, wide and on a phone, to be looked at.

    python scripts/screenshots.py [--db-folder lmsaes-demo/db] [--out screenshots]

Serves the demo's database (`lmsaes demo` makes it) on a port of its own. `--readme` takes the
README's picture alone.
"""

import argparse
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, sync_playwright

from lmsaes.cli.serve import listen
from lmsaes.database import Database
from lmsaes.server.app import create_app

README = Path(__file__).parents[1] / "docs" / "images" / "feature.png"
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SIZES = {"wide": (1440, 900), "phone": (390, 844)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--db-folder", type=Path, default=Path("lmsaes-demo/db"))
    parser.add_argument("--out", type=Path, default=Path("screenshots"))
    parser.add_argument("--feature", type=int, help="the feature that is shown")
    parser.add_argument("--readme", action="store_true", help="the README's picture alone")
    asked = parser.parse_args()
    if not asked.db_folder.is_dir():
        parser.error(f"no database in {asked.db_folder}: run lmsaes demo, or name one")
    with Database(folder=asked.db_folder) as database, serving(database) as address:
        names = [record.name for record in database.saes()]
        if not names:
            parser.error(f"no SAE in {asked.db_folder}: run lmsaes demo")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(parser), args=QUIET)
            if asked.readme:
                page = feature_page(names[-1], asked.feature)
                picture(browser, address, page, "light", (1280, 800), README)
            else:
                graphs = [record.name for record in database.graphs.all()]
                every_page(browser, address, names, graphs, asked.feature, asked.out)
            browser.close()


def every_page(
    browser: Browser,
    address: str,
    names: list[str],
    graphs: list[str],
    feature: int | None,
    out: Path,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    sae = names[-1]
    both = "&".join(f"sae={name}" for name in names[:2])
    browse = f"/saes/{sae}" + ("" if feature is None else f"?feature={feature}")
    pages = {
        "home": "/",
        "browse": browse,
        "feature": feature_page(sae, feature),
        "prompt": f"/prompt#sae={sae}&text=But+cleave+unto+the+LORD+your+God",
        "steer": "/steer#prompt=And+the+king+said",
        "compare": f"/compare?{both}",
        "search": f"/search?q=king&sae={sae}",
        "lists": "/lists",
        "graphs": "/graphs",
    }
    if graphs:
        pages["graph"] = f"/graphs/{graphs[0]}"
    for name, path in pages.items():
        for theme in ("light", "dark"):
            for size, pixels in SIZES.items():
                to = out / f"{name}-{theme}-{size}.png"
                picture(browser, address, path, theme, pixels, to)
                print(to)


def feature_page(sae: str, feature: int | None) -> str:
    return f"/saes/{sae}/features/{'random' if feature is None else feature}"


def picture(
    browser: Browser, address: str, path: str, theme: str, size: tuple[int, int], to: Path
) -> None:
    width, height = size
    context = browser.new_context(
        base_url=address,
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": width, "height": height},
    )
    page = context.new_page()
    page.goto(path)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)  # what is drawn after the last answer
    page.screenshot(path=to)
    context.close()


@contextmanager
def serving(database: Database) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(create_app(database=database), log_level="warning"))
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def chromium(parser: argparse.ArgumentParser) -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        parser.error("no Chromium: install it (apt install chromium) or name it in CHROMIUM")
    return found


if __name__ == "__main__":
    main()
