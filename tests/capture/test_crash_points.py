"""Killed between any two changes of the disk, the same command ends in the same bytes."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from lmsaes.cache import MANIFEST, ActivationCache
from lmsaes.cache_tools.remove import remove
from lmsaes.cache_tools.verify import verify
from lmsaes.capture import cache_activations
from lmsaes.model import LanguageModel
from tests.support.crash_points import contents, count, dies_before
from tests.support.small_capture import SMALL

# run by tests/test_crash_points.py, in a process of their own
pytestmark = pytest.mark.forks

HOOK = "blocks.1.hook_resid_post"


def capture_here(out: Path, overwrite: bool = False, tokens: int = 192) -> ActivationCache:
    """Two shards, of which the second is short."""
    return cache_activations(**SMALL, hooks=HOOK, out=out, tokens=tokens, overwrite=overwrite)


@pytest.fixture
def loaded_once(
    language_model: LanguageModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each child has the model that the tests have loaded, in the state that one use leaves."""
    monkeypatch.setattr(LanguageModel, "load", staticmethod(lambda *_, **__: language_model))
    capture_here(tmp_path / "before")


def stable(folder: Path) -> dict[str, bytes]:
    """What a capture determines: all but the manifest's time, which its first start decides."""
    found = contents(folder)
    lines = found[MANIFEST].splitlines()
    found[MANIFEST] = b"\n".join(line for line in lines if b'"created"' not in line)
    return found


STATES = ["fresh", "resumed", "overwrite", "overwrite finished"]


@pytest.mark.usefixtures("loaded_once")
@pytest.mark.parametrize(
    ("state", "share"),
    [
        ("fresh", 60),
        ("overwrite finished", 75),
        *(pytest.param(state, 1, marks=pytest.mark.stress) for state in STATES),
    ],
)
def test_killed_before_any_change_the_same_command_goes_on(
    tmp_path: Path, state: str, share: int
) -> None:
    """share: every which change is died before."""
    begun, whole, out = tmp_path / "begun", tmp_path / "whole", tmp_path / "out"
    command = partial(capture_here, out, overwrite=state.startswith("overwrite"))
    capture_here(whole)
    if state == "resumed":
        assert dies_before(25, partial(capture_here, out), out)
    elif state == "overwrite":
        assert dies_before(25, partial(capture_here, out, tokens=256), out)
    elif state == "overwrite finished":
        capture_here(out, tokens=256)
    if state != "fresh":
        out.rename(begun)

    def start() -> None:
        shutil.rmtree(out, ignore_errors=True)
        if state != "fresh":
            shutil.copytree(begun, out)

    start()
    total = count(command, out)
    assert total > 20
    assert stable(out) == stable(whole)
    faults: list[str] = []
    for change in range(1, total + 1, share):
        start()
        assert dies_before(change, command, out)
        try:
            command()
            one, other = stable(out), stable(whole)
            if one != other:
                names = (n for n in sorted(one | other) if one.get(n) != other.get(n))
                faults.append(f"{change}: {', '.join(names)}")
        except Exception as error:
            faults.append(f"{change}: {error}")
    assert faults == []
    assert verify(out, deep=True) == []


@pytest.mark.usefixtures("loaded_once")
def test_removing_a_cache_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    capture_here(whole)
    shutil.copytree(whole, out)
    total = count(partial(remove, out), out)
    assert not out.exists()
    for change in range(1, total):
        shutil.copytree(whole, out)
        assert dies_before(change, partial(remove, out), out)
        if contents(out):  # else only empty folders are left
            assert remove(out) == []
        shutil.rmtree(out, ignore_errors=True)
