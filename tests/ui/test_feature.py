"""One feature: its contexts, what is said of it, and what happens while it is fetched."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.support import made_up_analysis as made_up
from tests.support.safetensors_files import file_about, with_about

from .pages import color, heading, luminance, press

pytestmark = pytest.mark.browser

DENSE = made_up.DENSE[1]


def contexts(page: Page) -> Locator:
    return page.locator(".context > button")


def opened(page: Page, index: int = 42, query: str = "") -> None:
    page.goto(f"/saes/demo:topk/features/{index}{query}")
    expect(page.locator(".headline")).to_contain_text(f"feature {index}")


def test_every_token_is_colored_by_its_share_of_the_maximum(page: Page) -> None:
    expected, maximum = made_up.sample(DENSE), made_up.feature(DENSE).maximum
    opened(page, DENSE, f"?context={expected.contexts[5]}")
    tokens = page.locator(".opened .t")
    expect(tokens).to_have_count(made_up.CONTEXT_SIZE)
    for position, activation in enumerate(expected.activations[5].tolist()):
        token = tokens.nth(position)
        opacity = 0.12 + 0.68 * (activation / maximum) ** 0.5 if activation else 0.0
        assert color(token)[3] == pytest.approx(opacity, abs=0.01)
    expect(page.locator(".opened .peak")).to_have_count(1)
    expect(tokens.nth(int(expected.positions[5]))).to_have_class(re.compile("peak"))


def test_a_token_says_its_activation_on_hover_and_on_focus(page: Page) -> None:
    opened(page)
    tip = page.get_by_role("tooltip")
    expect(tip).to_have_count(0)
    page.locator(".peak").first.hover()
    *_, value = tip.inner_text().split()
    assert float(value) == pytest.approx(made_up.feature(42).maximum, rel=0.005)
    page.keyboard.press("Escape")
    expect(tip).to_have_count(0)
    page.get_by_text("mean when active").focus()
    expect(tip).to_contain_text("over the tokens on which it is active")


def test_a_row_opens_in_place_and_has_an_address(page: Page) -> None:
    opened(page, DENSE)
    second = contexts(page).nth(1)
    second.focus()
    page.keyboard.press("Enter")
    expect(second).to_have_attribute("aria-expanded", "true")
    number = int(made_up.sample(DENSE).contexts[1])
    expect(page).to_have_url(re.compile(f"context={number}"))
    expect(page.locator(".opened footer")).to_contain_text(f"context {number}")
    page.reload()
    expect(page.locator(".opened footer")).to_contain_text(f"context {number}")
    text = page.locator(".opened p.wrapped").first
    text.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".opened .t:focus")).to_have_class(re.compile("peak"))
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".opened .t:focus")).not_to_have_class(re.compile("peak"))
    expect(page).to_have_url(re.compile(rf"/features/{DENSE}\?context={number}"))


def test_a_feature_is_one_request(page: Page) -> None:
    """With its contexts: beside what stays for all of them, and those next to it."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page)
    own = [url for url in asked if "/features/42" in url and "/api/" in url]
    kept = ("/explanations", "/note")
    (one,) = (url for url in own if not url.endswith(kept))
    assert "group=top&page=true" in one


def test_rows_are_one_stop_of_the_tab_key(page: Page) -> None:
    opened(page, DENSE)
    contexts(page).first.focus()
    page.keyboard.press("ArrowDown")
    expect(contexts(page).nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(contexts(page).last).to_be_focused()
    assert page.locator('.context > button[tabindex="0"]').count() == 1


def test_rows_sort_by_the_word_on_either_side(page: Page) -> None:
    opened(page, DENSE)
    expect(contexts(page)).to_have_count(made_up.TOP)
    press(page, "[")
    expect(page).to_have_url(re.compile("words=left"))
    sample, tokens = made_up.sample(DENSE), made_up.context_tokens()
    words = sorted(
        made_up.TOKENS[tokens[context, position - 1]].strip() if position else ""
        for context, position in zip(sample.contexts, sample.positions, strict=True)
    )
    last = contexts(page).last.locator(".left .t").last
    expect(last).to_have_text(re.compile(rf"\s*{re.escape(words[-1])}"))
    press(page, "[")
    expect(page).not_to_have_url(re.compile("words="))


def test_groups_are_tabs_with_arrow_keys_numbers_and_addresses(page: Page) -> None:
    page.goto("/saes/demo:groups/features/64")
    tabs = page.get_by_role("tab")
    expect(tabs).to_have_count(8)
    strongest = contexts(page).first.locator("b").inner_text()
    press(page, "3")
    expect(page).to_have_url(re.compile("group=interval-1"))
    expect(contexts(page).last.locator("b")).to_have_text(strongest)
    tabs.nth(2).focus()
    page.keyboard.press("ArrowRight")
    expect(tabs.nth(3)).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_have_attribute("aria-labelledby", "tab-interval-2")
    page.reload()
    expect(tabs.nth(3)).to_have_attribute("aria-selected", "true")


def test_what_is_said_of_a_feature_is_its_headline_and_can_be_taken_back(page: Page) -> None:
    opened(page, 50)
    press(page, "n")
    page.keyboard.type("kings and rivers")
    page.keyboard.press("Enter")
    page.reload()
    field = page.get_by_role("textbox", name="What you think")
    expect(field).to_have_value("kings and rivers")
    field.fill("")
    field.press("Enter")
    expect(page.get_by_role("button", name=re.compile("said of it so far"))).to_be_visible()
    page.reload()
    expect(field).to_have_value("")


def test_white_space_is_drawn_and_tokens_are_isolated(page: Page) -> None:
    opened(page, 0)
    promoted = page.get_by_role("list", name="Promotes").locator("code")
    expect(promoted.first).to_have_text("↵")
    expect(promoted.nth(5)).to_have_text("␣the")
    token = page.locator(".t").first
    assert token.evaluate("element => getComputedStyle(element).unicodeBidi") == "isolate"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_keeps_its_contrast_on_the_strongest_token(page: Page, theme: str) -> None:
    """4.5 : 1, as WCAG 2.2 asks of text (1.4.3)."""
    page.emulate_media(color_scheme=theme)  # pyright: ignore[reportArgumentType]
    opened(page)
    token = page.locator(".peak").first
    over, under = color(token), color(page.locator("body"))
    text = token.evaluate("element => getComputedStyle(element).color")
    ink = [float(number) for number in re.findall(r"[\d.]+", text)]
    behind = [o * over[3] + u * (1 - over[3]) for o, u in zip(over[:3], under[:3], strict=True)]
    lighter, darker = sorted((luminance(ink), luminance(behind)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_its_wiring_is_shown_and_a_side_without_says_why(page: Page) -> None:
    opened(page)
    written, read = (page.locator(".wiring", has_text=f"{side} by") for side in ("Written", "Read"))
    expect(written.get_by_role("listitem").first).to_have_text("L0H2−2.50× 2.50")
    expect(written.get_by_role("list", name="MLP neurons")).to_contain_text("L1N5000")
    expect(read).to_contain_text("Unknown: nothing comes after it.")


def test_a_dead_feature_says_so_and_has_no_numbers(page: Page) -> None:
    opened(page, made_up.DEAD[0])
    expect(heading(page)).to_have_text("never active")
    expect(page.locator("main")).to_contain_text("Never active in")
    expect(page.locator(".facts")).not_to_contain_text("maximum")


def test_the_feature_stays_until_the_next_is_there(page: Page) -> None:
    opened(page, 42, "?sort=index")
    held: list[Route] = []
    page.route("**/features/44/contexts?*", lambda route: held.append(route))
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile("/features/44"))
    expect(page.locator("article")).to_have_attribute("aria-busy", "true")
    expect(contexts(page).first).to_be_visible()
    for route in held:
        route.continue_()
    page.unroute_all()
    expect(page.locator("article")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".facts")).to_contain_text(f"{made_up.feature(44).firings}firings")


def test_what_is_being_replaced_is_asked_for_again_by_itself(page: Page) -> None:
    answers = [503, 410]

    def replaced(route: Route) -> None:
        if answers:
            route.fulfill(status=answers.pop(), json={"detail": "this analysis is being replaced"})
        else:
            route.continue_()

    page.route("**/contexts?*", replaced)
    page.goto("/saes/demo:topk/features/42")
    expect(contexts(page).first).to_be_visible(timeout=15_000)
    assert answers == []


def test_a_server_that_is_gone_is_said_and_can_be_tried_again(page: Page) -> None:
    opened(page, 42, "?sort=index")
    page.route("**/features/45/contexts?*", lambda route: route.abort())
    for _ in range(3):
        page.keyboard.press("j")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(contexts(page).first).to_be_visible()
    expect(page.locator(".headline")).to_contain_text("feature 45")


def test_numbers_that_are_null_are_dashes_and_break_nothing(page: Page) -> None:
    def without(route: Route) -> None:
        answer = route.fetch()
        about = file_about(answer.body())
        feature = about["page"]
        none = {"mean": None, "contexts": None, "stability": None, "logits": None, "label": None}
        twins = [{**twin, "cosine": None, "correlation": None} for twin in feature["twins"]]
        about["page"] = {**feature, **none, "twins": twins}
        route.fulfill(body=with_about(answer.body(), about))

    page.route("**/features/42/contexts?*", without)
    opened(page)
    expect(page.locator(".facts")).to_contain_text("–mean when active")
    expect(page.locator(".near.twin")).to_contain_text("–")
    expect(contexts(page).first).to_be_visible()


def test_a_context_says_what_the_feature_does_to_the_next_tokens(page: Page) -> None:
    """As the model answers it, asked of the analysis that is shown."""
    sample = made_up.sample(42)
    context = int(sample.contexts[0])
    changes = [0.0, -0.5, 0.25, *[None] * (made_up.CONTEXT_SIZE - 3)]
    asked: list[dict] = []

    def answer(route: Route) -> None:
        asked.append(route.request.post_data_json)
        route.fulfill(json={"contexts": [{"context": context, "changes": changes}]})

    page.route("**/features/42/loss-effect", answer)
    page.goto(f"/saes/demo:topk/features/42?context={context}")
    page.get_by_role("button", name="loss effect").click()
    shown = page.locator(".loss-effect li")
    expect(shown).to_have_count(2)
    tokens = [made_up.TOKENS[token] for token in made_up.context_tokens()[context, :4]]
    expect(shown.first).to_contain_text("−0.5")
    expect(shown.first).to_contain_text(tokens[2].strip())
    (body,) = asked
    assert body["contexts"] == [context]
    assert body["analysis"]


def test_without_a_model_own_text_says_what_loads_it(page: Page) -> None:
    about = {
        "version": "0",
        "schema_version": 2,
        "database": "here",
        "database_uri": "mongodb://host/name",
        "database_folder": None,
        "asks_model": False,
        "model": None,
    }
    page.route("**/api/about", lambda route: route.fulfill(json=about))
    opened(page)
    expect(page.locator(".try")).to_contain_text("--model auto --db mongodb://host/name")
    expect(contexts(page).first).to_be_visible()
