"""What tests of pages have in common."""

import re
from pathlib import Path

from playwright.sync_api import Locator, Page

_AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def axe(page: Page) -> list[str]:
    """What axe finds on a page as it stands; WCAG A and AA, and best practice."""
    page.evaluate(_AXE.read_text())
    answer = page.evaluate("rules => axe.run({ runOnly: rules })", _RULES)
    return [
        f"{each['id']}: {each['help']}: {node['html'][:200]}"
        for each in answer["violations"]
        for node in each["nodes"][:2]
    ]


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def color(locator: Locator) -> list[float]:
    """Red, green, blue and opacity of a background."""
    text = locator.evaluate("element => getComputedStyle(element).backgroundColor")
    channels = [float(number) for number in re.findall(r"[\d.]+", text)]
    if text.startswith("color("):  # of 0 to 1, what is worked out from another color
        channels[:3] = [255 * channel for channel in channels[:3]]
    return channels if len(channels) == 4 else [*channels, 1.0]


PAINTED = """() => new Promise((painted) =>
  new PerformanceObserver((list) => {
    if (list.getEntriesByName("first-contentful-paint").length) painted();
  }).observe({ type: "paint", buffered: true }))"""


def press(page: Page, key: str) -> None:
    """Presses a key once the page is painted: Chromium drops what is typed before that."""
    page.evaluate(PAINTED)
    page.keyboard.press(key)


def luminance(channels: list[float]) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in channels[:3])
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
