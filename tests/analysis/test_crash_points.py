"""Killed between any two changes of the disk or the database, the same command stores the same."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lmsaes.analysis import analyze
from lmsaes.analysis import run as run_module
from lmsaes.analysis import scan as scan_module
from lmsaes.cache import ActivationCache
from lmsaes.capture import cache_activations
from lmsaes.database import Database, feature_page
from lmsaes.database.embedded import EmbeddedServer
from lmsaes.model import LanguageModel
from lmsaes.sae import TopKConfig
from lmsaes.training import train
from tests.support.crash_points import count, dies_before
from tests.support.small_capture import SMALL

# run by tests/test_crash_points.py, in a process of their own
pytestmark = pytest.mark.forks

HOOK, FEATURES = "blocks.1.hook_resid_post", 12


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crash")
    cache_activations(**SMALL, hooks=HOOK, out=folder / "cache", tokens=512)
    sae = TopKConfig(name="sae", features=FEATURES, k=2, hook=HOOK)
    training = partial(
        train, folder / "cache", sae, out=folder / "run", tokens=256, batch_size=64, device="cpu",
        allow_poor_shuffle=True,
    )  # fmt: skip
    assert not dies_before(1 << 30, training, folder)
    return folder


@pytest.fixture(scope="module")
def server(work: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(work / "db") as server:
        yield server


@pytest.fixture(autouse=True)
def small_steps(language_model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """One model for all, and a checkpoint after each of a few batches."""
    monkeypatch.setattr(LanguageModel, "load", staticmethod(lambda *_, **__: language_model))
    monkeypatch.setattr(scan_module, "_ROWS_PER_BATCH", 256)
    monkeypatch.setattr(run_module, "scan", partial(scan_module.scan, checkpoint_every=-1))


def analyze_here(work: Path, uri: str, scratch: Path, top: int = 3) -> None:
    with Database(uri) as database:
        analyze(
            work / "run/sae", ActivationCache.open(work / "cache"), database, name="it",
            scratch=str(scratch), top=top, samples=2, device="cpu",
        )  # fmt: skip


def write_documents(uri: str, file: Path) -> None:
    """What people see of every feature, and whether the database holds nothing else."""
    with Database(uri) as database, np.printoptions(threshold=10**6):
        (record,) = database.saes()
        pages = [repr(feature_page(database, record, index)) for index in range(FEATURES)]
        columns = {k: v.tolist() for k, v in database.columns(record.analysis).items()}
        file.write_text("\n".join([record.sae_hash, str(columns), *pages]))


def documents(uri: str, folder: Path) -> str:
    """Read by a child, so that this process has no threads of a client."""
    file = folder / "documents.txt"
    assert not dies_before(1 << 30, partial(write_documents, uri, file), folder)
    return file.read_text()


@pytest.mark.parametrize(
    ("state", "share"),
    [
        ("replaced", 40),
        *(pytest.param(state, 1, marks=pytest.mark.stress) for state in ("fresh", "replaced")),
    ],
)
def test_killed_before_any_change_the_same_command_goes_on(
    tmp_path: Path, work: Path, server: EmbeddedServer, state: str, share: int
) -> None:
    """share: every which change is died before."""
    scratch = tmp_path / "scratch"

    def command(uri: str) -> partial[None]:
        return partial(analyze_here, work, uri, scratch)

    def start(uri: str) -> str:
        shutil.rmtree(scratch, ignore_errors=True)
        if state == "replaced":  # an analysis with another setting
            other = partial(analyze_here, work, uri, scratch, 2)
            assert not dies_before(1 << 30, other, tmp_path)
        return uri

    whole = start(f"{server.uri}/{state}-{share}-whole")
    total = count(command(whole), tmp_path)
    assert total > 30
    expected = documents(whole, tmp_path)
    for change in range(1, total + 1, share):
        uri = start(f"{server.uri}/{state}-{share}-{change}")
        dies_before(change, command(uri), tmp_path)
        assert not dies_before(1 << 30, command(uri), tmp_path)
        assert documents(uri, tmp_path) == expected, change
        assert not list(scratch.iterdir()), change


def restore_here(uri: str, file: Path) -> None:
    with Database(uri) as database:
        database.restore(file)


def dump_here(uri: str, file: Path) -> None:
    with Database(uri) as database:
        database.dump(file)


@pytest.mark.parametrize("share", [7, pytest.param(1, marks=pytest.mark.stress)])
def test_a_dump_and_its_restoring_go_on(
    tmp_path: Path, work: Path, server: EmbeddedServer, share: int
) -> None:
    """share: every which change is died before."""
    whole, file = f"{server.uri}/dumped-{share}", tmp_path / "dump.zip"
    assert not dies_before(1 << 30, partial(analyze_here, work, whole, tmp_path / "s"), tmp_path)
    expected = documents(whole, tmp_path)
    dump = partial(dump_here, whole, file)
    for change in range(1, count(dump, tmp_path) + 1, share):
        dies_before(change, dump, tmp_path)
        assert not dies_before(1 << 30, dump, tmp_path)
    assert [path.name for path in tmp_path.glob("dump*")] == ["dump.zip"]

    def restored(number: int) -> partial[None]:
        return partial(restore_here, f"{server.uri}/restored-{share}-{number}", file)

    for change in range(1, count(restored(0), tmp_path) + 1, share):
        dies_before(change, restored(change), tmp_path)
        assert not dies_before(1 << 30, restored(change), tmp_path)
        assert documents(f"{server.uri}/restored-{share}-{change}", tmp_path) == expected, change
