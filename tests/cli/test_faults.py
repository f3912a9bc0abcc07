"""Two at once, and no room to write: one line, and afterwards the same command goes on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmsaes.cli.app import app
from lmsaes.database import EmbeddedServer
from tests.support.commands import Started, run
from tests.support.faults import halted, without_room
from tests.support.small_capture import SMALL

HOOK = "blocks.1.hook_resid_post"
CPU = ("--device", "cpu")


class Work:
    """A small cache, a run on it and its analysis, and a database for all commands."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder = folder
        self.environment = {"LMSAES_DB": uri, "XDG_CACHE_HOME": str(folder / "home")}
        self.cache, self.sae = str(folder / "cache"), str(folder / "run/topk-2")
        for name in ("cache", "train", "analyze"):
            self.run(*self.words(name, ""))

    def words(self, name: str, out: str) -> list[str]:
        """The command that writes to `out`, or the one that made what all have."""
        where = {"cache": out or self.cache, "train": out or str(self.folder / "run")}
        match name:
            case "cache":
                text = ["--model", SMALL["model"], "--dataset", SMALL["dataset"], "--hook", HOOK]
                small = ["--tokens", "512", "--context-size", "32", "--batch-size", "4"]
                return ["cache", *text, "--out", where["cache"], *small, *CPU]
            case "train":
                small = ["--features", "12", "--k", "2", "--tokens", "256", "--batch-size", "64"]
                more = ["--allow-poor-shuffle", "--cache", self.cache, "--out", where["train"]]
                return ["train", *small, *more, *CPU]
            case "analyze":
                return ["analyze", self.sae, "--cache", self.cache, "--name", out or "it", *CPU]
            case "prune":
                more = ["--model", "none", "--min-density", "0.0001"]
                return ["prune", self.sae, "--cache", self.cache, "--out", out, *more, *CPU]
            case "delphi":
                more = ["--to", "delphi", "--cache", self.cache, *CPU]
                return ["export", self.sae, *more, "--out", out]
            case "saelens" | "sparsify":
                return ["export", self.sae, "--to", name, "--out", out]
            case "neuronpedia" | "circuit-tracer-features":
                return ["export", "it", "--to", name, "--out", out]
            case "parquet":
                return ["export", "it", "--to", "parquet", "--out", f"{out}.parquet"]
            case "dump":
                return ["db", "dump", f"{out}.zip"]
            case "labels":
                return ["explain", "it", "--export", f"{out}.json"]
            case "shuffle":
                return ["tools", "shuffle", self.cache, "--memory", "64MiB", "--out", out]
            case "slice":
                return ["tools", "slice", self.cache, "--contexts", "0:4", "--out", out]
            case _:
                raise KeyError(name)

    def run(self, *words: str) -> Started:
        done = run(*words, environment=self.environment)
        assert done.returncode == 0, done.stderr
        return done

    def refused(self, *words: str) -> str:
        """What a command says that fails in one line and a hint."""
        return one_line(run(*words, environment=self.environment))


def one_line(done: Started) -> str:
    said = done.stderr
    assert done.returncode == 1, said + done.stdout
    assert "unforeseen" not in said
    assert "Traceback" not in said
    lines = said.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("error: "))
    assert len(lines) - start <= 2, said
    return " ".join(lines[start:])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    folder = tmp_path_factory.mktemp("faults")
    with EmbeddedServer(folder / "db") as server:
        yield Work(folder, f"{server.uri}/faults")


# ── two at once ──────────────────────────────────────────────────────────────────────────────────

HALTS = {
    "cache": "lmsaes.capture.run:fill",
    "train": "lmsaes.training.sweep:Sweep._step",
    "analyze": "lmsaes.analysis.run:scan",
}


@pytest.mark.parametrize("name", HALTS)
def test_the_second_is_refused_by_name_and_takes_over_when_the_first_is_killed(
    work: Work, tmp_path: Path, name: str
) -> None:
    out = "another" if name == "analyze" else str(tmp_path / "out")
    words = work.words(name, out)
    first = halted(HALTS[name], *words, environment=work.environment)
    try:
        said = work.refused(*words)
        assert out in said
        assert "another process" in said or f"by process {first.pid} " in said
        if name == "analyze":
            for others in (["db", "rm", out], ["db", "rename", "it", out]):
                assert f"'{out}' is being written by process {first.pid} " in work.refused(*others)
            assert "nothing to drop" in work.run("db", "gc").stdout
        if name != "cache":  # which it reads
            said = work.refused("tools", "rm", work.cache, "--yes")
            assert f"{work.cache} is being read by process {first.pid}" in said
    finally:
        first.kill()
        first.wait()
    work.run(*words)
    if name == "analyze":
        work.run("db", "rm", out)


def test_a_cache_is_deleted_when_nobody_reads_it(work: Work, tmp_path: Path) -> None:
    words = work.words("slice", str(tmp_path / "out"))
    work.run(*words)
    mine = work.words("train", str(tmp_path / "run"))
    mine[mine.index("--cache") + 1] = str(tmp_path / "out")
    reader = halted(HALTS["train"], *mine, environment=work.environment)
    remove = ["tools", "rm", str(tmp_path / "out"), "--yes"]
    try:
        assert "is being read by process" in work.refused(*remove)
        again = [*work.words("cache", str(tmp_path / "out")), "--overwrite"]
        assert "is being read by process" in work.refused(*again)
    finally:
        reader.kill()
        reader.wait()
    work.run(*remove)
    assert not (tmp_path / "out").exists()


# ── no room ──────────────────────────────────────────────────────────────────────────────────────

WRITES = [
    "cache", "train", "analyze", "prune", "saelens", "sparsify", "delphi", "parquet", "neuronpedia",
    "circuit-tracer-features", "dump", "labels", "shuffle", "slice",
]  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("size", [0, pytest.param(1000, marks=pytest.mark.stress)])
def test_no_room_is_told_in_one_line_and_the_same_command_goes_on(
    work: Work, tmp_path: Path, name: str, size: int
) -> None:
    out = "full" if name == "analyze" else str(tmp_path / "out")
    words = work.words(name, out)
    done = without_room(size, *words, environment=work.environment)
    if size == 0 or done.returncode:
        said = one_line(done)
        place = str(work.folder / "home") if name == "analyze" else str(tmp_path)
        assert place in said, said
    work.run(*words)
    if name == "analyze":
        work.run("db", "rm", out)
    leftovers = [file.name for file in tmp_path.rglob("*.tmp")]
    assert leftovers == []


@pytest.mark.parametrize("name", [each for each in WRITES if each != "analyze"])
def test_a_file_where_a_folder_should_be_is_told_and_stays(
    work: Work, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in work.environment.items():
        monkeypatch.setenv(key, value)
    (tmp_path / "file").write_text("mine")
    shutil.copy(tmp_path / "file", tmp_path / "file.zip")
    shutil.copy(tmp_path / "file", tmp_path / "file.parquet")
    # a file of explanations is replaced, as with >
    for out in ["file/x", *(["file"] if name != "labels" else [])]:
        done = CliRunner().invoke(app, work.words(name, str(tmp_path / out)))
        assert done.exit_code == 1, done.output
        assert "unforeseen" not in done.stderr
        assert str(tmp_path / "file") in done.stderr
        assert len(done.stderr[done.stderr.index("error: ") :].splitlines()) <= 2
    assert {file.read_text() for file in tmp_path.iterdir()} == {"mine"}
