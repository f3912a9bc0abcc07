"""The viewer's shell as a person uses it, in headless Chromium."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lmsaes.database import Database, EmbeddedServer

from .conftest import EARLY, serving
from .pages import color, heading, luminance, press

pytestmark = pytest.mark.browser


def test_from_home_to_a_feature_by_links(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="blocks.2.hook_resid_post").click()
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="demo:topk")).to_contain_text("31.5")
    page.get_by_role("table").get_by_role("link", name="demo:topk", exact=True).click()
    expect(page).to_have_url(re.compile(r"/saes/demo:topk$"))
    expect(heading(page)).to_have_text("demo:topk")
    page.get_by_role("grid").get_by_role("row").nth(3).dblclick()
    expect(page).to_have_url(re.compile(r"/saes/demo:topk/features/\d+"))
    page.get_by_role("navigation", name="Breadcrumbs").get_by_text("demo:topk").click()
    expect(page).to_have_url(re.compile(r"/saes/demo:topk$"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"/features/\d+"))


def test_the_search_takes_a_number_to_its_feature(page: Page) -> None:
    page.goto("/saes/demo:topk")
    expect(page.locator(".headline h2")).to_be_visible()
    press(page, "/")
    field = page.get_by_role("dialog", name="Search").get_by_role("textbox")
    expect(field).to_be_focused()
    page.keyboard.type("42")
    press(page, "Enter")
    expect(page).to_have_url(re.compile(r"/saes/demo:topk/features/42$"))
    expect(page.locator("main")).to_contain_text("feature 42")


def test_the_search_is_a_dialog_over_any_page_with_arrow_keys_among_what_is_found(
    page: Page,
) -> None:
    page.goto("/compare?sae=demo:topk&sae=demo:relu")
    expect(heading(page)).to_be_visible()
    press(page, "/")
    dialog = page.get_by_role("dialog", name="Search")
    page.keyboard.type("river")
    found = dialog.locator(".results a")
    expect(found.first).to_be_visible()
    all_found = dialog.get_by_role("link", name="all that is found")
    expect(all_found).to_have_attribute("href", "/search?q=river&sae=demo%3Atopk")
    page.keyboard.press("ArrowDown")
    expect(found.first).to_be_focused()
    index = found.first.inner_text()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/saes/demo:topk/features/{index}$"))
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="feature, token, label").click()
    expect(dialog.get_by_role("textbox")).to_have_value("")
    page.keyboard.type("demo:re")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/search\?q=demo%3Are"))
    expect(page.get_by_role("link", name="demo:relu", exact=True)).to_be_visible()


def test_the_help_lists_the_keys_of_the_page_and_closes_with_escape(page: Page) -> None:
    page.goto("/saes/demo:topk/features/42")
    expect(heading(page)).to_be_visible()
    press(page, "?")
    help_ = page.get_by_role("dialog", name="Keys")
    for what in ("next feature of the list", "try a text of your own", "find a feature"):
        expect(help_).to_contain_text(what)
    press(page, "j")
    expect(page).to_have_url(re.compile(r"/features/42$"))
    press(page, "Escape")
    expect(help_).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/features/42$"))


def test_the_first_stop_of_the_tab_key_skips_to_the_content(page: Page) -> None:
    page.goto("/saes/demo:topk/features/42")
    expect(heading(page)).to_be_visible()
    press(page, "Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_pages_are_named_to_those_who_do_not_see_them(page: Page) -> None:
    page.goto("/saes/demo:topk?feature=3")
    status = page.locator(".heard[role=status]")
    expect(status).to_have_text("feature 3 · demo:topk")
    expect(page).to_have_title("feature 3 · demo:topk · lmsaes")
    press(page, "j")
    expect(status).not_to_have_text("feature 3 · demo:topk")
    expect(status).to_contain_text("feature")


def test_dark_follows_the_system_and_the_button_which_is_remembered(page: Page) -> None:
    page.goto("/saes/demo:topk")
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
        ("/saes/demo:tok", "no SAE 'demo:tok': there are demo:topk"),
        ("/saes/demo:tok/features/1", "no SAE 'demo:tok': there are demo:topk"),
        ("/saes/demo:topk/features/9999", "features 0 to 119 were analyzed"),
        ("/saes/demo:topk/features/five", "features 0 to 119 were analyzed"),
        ("/nowhere/at/all", "no page at /nowhere/at/all"),
    ],
)
def test_an_error_says_what_there_is_and_the_bar_leads_on(
    page: Page, path: str, message: str
) -> None:
    page.goto(path)
    expect(page.get_by_role("alert")).to_contain_text(message)
    page.get_by_role("link", name="home").click()
    expect(page.get_by_role("table")).to_be_visible()


@pytest.mark.parametrize(
    ("former", "path"),
    [
        ("/sae/demo:topk?class=dead", "/saes/demo:topk?class=dead"),
        ("/sae/demo:topk/feature/42?group=top", "/saes/demo:topk/features/42?group=top"),
    ],
)
def test_former_addresses_of_pages_lead_to_them(page: Page, former: str, path: str) -> None:
    page.goto(former)
    expect(page).to_have_url(path)
    expect(heading(page)).to_be_visible()


def test_what_was_not_measured_is_a_dash(page: Page) -> None:
    page.goto(f"/?model=lmsaes-demo&hook={EARLY}")
    row = page.get_by_role("row").filter(has_text="demo:early")
    row.get_by_role("link").first.click()
    expect(page.locator(".title")).to_contain_text("FVU – · L0 –")


def test_an_empty_database_shows_commands_that_fill_this_very_one(
    browser: Browser,
    built: None,
    server: EmbeddedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

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
    # what is on this machine already stands in their place
    there, run = tmp_path / "caches" / "king james", tmp_path / "runs" / "first"
    there.mkdir(parents=True)
    (there / "manifest.json").write_text('{"hooks": {"blocks.1.hook_mlp_out": {}}}')
    with Database(f"{server.uri}/empty") as database:
        _, train, _ = shown(database)
        assert train == (
            f"lmsaes train --cache '{there}' --hook blocks.1.hook_mlp_out --out 'runs/king james'"
        )
        (run / "topk").mkdir(parents=True)
        (run / "topk" / "config.json").write_text("{}")
        (run / "train.toml").write_text(f'cache = "{there}"')
        *_, analyze = shown(database)
    assert analyze.startswith(f"lmsaes analyze {run} --cache '{there}' --db ")
