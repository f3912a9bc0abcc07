"""The picture of SAEs against each other."""

import pytest

from lmsaes.errors import ConfigError
from lmsaes.evaluation import Evaluation
from lmsaes.evaluation.plot import check_plot, pareto_front, write_plot


def test_the_front_holds_what_no_other_beats_on_both():
    points = [(32.0, 0.2), (16.0, 0.3), (64.0, 0.25), (64.0, 0.1), (16.0, 0.35)]
    assert pareto_front(points, low=True) == [(16.0, 0.3), (32.0, 0.2), (64.0, 0.1)]
    assert pareto_front(points, low=False) == [(16.0, 0.35)]


def test_a_picture_is_drawn_of_what_was_measured(tmp_path):
    def result(name: str, **figures: float) -> Evaluation:
        return Evaluation(
            name=name, path="", architecture="topk", features=4, hooks=("h",), cache="c",
            cache_path="", rows=1, contexts=1, first_context=0, last_context=0,
            seen_in_training=None, rows_used="", **figures,
        )  # fmt: skip

    file = tmp_path / "p.svg"
    write_plot([result("r:a", l0=4, fvu=0.2, fvu_se=0.01), result("r:b", l0=8, fvu=0.1)], file)
    content = file.read_text()
    assert content.startswith("<?xml")
    assert "L0" in content or "<path" in content
    write_plot([], tmp_path / "none.png")
    assert (tmp_path / "none.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs matplotlib") as error:
        check_plot(tmp_path / "p.png")
    assert "lmsaes[plot]" in (error.value.hint or "")
