"""Whatever is typed, and whatever stands in a file: the right thing, or one line that says why not.

Never "something unforeseen", never a traceback, and no secret of an address. Work that takes long
is left out: a command ends where it would begin.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import typer
import uvicorn
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lmsaes.analysis import run as analysis
from lmsaes.analysis.config import AnalyzeConfig
from lmsaes.capture import CaptureConfig
from lmsaes.capture import run as capture
from lmsaes.database import EmbeddedServer
from lmsaes.demo import HELDOUT, MODEL
from lmsaes.model.language_model import LanguageModel
from lmsaes.sae import TopKConfig
from lmsaes.training import sweep as training
from lmsaes.training import train
from lmsaes.training.config import TrainConfig
from tests.support.fuzz import (
    ODD_JSON,
    REMOVED,
    SECRET,
    VALUES,
    check_outcome,
    commands,
    is_flag,
    options,
    places,
    put,
    strange_files,
)
from tests.support.made_up_cache import made_up_cache

HOOK = "blocks.0.hook_resid_post"
COMMANDS = {words: command for words, command in commands() if words != ("demo",)}
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "int8": {"dtype": "int8"},
    "zarr": {"format": "zarr", "compression": "zstd"},
}
DEVICE = ["--device", "cpu"]

quick = settings(
    max_examples=int(os.environ.get("LMSAES_FUZZ", "20")),
    suppress_health_check=list(HealthCheck),
    database=None,
)


class Work:
    """A folder with small caches, a run and strange files, and room for what commands write."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._made = folder, 0
        for name, layout in LAYOUTS.items():
            made_up_cache(
                folder / name, 8, hooks={HOOK: 8}, context_size=16, shard_contexts=4, **layout
            )
        self.cache = str(folder / "plain")
        train(
            self.cache, [TopKConfig(features=16, k=2)], hook=HOOK, out=folder / "run", tokens=128,
            batch_size=16, device="cpu",
        )  # fmt: skip
        self.sae = folder / "run" / "topk-2"
        (folder / "strange").mkdir()
        self.strange = strange_files(folder / "strange")

    def out(self) -> str:
        self._made += 1
        return str(self.folder / f"out-{self._made}")

    def base(self, words: tuple[str, ...]) -> list[str]:
        """Arguments with which a command would do its work."""
        out = ["--out", self.out()]
        match words:
            case ("cache",):
                text = ["--model", str(MODEL), "--dataset", str(HELDOUT), "--hook", HOOK]
                return [*text, *out, "--tokens", "2k", *DEVICE]
            case ("train",):
                return self.train(self.cache)
            case ("analyze",):
                return [str(self.sae), "--cache", self.cache, "--any-model", *DEVICE]
            case ("serve",):
                return ["--port", "24999"]
            case ("tools", "bench"):
                return [self.cache, "--seconds", "0.01", "--flops", "1T"]
            case ("tools", "shuffle"):
                return [self.cache, *out, "--memory", "64MiB"]
            case ("tools", "convert" | "slice" | "merge"):
                return [self.cache, *out]
            case ("tools", "rm"):
                return [str(self.folder / "strange" / "folder")]
            case ("tools", _):
                return [self.cache]
            case _:
                return []

    def train(self, cache: str, out: str | None = None) -> list[str]:
        small = ["--tokens", "128", "--batch-size", "16", "--features", "16", "--k", "2"]
        return ["--cache", cache, "--out", out or self.out(), *small, *DEVICE]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    work = Work(tmp_path_factory.mktemp("fuzz"))
    loaded: dict[tuple[str, ...], LanguageModel] = {}
    load = LanguageModel.load

    def load_once(model: str, *how: Any) -> LanguageModel:
        key = (model, *map(str, how))
        if key not in loaded:
            found = load(model, *how)
            if model != str(MODEL):
                return found
            loaded[key] = found
        return loaded[key]

    def end(*_: Any, **__: Any) -> None:
        raise typer.Exit(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work.folder)
        patch.setenv("HOME", str(work.folder / "home"))  # which ~ stands for
        patch.setenv("LMSAES_DB_FOLDER", str(work.folder / "db"))
        patch.delenv("LMSAES_DB", raising=False)
        patch.setattr(LanguageModel, "load", staticmethod(load_once))
        patch.setattr(analysis, "WeightSource", lambda *_: None)
        patch.setattr(uvicorn.Server, "run", end)
        for module, name in (
            (training.Sweep, "train"),
            (capture, "fill"),
            (capture, "add_hooks"),
            (analysis, "scan"),
        ):
            patch.setattr(module, name, end)
        with EmbeddedServer():
            yield work


def holds_secret(folder: Path) -> list[Path]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return [p for p in files if SECRET in str(p) or SECRET.encode() in p.read_bytes()]


@quick
@given(data=st.data())
def test_options(work: Work, data: st.DataObject):
    """Of every command: an option or argument with what nobody meant, alone and with others."""
    words = data.draw(st.sampled_from(list(COMMANDS)))
    command, line = COMMANDS[words], [*words, *work.base(words)]
    values = st.sampled_from([*VALUES, *work.strange])
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    if arguments and data.draw(st.integers(0, 9)) == 0:
        line[len(words) : len(words) + 1] = [data.draw(values)]
    for option in data.draw(st.lists(st.sampled_from(options(command)), min_size=1, max_size=2)):
        line.append(option)
        if not is_flag(command, option):
            line.append(data.draw(values))
    if words in (("tools", "rm"), ("import",)):  # nothing outside is deleted or searched
        assume(str(work.folder) in line[len(words)])
    check_outcome(line)
    assert not holds_secret(work.folder / line[line.index("--out") + 1] if "--out" in line else
                            work.folder / "strange")  # fmt: skip


odd_values = st.recursive(
    st.sampled_from([v for v in ODD_JSON if v is not None])
    | st.sampled_from(VALUES).map(lambda text: text.replace("\udcff", "")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abk"), inner),
    max_leaves=4,
)


@quick
@given(data=st.data())
def test_configurations(work: Work, data: st.DataObject):
    """A TOML file whose settings are of another kind, or no TOML at all."""
    kind = data.draw(st.sampled_from([CaptureConfig, TrainConfig, AnalyzeConfig]))
    words = (kind.stage,)
    names = st.sampled_from([*kind.known_settings(), "saes", "sae", "x", "hook", "out", ""])
    found = data.draw(st.dictionaries(names, odd_values, max_size=3))
    content = tomli_w.dumps(json.loads(json.dumps(found)) if _is_toml(found) else {}).encode()
    if data.draw(st.integers(0, 4)) == 0:
        at = data.draw(st.integers(0, len(content)))
        content = content[:at] + data.draw(st.binary(max_size=6)) + content[at:]
    file = work.folder / "strange" / "settings.toml"
    file.write_bytes(content)
    check_outcome([*words, *work.base(words), "--config", str(file)])


def _is_toml(value: Any) -> bool:
    try:
        tomli_w.dumps(value).encode()
    except (TypeError, ValueError):
        return False
    return True


def _mutated(data: st.DataObject, content: Any) -> Any:
    path = data.draw(st.sampled_from(list(places(content))[1:]))
    return put(content, path, data.draw(st.sampled_from([*ODD_JSON, REMOVED])))


@quick
@given(data=st.data())
def test_caches(work: Work, data: st.DataObject):
    """A cache one of whose records was tampered with, the list's digest made to fit."""
    cache = work.folder / data.draw(st.sampled_from(list(LAYOUTS)))
    manifest = cache / "manifest.json"
    files = [manifest, manifest, *cache.glob("shards/*.json"), *cache.rglob("zarr.json")]
    file = data.draw(st.sampled_from([*files, cache / "shards.json"]))
    kept = {path: path.read_bytes() for path in {file, manifest}}
    file.write_text(json.dumps(_mutated(data, json.loads(kept[file]))))
    if file.name == "shards.json":
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        manifest.write_text(json.dumps(json.loads(kept[manifest]) | {"shards_sha256": digest}))
    try:
        path = str(cache)
        for line in (
            ["tools", "inspect", path],
            ["tools", "verify", path, "--deep"],
            ["tools", "sample", path],
            ["tools", "slice", path, "--out", work.out()],
            ["train", *work.train(path)],
        ):
            check_outcome(line)
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


@quick
@given(data=st.data())
def test_saes(work: Work, data: st.DataObject):
    """An SAE or a run one of whose records was tampered with."""
    file = data.draw(st.sampled_from([work.sae / "config.json", *work.sae.parent.glob("*.json")]))
    kept = file.read_bytes()
    content = json.loads(kept)
    content.pop("config_sha256", None)  # with which any change is found
    file.write_text(json.dumps(_mutated(data, content)))
    try:
        check_outcome(["analyze", str(work.sae), "--cache", work.cache, *DEVICE])
        if file.parent != work.sae:
            check_outcome(["train", *work.train(work.cache, str(work.sae.parent))])
    finally:
        file.write_bytes(kept)
