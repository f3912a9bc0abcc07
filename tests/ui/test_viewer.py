"""The viewer as a person uses it, in headless Chromium."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from lmsaes.cli.serve import listen
from lmsaes.database import Database, EmbeddedServer
from lmsaes.server.app import create_app
from lmsaes.server.viewer import BUILT
from tests.support import made_up_analysis as made_up

pytestmark = pytest.mark.browser

EARLY = "blocks.0.hook_resid_post"
UI = Path(__file__).parents[2] / "ui"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("viewer")) as server:
        yield server


@pytest.fixture(scope="module")
def database(server: EmbeddedServer) -> Iterator[Database]:
    with Database(f"{server.uri}/viewer") as database:
        for name, changes in (
            ("demo:topk", {}),
            ("demo:relu", {"architecture": "relu", "l0": 41.2, "fvu": 0.3}),
            ("demo:early", {"hook": EARLY, "l0": None, "fvu": None}),
        ):
            made_up.publish(database, name, **changes)
        yield database


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


@pytest.fixture(scope="module")
def address(built: None, database: Database) -> Iterator[str]:
    with serving(database) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("no Chromium: install it (apt install chromium) or name it in CHROMIUM", False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page whose console must stay free of errors and whose requests must stay at home."""
    context = browser.new_context(
        base_url=address, color_scheme="light", viewport={"width": 1440, "height": 900}
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda request: request.url.startswith(address) or problems.append(request.url)
    )
    yield page
    context.close()
    assert problems == []


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def color(locator: Locator) -> list[float]:
    """Red, green, blue and opacity of a background."""
    text = locator.evaluate("element => getComputedStyle(element).backgroundColor")
    channels = [float(number) for number in re.findall(r"[\d.]+", text)]
    return channels if len(channels) == 4 else [*channels, 1.0]


PAINTED = """() => new Promise((painted) =>
  new PerformanceObserver((list) => {
    if (list.getEntriesByName("first-contentful-paint").length) painted();
  }).observe({ type: "paint", buffered: true }))"""


def press(page: Page, key: str) -> None:
    """Presses a key once the page is painted: Chromium drops what is typed before that."""
    page.evaluate(PAINTED)
    page.keyboard.press(key)


def test_from_home_to_a_feature_by_links(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="blocks.2.hook_resid_post").click()
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="demo:topk")).to_contain_text("31.5")
    expect(page.get_by_role("button", name="demo:relu: L0 41.2, FVU .300")).to_be_visible()

    page.get_by_role("table").get_by_role("link", name="demo:topk", exact=True).click()
    expect(page).to_have_url(re.compile(r"/saes/demo:topk$"))
    expect(heading(page)).to_contain_text("demo:topk")
    expect(page.get_by_role("img", name="3 dead, 115 regular, 2 dense")).to_be_visible()

    strongest = max(
        (made_up.feature(i) for i in range(made_up.FEATURES) if i not in made_up.DENSE),
        key=lambda feature: feature.maximum,
    )
    first = page.locator("tbody tr").first
    expect(first).to_contain_text(str(strongest.index))
    first.get_by_role("link").click()
    expect(page).to_have_url(re.compile(rf"/saes/demo:topk/features/{strongest.index}$"))
    expect(heading(page)).to_contain_text(str(strongest.index))
    expect(page.locator(".promotes li")).to_have_count(6)

    page.get_by_role("navigation", name="Breadcrumbs").get_by_text("demo:topk").click()
    expect(page).to_have_url(re.compile(r"/saes/demo:topk$"))
    page.go_back()
    expect(heading(page)).to_contain_text(str(strongest.index))


def test_the_table_sorts_filters_and_turns_pages_in_the_address(page: Page) -> None:
    page.goto("/saes/demo:topk")
    page.get_by_role("columnheader", name="density").get_by_role("link").click()
    expect(page).to_have_url(re.compile("sort=density"))
    expect(page.get_by_role("columnheader", name="density")).to_have_attribute(
        "aria-sort", "descending"
    )
    page.get_by_role("link", name="dead 3").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.locator("tbody")).to_contain_text("never active")
    page.get_by_role("link", name="all 120").click()
    page.get_by_role("link", name="next →").click()
    expect(page.locator(".pages")).to_contain_text("26–50 of 120")
    press(page, "ArrowRight")
    expect(page.locator(".pages")).to_contain_text("51–75 of 120")
    page.reload()
    expect(page.locator(".pages")).to_contain_text("51–75 of 120")


def test_every_token_is_colored_by_its_activation(page: Page) -> None:
    index = made_up.DENSE[1]
    expected, maximum = made_up.sample(index), made_up.feature(index).maximum
    page.goto(f"/saes/demo:topk/features/{index}?whole")
    lines = page.locator(".contexts li")
    expect(lines).to_have_count(made_up.TOP)
    for row in (0, 5):
        tokens = lines.nth(row).locator(".token")
        expect(tokens).to_have_count(made_up.CONTEXT_SIZE)
        for position, activation in enumerate(expected.activations[row].tolist()):
            opacity = 0.12 + 0.68 * (activation / maximum) ** 0.5 if activation else 0.0
            assert color(tokens.nth(position))[3] == pytest.approx(opacity, abs=0.01)
        strongest = lines.nth(row).locator(".strongest")
        expect(strongest).to_have_count(1)
        expect(tokens.nth(expected.positions[row])).to_have_class(re.compile("strongest"))


def test_a_token_says_its_activation_on_hover_and_on_focus(page: Page) -> None:
    page.goto("/saes/demo:topk/features/42")
    strongest = page.locator(".strongest").first
    tip = page.get_by_role("tooltip")
    expect(tip).to_have_count(0)
    strongest.hover()
    expect(tip).to_contain_text(f"{made_up.feature(42).maximum:.1f}")
    page.get_by_role("heading", level=1).hover()
    expect(tip).to_have_count(0)
    strongest.focus()
    expect(tip).to_contain_text(f"{made_up.feature(42).maximum:.1f}")
    press(page, "Escape")
    expect(tip).to_have_count(0)


def test_arrow_keys_walk_the_active_tokens_of_a_focused_context(page: Page) -> None:
    page.goto(f"/saes/demo:topk/features/{made_up.DENSE[1]}?whole")
    strongest = page.locator(".strongest").first
    strongest.focus()
    press(page, "ArrowLeft")
    expect(strongest).not_to_be_focused()
    expect(page.locator(".token:focus")).to_have_count(1)
    expect(page).to_have_url(re.compile(rf"/features/{made_up.DENSE[1]}\?whole"))


def test_keys_go_to_the_next_the_previous_and_a_random_feature(page: Page) -> None:
    page.goto("/saes/demo:topk/features/42")
    expect(heading(page)).to_contain_text("42")
    press(page, "ArrowRight")
    expect(page).to_have_url(re.compile(r"/features/43$"))
    expect(heading(page)).to_contain_text("43")
    press(page, "ArrowLeft")
    expect(page).to_have_url(re.compile(r"/features/42$"))
    expect(heading(page)).to_contain_text("42")
    page.route(
        "**/features/random",
        lambda route: route.fulfill(response=route.fetch(url=route.request.url[:-6] + "77")),
    )
    press(page, "r")
    expect(page).to_have_url(re.compile(r"/features/77$"))
    expect(heading(page)).to_contain_text("77")
    page.get_by_role("link", name="next →").click()
    expect(page).to_have_url(re.compile(r"/features/78$"))


def test_the_help_lists_the_keys_and_closes_with_escape(page: Page) -> None:
    page.goto("/saes/demo:topk/features/42")
    expect(heading(page)).to_contain_text("42")
    press(page, "?")
    help_ = page.get_by_role("dialog", name="Keys")
    expect(help_).to_contain_text("random feature")
    press(page, "ArrowRight")
    expect(page).to_have_url(re.compile(r"/features/42$"))
    press(page, "Escape")
    expect(help_).to_be_hidden()


def test_the_first_stop_of_the_tab_key_skips_to_the_content(page: Page) -> None:
    page.goto("/saes/demo:topk/features/42")
    expect(heading(page)).to_contain_text("42")
    press(page, "Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_the_length_of_contexts_is_in_the_address(page: Page) -> None:
    page.goto("/saes/demo:topk/features/42")
    tokens = page.locator(".contexts .token")
    expect(tokens.first).to_be_visible()
    shortened = tokens.count()
    page.get_by_role("link", name="whole context").click()
    expect(page).to_have_url(re.compile(r"\?whole$"))
    lines = len(made_up.sample(42).contexts)
    expect(tokens).to_have_count(lines * made_up.CONTEXT_SIZE)
    assert shortened < lines * made_up.CONTEXT_SIZE
    press(page, "ArrowRight")
    expect(page).to_have_url(re.compile(r"/features/43\?whole$"))


def test_white_space_is_drawn(page: Page) -> None:
    page.goto("/saes/demo:topk/features/0?whole")
    expect(page.locator(".promotes code").first).to_have_text("↵")
    expect(page.locator(".promotes code").nth(5)).to_have_text("␣the")


def luminance(channels: list[float]) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in channels[:3])
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_keeps_its_contrast_on_the_strongest_token(page: Page, theme: str) -> None:
    """4.5 : 1, as WCAG 2.2 asks of text (1.4.3)."""
    page.emulate_media(color_scheme=theme)
    page.goto("/saes/demo:topk/features/42")
    token = page.locator(".strongest").first
    expect(token).to_be_visible()
    over, under = color(token), color(page.locator("body"))
    text = token.evaluate("element => getComputedStyle(element).color")
    ink = [float(number) for number in re.findall(r"[\d.]+", text)]
    behind = [o * over[3] + u * (1 - over[3]) for o, u in zip(over[:3], under[:3], strict=True)]
    lighter, darker = sorted((luminance(ink), luminance(behind)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_dark_follows_the_system_and_the_button_which_is_remembered(page: Page) -> None:
    page.goto("/")
    body = page.locator("body")
    expect(heading(page)).to_be_visible()
    assert luminance(color(body)) > 0.8
    page.emulate_media(color_scheme="dark")
    assert luminance(color(body)) < 0.1
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Dark theme").click()
    assert luminance(color(body)) < 0.1
    page.reload()
    expect(page.get_by_role("button", name="Dark theme")).to_have_attribute("aria-pressed", "true")
    assert luminance(color(body)) < 0.1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/saes/demo:tok", "No SAE 'demo:tok': there are demo:topk"),
        ("/saes/demo:topk/features/9999", "features 0 to 119 were analyzed"),
        ("/saes/demo:topk/features/five", "Index: Input should be a valid integer"),
        ("/nowhere/at/all", "no page at /nowhere/at/all"),
    ],
)
def test_an_error_shows_the_message_of_the_server_and_leads_home(
    page: Page, path: str, message: str
) -> None:
    page.goto(path)
    expect(page.get_by_role("alert")).to_contain_text(message)
    page.get_by_role("link", name="all SAEs").click()
    expect(page.get_by_role("table")).to_be_visible()


def test_a_server_that_is_gone_gives_a_message_and_can_be_tried_again(page: Page) -> None:
    page.goto("/saes/demo:topk/features/42")
    expect(heading(page)).to_contain_text("42")
    page.route("**/api/saes/**", lambda route: route.abort())
    press(page, "ArrowRight")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute_all()
    page.get_by_role("link", name="Try again").click()
    expect(heading(page)).to_contain_text("43")


def test_a_dead_feature_says_so(page: Page) -> None:
    page.goto(f"/saes/demo:topk/features/{made_up.DEAD[0]}")
    expect(page.locator("main")).to_contain_text("Not active on any of the")


def test_what_was_not_measured_is_a_dash(page: Page) -> None:
    page.goto(f"/?model=lmsaes-demo&hook={EARLY}")
    row = page.get_by_role("row").filter(has_text="demo:early")
    for column in (3, 4):  # L0 and FVU
        expect(row.get_by_role("cell").nth(column)).to_have_text("–")
    row.get_by_role("link").click()
    stats = page.locator(".stats div")
    for label in ("FVU", "L0", "CE recovered"):
        expect(stats.filter(has_text=label).locator("dd")).to_have_text("–")
    page.goto(f"/saes/demo:topk/features/{made_up.DEAD[0]}")
    expect(stats.filter(has_text="mean").locator("dd")).to_have_text("–")


@pytest.mark.parametrize(
    ("former", "path"),
    [
        ("/sae/demo:topk?filter=dead", "/saes/demo:topk?filter=dead"),
        ("/sae/demo:topk/feature/42?whole", "/saes/demo:topk/features/42?whole"),
    ],
)
def test_former_addresses_of_pages_lead_to_them(page: Page, former: str, path: str) -> None:
    page.goto(former)
    expect(page).to_have_url(path)
    expect(heading(page)).to_be_visible()


def test_an_empty_database_shows_commands_that_fill_this_very_one(
    browser: Browser, built: None, server: EmbeddedServer
) -> None:
    def shown(database: Database) -> list[str]:
        with serving(database) as address, browser.new_page() as page:
            page.goto(address)
            expect(page.locator("pre code")).to_have_count(3)
            lines = page.locator("pre code").all_inner_texts()
            return [line.replace(" \\\n ", "") for line in lines]

    with Database(f"{server.uri}/empty") as database:
        *_, analyze = shown(database)
        assert (
            analyze == f"lmsaes analyze runs/gpt2-8 --cache caches/gpt2-8 --db {server.uri}/empty"
        )
    with Database(folder=server.folder) as database:
        cache, train, analyze = shown(database)
    assert "--out caches/gpt2-8" in cache
    assert "--cache caches/gpt2-8" in train
    assert "--out runs/gpt2-8" in train
    of = f"LMSAES_DB_FOLDER={server.folder} "
    assert analyze == of + "lmsaes analyze runs/gpt2-8 --cache caches/gpt2-8"
