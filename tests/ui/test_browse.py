"""The list of an SAE's features with the selected one beside it."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support import made_up_analysis as made_up

from .pages import heading, press

pytestmark = pytest.mark.browser

FEATURES = [made_up.feature(index) for index in range(made_up.FEATURES)]
BY_MAXIMUM = [each.index for each in sorted(FEATURES, key=lambda each: -each.maximum)]


def rows(page: Page) -> Locator:
    return page.get_by_role("grid").get_by_role("row")


def selected(page: Page) -> int:
    (value,) = parse_qs(urlsplit(page.url).query)["feature"]
    return int(value)


def opened(page: Page, query: str = "") -> None:
    page.goto(f"/saes/demo:topk{query}")
    expect(page.locator(".headline h2")).to_be_visible()


def test_the_list_is_sorted_by_any_column_in_the_address(page: Page) -> None:
    opened(page)
    first = rows(page).nth(1)
    expect(first).to_contain_text(str(BY_MAXIMUM[0]))
    expect(first.get_by_role("gridcell").nth(3)).to_have_text(
        f"{FEATURES[BY_MAXIMUM[0]].maximum:.1f}"
    )
    head = page.get_by_role("columnheader", name="density")
    head.get_by_role("button", name="density", exact=True).click()
    expect(page).to_have_url(re.compile("sort=density"))
    expect(head).to_have_attribute("aria-sort", "descending")
    densest = max(FEATURES, key=lambda each: each.density)
    expect(first.get_by_role("gridcell").first).to_have_text(str(densest.index))
    head.get_by_role("button", name="density", exact=True).click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(first.get_by_role("gridcell").first).to_have_text(str(made_up.DEAD[0]))


def test_filters_are_chips_that_say_what_they_hide(page: Page) -> None:
    opened(page, "?class=dense&maximum=1~")
    chip = page.get_by_role("button", name="dense")
    hidden = sum(each.maximum >= 1 for each in FEATURES) - len(made_up.DENSE)
    expect(chip).to_contain_text(f"−{hidden}")
    expect(page.locator(".master footer")).to_contain_text(f"{len(made_up.DENSE)} of 120")
    expect(rows(page)).to_have_count(1 + len(made_up.DENSE))
    chip.click()
    expect(page).to_have_url(re.compile(r"/saes/demo:topk\?maximum=1"))
    expect(page.locator(".master footer")).to_contain_text(f"{hidden + len(made_up.DENSE)} of 120")


def test_an_empty_list_names_the_filter_to_take_off(page: Page) -> None:
    page.goto("/saes/demo:topk?class=dead&maximum=1~")
    take_off = page.get_by_role("button", name=re.compile("Take off"))
    expect(take_off).to_contain_text("brings back")
    take_off.click()
    expect(rows(page).nth(1)).to_be_visible()


def test_a_list_filters_by_what_is_in_it(page: Page) -> None:
    opened(page)
    page.get_by_role("button", name="in list…").click()
    page.get_by_role("button", name="kept before").click()
    expect(page.locator(".master footer")).to_contain_text("1 of 120")
    expect(rows(page).nth(1)).to_contain_text("42")
    page.get_by_role("button", name="kept before").click()
    expect(page.locator(".master footer")).to_contain_text("120 of 120")


def test_a_token_filters_by_what_features_fire_on(page: Page) -> None:
    opened(page)
    page.get_by_role("button", name="fires on…").click()
    page.get_by_role("textbox", name="fires on").fill("␣king")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("fires="))
    king = made_up.TOKENS.index(" king")
    firing = [
        each.index
        for each in FEATURES
        if each.details and king in each.details.fires_on["token"][:5].tolist()
    ]
    expect(page.locator(".master footer")).to_contain_text(f"{len(firing)} of 120")


def test_no_key_is_lost_however_fast_they_are_pressed(page: Page) -> None:
    opened(page)
    page.evaluate(
        """() => {
          const press = { key: "j", bubbles: true };
          for (let i = 0; i < 50; i++)
            document.body.dispatchEvent(new KeyboardEvent("keydown", press));
        }"""
    )
    expect(page).to_have_url(re.compile(f"feature={BY_MAXIMUM[50]}"))
    expect(page.locator(".headline p a")).to_have_text(str(BY_MAXIMUM[50]))
    press(page, "k")
    expect(page).to_have_url(re.compile(f"feature={BY_MAXIMUM[49]}"))
    press(page, "ArrowRight")
    assert selected(page) == BY_MAXIMUM[50]
    expect(page.locator("[aria-selected=true]").first).to_contain_text(str(BY_MAXIMUM[50]))


def test_the_list_is_one_stop_with_arrow_keys_inside(page: Page) -> None:
    opened(page)
    page.get_by_role("grid").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile(f"feature={BY_MAXIMUM[2]}(&|$)"))
    page.keyboard.press("End")
    expect(page).to_have_url(re.compile(f"feature={BY_MAXIMUM[-1]}(&|$)"))
    active = f"row-{BY_MAXIMUM[-1]}"
    expect(page.get_by_role("grid")).to_have_attribute("aria-activedescendant", active)
    expect(page.locator(f"#{active}")).to_contain_text(str(BY_MAXIMUM[-1]))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/features/{BY_MAXIMUM[-1]}"))


def test_the_whole_page_walks_the_list_it_was_opened_from(page: Page) -> None:
    opened(page, "?sort=index&maximum=5~")
    walked = [each.index for each in FEATURES if each.maximum >= 5]
    press(page, "Enter")
    expect(heading(page)).not_to_have_text("demo:topk")
    expect(page.locator(".headline")).to_contain_text(f"row 1 of {len(walked)}")
    for _ in range(3):
        page.keyboard.press("j")
    expect(page).to_have_url(re.compile(rf"/features/{walked[3]}\?"))
    expect(page.locator(".headline")).to_contain_text(f"row 4 of {len(walked)}")
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(rf"/saes/demo:topk\?.*feature={walked[3]}"))


def test_a_box_on_the_map_filters_by_density_and_maximum(page: Page) -> None:
    opened(page)
    box = page.locator(".map svg").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 3, box["y"] + 20
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 30)
    page.mouse.move(x + box["width"] / 3, y + 70)
    page.mouse.up()
    expect(page).to_have_url(re.compile("density=.*maximum="))
    query = parse_qs(urlsplit(page.url).query)
    (low, high), (least, most) = (
        map(float, query[key][0].split("~")) for key in ("density", "maximum")
    )
    inside = [
        each.index
        for each in FEATURES
        if low <= each.density <= high and least <= each.maximum <= most
    ]
    assert 0 < len(inside) < made_up.FEATURES
    expect(page.locator(".master footer")).to_contain_text(f"{len(inside)} of 120")
    press(page, "Escape")
    expect(page.locator(".master footer")).to_contain_text("120 of 120")


def test_a_head_holds_its_histogram_and_takes_bounds(page: Page) -> None:
    opened(page)
    page.get_by_role("button", name="Filter by max").click()
    expect(page.get_by_role("img", name="Features by max")).to_be_visible()
    field = page.get_by_role("textbox", name="from")
    field.fill("6")
    field.press("Enter")
    expect(page).to_have_url(re.compile("maximum=6"))
    strong = sum(each.maximum >= 6 for each in FEATURES)
    expect(page.locator(".master footer")).to_contain_text(f"{strong} of 120")


def test_a_partial_analysis_says_that_it_is_one(page: Page) -> None:
    page.goto("/saes/demo:partial")
    expect(page.locator(".partial").first).to_have_text("features 0–119 of 500 analyzed")


def test_on_a_phone_the_list_is_the_page_and_a_tap_opens_the_feature(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/saes/demo:topk")
    rows(page).nth(2).click()
    expect(page).to_have_url(re.compile(rf"/features/{BY_MAXIMUM[1]}$"))
    page.set_viewport_size({"width": 320, "height": 640})
    expect(page.locator(".contexts")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
