"""axe finds nothing on any page, in both themes, wide and on a phone."""

from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.support import made_up_analysis as made_up

from .pages import axe, press

pytestmark = pytest.mark.browser

PAGES = {
    "/saes/demo:topk?class=regular&feature=42": ".context",
    f"/saes/demo:groups/features/64?context={made_up.sample(64).contexts[1]}": ".opened footer",
    "/saes/demo:topk/features/9999": "[role=alert]",
    "/": "tbody tr",
    "/compare?sae=demo:topk&sae=demo:relu": ".compare-list tbody tr",
    "/search?sae=demo:topk&q=river": "main .results li",
    "/prompt#sae=demo:topk": "main textarea",
    "/steer#prompt=a+river&edit=demo:topk~42~add": ".steer-main table, .steer-main [role=grid]",
    "/lists": "main .results li",
    "/graphs": "main .command",
}


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(
    browser: Browser, address: str, theme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(
        base_url=address, color_scheme=theme, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    found: list[str] = []
    for path, ready in PAGES.items():
        page.goto(path)
        if width > 760 or ready != ".context":
            expect(page.locator(ready).first).to_be_visible()
        else:
            expect(page.get_by_role("grid")).to_be_visible()
        found += [f"{path}: {each}" for each in axe(page)]
    # what opens over a page
    press(page, "/")
    page.keyboard.type("river")
    expect(page.locator(".search-dialog .results a").first).to_be_visible()
    found += [f"search dialog: {each}" for each in axe(page)]
    page.goto("/saes/demo:topk/features/42")
    for name in ("A note on it", "Keep in a list", "embed ▾"):
        page.get_by_role("button", name=name).click()
        expect(page.locator(":popover-open").first).to_be_visible()
        found += [f"{name}: {each}" for each in axe(page)]
    context.close()
    assert not found, "\n".join(found)
