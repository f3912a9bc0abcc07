"""The pages beside Browse and Feature, from the server's answers to what stands on them."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from lmsaes.database import Database, ListContents, ListEntry
from tests.support import made_up_analysis as made_up

from .conftest import serving
from .pages import heading, press

pytestmark = pytest.mark.browser


def feature_of(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.locator(".context").first).to_be_visible()
    expect(page.get_by_role("button", name="Keep in a list")).to_be_visible()


def test_home_draws_every_measured_sae_and_lists_all(page: Page) -> None:
    page.goto("/?model=lmsaes-demo&hook=blocks.2.hook_resid_post")
    expect(page.get_by_role("row").filter(has_text="demo:relu")).to_contain_text("41.2")
    expect(page.locator(".pareto .point")).not_to_have_count(0)
    topk, relu = (
        page.get_by_role("checkbox", name=f"Mark demo:{name}") for name in ("topk", "relu")
    )
    topk.click()
    expect(topk).to_be_checked()
    page.get_by_role("row").get_by_role("link", name="demo:relu", exact=True).focus()
    for marks in (True, False, True):
        page.keyboard.press("x")
        expect(relu).to_be_checked(checked=marks)
    page.get_by_role("button", name="compare 2 marked").click()
    expect(heading(page)).to_contain_text("demo:topk")


def test_compare_matches_the_features_of_two_saes(page: Page) -> None:
    page.goto("/compare?sae=demo:topk&sae=demo:relu")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="demo:topk", exact=True))
    matched = made_up.FEATURES - len(made_up.DEAD)
    expect(row).to_contain_text(str(matched))
    pairs = page.locator(".compare-list tbody tr")
    expect(pairs.first).to_contain_text(".75")
    page.get_by_role("button", name="swap").click()
    expect(page).to_have_url(re.compile("sae=demo%3Arelu&sae=demo%3Atopk"))
    expect(heading(page)).to_have_text("demo:relu and demo:topk")


def test_search_finds_numbers_names_lists_and_tokens(page: Page, database: Database) -> None:
    kept = database.lists.add(ListContents(name="river towns"))
    page.goto("/search?sae=demo:topk&q=river")
    expect(page.get_by_role("link", name="river towns")).to_have_attribute(
        "href", f"/lists/{kept.id}"
    )
    expect(page.get_by_role("status").filter(has_text="found")).to_be_visible()
    expect(page.locator(".results").last).to_contain_text("river")
    field = page.get_by_role("searchbox", name=re.compile("Feature, token"))
    field.fill("42")
    expect(page.get_by_role("link", name="demo:topk 42")).to_be_visible()
    field.fill("demo:rel")
    expect(page.get_by_role("link", name="demo:relu", exact=True)).to_be_visible()
    database.lists.remove(kept.id)


def test_a_feature_is_kept_in_a_list_and_the_list_is_walked(page: Page, database: Database) -> None:
    feature_of(page, "/saes/demo:topk/features/42")
    press(page, "l")
    page.get_by_role("textbox", name="Name of a new list").fill("what rivers do")
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Name of a new list")).to_be_hidden()
    feature_of(page, "/saes/demo:topk/features/43")
    press(page, "l")
    page.get_by_role("button", name="what rivers do").click()
    expect(page.get_by_role("textbox", name="Name of a new list")).to_be_hidden()
    (kept,) = (each for each in database.lists.all() if each.name == "what rivers do")
    assert [entry.feature for entry in kept.features] == [42, 43]

    page.goto("/lists")
    page.get_by_role("link", name="what rivers do").click()
    note = page.get_by_role("textbox", name="Note on demo:topk 43")
    note.fill("upstream")
    note.blur()
    expect(page.get_by_role("status").filter(has_text="Kept")).to_be_attached()
    page.get_by_role("link", name="walk it").click()
    expect(page.locator("main")).to_contain_text("of 2")
    press(page, "Escape")
    expect(page.get_by_role("group", name="Filters")).to_contain_text("in list what rivers do")
    found = database.lists.get(kept.id)
    assert found is not None
    assert found.features[1].note == "upstream"
    database.lists.remove(kept.id)


def test_a_note_is_kept_found_and_goes_out_and_in_as_a_file(page: Page, tmp_path: Path) -> None:
    feature_of(page, "/saes/demo:relu/features/11")
    press(page, "m")
    page.get_by_role("textbox", name="Note", exact=True).fill("rivers, see 12")
    page.get_by_role("button", name="keep", exact=True).click()
    expect(page.get_by_role("button", name="A note on it: rivers, see 12")).to_be_visible()
    page.goto("/lists")
    part = page.get_by_role("region", name="Notes")
    part.get_by_role("combobox").select_option("demo:relu")
    expect(part.locator(".results")).to_contain_text("rivers, see 12")
    with page.expect_download() as download:
        part.get_by_role("link", name="as a file").click()
    download.value.save_as(tmp_path / "notes.json")
    (note,) = json.loads((tmp_path / "notes.json").read_text())["notes"]
    assert note == {"feature": 11, "text": "rivers, see 12"}
    (tmp_path / "more.json").write_text('{"notes": [{"feature": 12, "text": "lakes"}]}')
    part.get_by_label("A file of notes").set_input_files(tmp_path / "more.json")
    expect(part.locator(".results")).to_contain_text("lakes")
    part.get_by_role("link", name="browse them").click()
    expect(page.locator(".master footer")).to_contain_text("2 of 120")
    page.get_by_role("button", name="noted").click()
    expect(page.locator(".master footer")).to_contain_text("120 of 120")


def test_a_list_goes_out_as_a_file_and_comes_in_again(
    page: Page, database: Database, tmp_path: Path
) -> None:
    entry = ListEntry(sae="demo:topk", feature=5, note="the fifth")
    kept = database.lists.add(ListContents(name="taken away", features=[entry]))
    page.goto(f"/lists/{kept.id}")
    with page.expect_download() as download:
        page.get_by_role("button", name="as a file").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert json.loads(path.read_text())["features"] == [entry.model_dump()]
    page.get_by_role("button", name="remove the list").click()
    expect(page).to_have_url(re.compile("/lists$"))
    page.get_by_label("A list's file").set_input_files(path)
    expect(page).to_have_url(re.compile("/lists/[0-9a-f]{12}$"))
    expect(page.get_by_role("textbox", name="Note on demo:topk 5")).to_have_value("the fifth")
    database.lists.remove(page.url.rpartition("/")[2])


def test_what_was_said_of_a_feature_is_its_label_everywhere(page: Page) -> None:
    feature_of(page, "/saes/demo:early/features/42")
    press(page, "n")
    page.keyboard.type("names of towns")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="names of towns")).to_be_visible()
    page.goto("/saes/demo:early?text=towns&feature=42")
    expect(page.get_by_role("grid")).to_contain_text("names of towns")
    page.goto("/search?sae=demo:early&q=names+of")
    expect(page.locator(".results").last).to_contain_text("names of towns")


@pytest.mark.parametrize("format", ["json", "html", "python"])
def test_a_feature_is_taken_away_as_a_file(page: Page, format: str) -> None:
    feature_of(page, "/saes/demo:topk/features/42")
    page.get_by_role("button", name="export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile(rf"^{format}\b")).click()
    suffix = "py" if format == "python" else format
    assert download.value.suggested_filename == f"demo-topk-42.{suffix}"


def test_without_a_model_the_pages_say_how_to_start_one(page: Page, database: Database) -> None:
    with serving(database, model="none") as other:
        for path in ("prompt#sae=demo:topk&text=a+river", "steer#prompt=a+river"):
            page.goto("about:blank")
            page.goto(f"{other}/{path}")
            expect(page.locator("main .command").first).to_contain_text("--model auto")
            expect(page.locator("main .skeleton")).to_have_count(0)
        page.goto("about:blank")


def test_a_model_that_is_gone_is_told_and_the_text_stays(page: Page) -> None:
    page.goto("/prompt#sae=demo:topk&text=a+river")
    # the first such request loads torch
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("runs/demo/topk is not a folder", timeout=60_000)
    page.get_by_role("button", name="edit the text").click()
    expect(page.get_by_role("textbox", name="Text", exact=True)).to_have_value("a river")
