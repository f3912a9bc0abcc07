"""Counts, sizes, ranges and times as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmsaes.errors import ConfigError, nearest
from lmsaes.units import (
    exact_bytes,
    exact_count,
    format_duration,
    parse_bytes,
    parse_count,
    parse_range,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [("200k", 200_000), ("1.5M", 1_500_000), ("2B", 2 * 10**9), (2e4, 20_000), ("2e4", 20_000),
     ("1_000", 1000), (7, 7)],
)  # fmt: skip
def test_counts_are_read_as_people_write_them(text, count: int):
    assert parse_count(text) == count


@pytest.mark.parametrize(
    "text", ["many", "", "-5", "1.5", 1.5, True, float("nan"), float("inf"), "infk", None, []]
)
def test_what_is_no_count_is_refused(text):
    with pytest.raises(ConfigError, match="is not a count"):
        parse_count(text)


@given(st.integers(0, 10**13))
def test_what_help_shows_of_a_count_or_size_reads_back_as_it_is(number: int):
    assert parse_count(exact_count(number)) == number
    assert parse_bytes(exact_bytes(number)) == number


@pytest.mark.parametrize(
    ("text", "found"),
    [("0:512", (0, 512)), ("5:", (5, None)), (":7", (None, 7)), (":", (None,) * 2)],
)
def test_ranges(text: str, found: tuple):
    parsed = parse_range(text, "features")
    assert (parsed.start, parsed.stop) == found


@pytest.mark.parametrize("text", ["most", "5", "1:2:3", "-1:4", "a:b", "²:3"])
def test_what_is_no_range_is_refused_by_what_it_is_of(text: str):
    with pytest.raises(ConfigError, match="is not a range of features"):
        parse_range(text, "features")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"), (11_100, "3 h 05 min"),
     (500_000, "5 d 18 h")],
)  # fmt: skip
def test_durations(seconds: float, text: str):
    assert format_duration(seconds) == text


def test_the_nearest_names_come_first():
    hooks = ["blocks.8.hook_resid_post", "blocks.8.hook_resid_pre", "hook_embed"]
    assert nearest("block.8.hook_resid_pre", hooks, 2) == [hooks[1], hooks[0]]
    assert nearest("x", [], 2) == []
