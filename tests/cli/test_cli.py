"""The command line as a user types it: the pipeline on the bundled model, one-line errors."""

import json
import os
import random
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lmsaes import SAE, ActivationCache, Database
from lmsaes.cli.app import app
from lmsaes.demo import MODEL, TEXT
from tests.cache.test_cache import data_files
from tests.support.commands import run, start

HOOK = "blocks.2.hook_resid_post"
SWEEP = """
tokens = "40k"
batch_size = 512
[[sae]]
architecture = "topk"
k = 8
features = 256
[[sae]]
architecture = "relu"
features = 200
"""


def cache_command(out: Path, *more: str) -> list[str]:
    return ["cache", "--model", str(MODEL), "--dataset", str(TEXT), "--hook", HOOK, "--hook",
            "blocks.1.hook_resid_post", "--out", str(out), "--tokens", "24k", "--context-size",
            "64", "--shard-size", "128KiB", "--block-size", "32KiB", *more]  # fmt: skip


def failing(*words: str) -> str:
    """Runs a command that must fail; returns what it printed."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) <= 2
    return result.stderr


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="session", autouse=True)
def database_folder(work):
    """All commands of this file share an embedded database of their own."""
    before = {k: os.environ.get(k) for k in ("LMSAES_DB", "LMSAES_DB_FOLDER")}
    os.environ.pop("LMSAES_DB", None)
    os.environ["LMSAES_DB_FOLDER"] = str(work / "db")
    yield
    for key, value in before.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value


@pytest.fixture(scope="session")
def cache(work):
    result = run(*cache_command(work / "cache"))
    assert result.returncode == 0, result.stderr
    assert "on disk" in result.stderr
    assert "next: lmsaes train" in result.stdout.splitlines()[-1]
    return work / "cache"


@pytest.fixture(scope="session")
def trained(work, cache):
    sweep = work / "sweep.toml"
    sweep.write_text(SWEEP)
    result = run("train", "--cache", str(cache), "--hook", HOOK, "--config", str(sweep),
                    "--out", str(work / "run"))  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "next: lmsaes analyze" in result.stdout.splitlines()[-1]
    return work / "run"


@pytest.fixture(scope="session")
def analyzed(cache, trained):
    result = run("analyze", str(trained), "--cache", str(cache), "--top", "5")
    assert result.returncode == 0, result.stderr
    assert "lmsaes serve" in result.stdout.splitlines()[-1]
    return trained


def test_cache_continues_after_kills_to_the_same_bytes(work, cache):
    """SIGKILL at random moments of the real command, then the same command again."""

    def files(folder):
        return {
            str(p.relative_to(folder)): p.read_bytes()
            for room in ("tokens", "activations", "statistics")
            for p in (folder / room).rglob("*")
            if p.is_file()
        }

    out = work / "killed"
    generator = random.Random(0)
    for _ in range(2):
        process = start(*cache_command(out))
        while not (out / "manifest.json").exists() and process.returncode is None:
            time.sleep(0.01)
        time.sleep(generator.uniform(0, 1))
        process.kill()
        process.wait()
    result = CliRunner().invoke(app, cache_command(out))
    assert result.exit_code == 0, result.output
    assert files(out) == files(cache)


def test_ctrl_c_ends_with_130_and_keeps_what_is_committed(work, cache):
    out = work / "interrupted"
    process = start(*cache_command(out, "--tokens", "2M"))
    while not list(out.glob("activations/*/shard-*.safetensors")):
        assert process.returncode is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert "run the same command again" in process.stderr
    assert ActivationCache.open(out).contexts > 0


def test_a_second_command_on_the_folder_is_told_and_the_first_ends_undisturbed(work, cache):
    out = work / "taken"
    first = start(*cache_command(out))
    while not list(out.glob("activations/*/shard-*.safetensors")):
        assert first.returncode is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # so that it is still there when the second one comes
    try:
        second = run(*cache_command(out))
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    errors = [line for line in second.stderr.splitlines() if "error: " in line]
    assert errors == [f"error: another process is writing to {out}"]
    assert "Traceback" not in second.stderr
    assert first.wait(120) == 0
    assert data_files(out) == data_files(cache)


def test_arguments_that_differ_are_each_named_and_nothing_is_touched(cache):
    def state():
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in cache.rglob("*")}

    before = state()
    message = failing(
        *cache_command(cache, "--dtype", "float32", "--batch-size", "3", "--no-bos",
                       "--format", "zarr", "--compression", "zstd", "--weights", "processed",
                       "--context-size", "32", "--shard-size", "1MiB", "--seed", "3",
                       "--packing", "split")
    )  # fmt: skip
    for named in ("weights raw, not processed", "context_size 64, not 32", "bos True, not False",
                  "packing packed, not split", "seed 0, not 3", "batch_size 16, not 3",
                  "format safetensors, not zarr", "compression none, not zstd",
                  "shard_size 131072, not 1048576",
                  "(256, float16), not (256, float32)"):  # fmt: skip
        assert named in message, named
    assert state() == before


def test_finished_work_says_so_and_is_left_alone(work, cache, analyzed):
    again = CliRunner().invoke(app, cache_command(cache))
    assert again.exit_code == 0
    other = failing(*cache_command(cache, "--dtype", "float32"))
    assert "float16" in other
    assert "float32" in other


def test_saes_are_folders_that_load(trained):
    names = sorted(p.name for p in trained.iterdir() if p.is_dir())
    assert len(names) == 2
    for name in names:
        sae = SAE.load(trained / name)
        x = torch.randn(5, sae.d_in)
        assert torch.allclose(sae.decode(sae.encode(x)), sae(x))
        lines = (trained / name / "metrics.jsonl").read_text().splitlines()
        assert all("fvu" in json.loads(line) for line in lines)


def test_the_database_holds_what_a_brute_force_search_finds(cache, analyzed):
    opened = ActivationCache.open(cache)
    tokens = opened.tokens(0, opened.contexts)
    valid = opened.valid_positions(tokens)
    x = opened.activations(HOOK, 0, opened.contexts).float()
    with Database() as database:
        records = database.saes()
        names = [record.name for record in records]
        assert {"run:relu-2", "run:topk-8"} <= set(names)
        for record in (r for r in records if r.name.startswith("run:")):
            sae = SAE.load(record.sae_path)
            activations = sae.encode(x.flatten(0, 1), dense=True).reshape(*x.shape[:2], -1)
            activations = activations * valid[:, :, None]
            columns = database.columns(record.analysis)
            firings = (activations > 0).sum((0, 1))
            assert columns["firings"].tolist() == firings.tolist()
            assert torch.allclose(
                torch.tensor(columns["maximum"]), activations.amax((0, 1)), rtol=1e-4, atol=1e-5
            )
            assert record.l0 == pytest.approx(float(firings.sum()) / float(valid.sum()))
            kept = x[valid].double()
            error = (x[valid] - sae(x[valid])).double().square().sum()
            total = (kept - kept.mean(0)).square().sum()
            assert record.fvu == pytest.approx(float(error / total), rel=1e-3)
            some = [int(i) for i in firings.argsort(descending=True)[:40:4]]
            for index in some:
                sample = database.samples(record.analysis, [index])[index]
                peaks = activations[:, :, index].amax(1)
                best = sorted(range(len(peaks)), key=lambda c: (-float(peaks[c]), c))[:5]
                found = peaks[torch.tensor(sample.contexts)]
                assert torch.allclose(found, peaks[torch.tensor(best)], rtol=1e-4)
                expected = activations[torch.tensor(sample.contexts), :, index]
                stored = torch.tensor(sample.activations).float()
                assert torch.allclose(stored, expected, rtol=2e-3, atol=1e-3)
                contexts = database.contexts(record.cache, sample.contexts.tolist())
                for context, ids in contexts.items():
                    assert ids.tolist() == tokens[context].tolist()


def test_analysing_twice_gives_the_same_documents(cache, analyzed):
    def everything():
        with Database() as database:
            return {
                r.name: (
                    r,
                    {k: v.tobytes() for k, v in database.columns(r.analysis).items()},
                    repr(database.features(r.analysis, range(50))),
                    repr(database.samples(r.analysis, range(50))),
                )
                for r in database.saes()
            }

    before = everything()
    result = CliRunner().invoke(app, ["analyze", str(analyzed / "topk-8"), "--cache", str(cache),
                                      "--top", "5"])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert everything() == before


def test_a_range_of_features_gives_their_documents_alone(cache, analyzed):
    words = ["analyze", str(analyzed / "topk-8"), "--cache", str(cache), "--top", "5"]
    result = CliRunner().invoke(app, [*words, "--features", "30:40", "--name", "part"])
    assert result.exit_code == 0, result.output
    with Database() as database:
        whole, part = database.sae("run:topk-8"), database.sae("part")
        assert part.feature_range == (30, 40)
        assert (part.fvu, part.l0) == pytest.approx((whole.fvu, whole.l0), rel=0.3)
        columns = database.columns(whole.analysis)["firings"]
        assert database.columns(part.analysis)["firings"].tolist() == columns[30:40].tolist()
        indices = list(range(30, 40))
        alone = database.features(part.analysis, indices)
        together = database.features(whole.analysis, indices)
        for index in indices:
            one, other = alone[index], together[index]
            assert (one.firings, one.histogram.tolist()) == (
                other.firings,
                other.histogram.tolist(),
            )
            assert one.maximum == pytest.approx(other.maximum, rel=1e-5)
            # products of other shapes differ in the last bit
            found, expected = dict(one.promotes), dict(other.promotes)
            assert sorted(found.values()) == pytest.approx(sorted(expected.values()), rel=1e-4)


def test_promoted_tokens_are_the_unembeddings_best(analyzed, language_model):
    weights = language_model.unembedding()
    with Database() as database:
        record = database.sae("run:topk-8")
        sae = SAE.load(record.sae_path)
        feature = database.features(record.analysis, [3])[3]
        logits = sae.W_dec[3] @ weights
        assert [t for t, _ in feature.promotes] == logits.topk(10).indices.tolist()
        assert [t for t, _ in feature.suppresses] == (-logits).topk(10).indices.tolist()
        vocabulary = database.vocabulary(record.vocabulary)
        assert len(vocabulary) == 4096


def test_serve_shows_it_and_stops_cleanly(analyzed):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start("serve", "--port", str(port))
    try:
        while f"http://127.0.0.1:{port}" not in process.stdout:
            assert process.returncode is None
            time.sleep(0.01)
        address = f"http://127.0.0.1:{port}/api/saes"
        for _ in range(200):
            try:
                with urllib.request.urlopen(address, timeout=10) as answer:
                    names = [sae["name"] for sae in json.load(answer)]
                break
            except OSError:
                time.sleep(0.1)
        assert {"run:relu-2", "run:topk-8"} <= set(names)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_tools_inspect_and_verify(cache):
    result = CliRunner().invoke(app, ["tools", "inspect", str(cache), "--json"])
    facts = json.loads(result.output)
    assert facts["tokens"] == 24_000
    assert set(facts["hooks"]) == {HOOK, "blocks.1.hook_resid_post"}
    assert CliRunner().invoke(app, ["tools", "inspect", str(cache)]).exit_code == 0
    assert CliRunner().invoke(app, ["tools", "verify", str(cache), "--deep"]).exit_code == 0


def test_bad_input_gives_one_line(tmp_path, work, cache, trained):
    line = failing("cache", "--model", str(MODEL), "--dataset", str(TEXT), "--hook", "block.2.x",
                   "--out", str(tmp_path / "c"))  # fmt: skip
    assert "'block.2.x' is not in" in line
    assert "nearest" in line
    assert "no folder" in failing(*cache_command(tmp_path / "c", "--model", "./nowhere"))
    assert "no file" in failing(*cache_command(tmp_path / "c", "--dataset", "./nowhere.txt"))
    assert "is not an activation cache" in failing(
        "train", "--cache", str(tmp_path), "--hook", HOOK, "--out", str(tmp_path / "r")
    )
    assert "does not hold hook" in failing(
        "train", "--cache", str(cache), "--hook", "blocks.7.hook_resid_pre", "--out",
        str(tmp_path / "r"),
    )  # fmt: skip
    assert "holds no finished SAE" in failing("analyze", str(work / "db"), "--cache", str(cache))
    assert "no database answers at" in failing(
        "analyze", str(trained), "--cache", str(cache), "--db", "mongodb://127.0.0.1:9/"
    )
    assert "not a range" in failing(
        "analyze", str(trained), "--cache", str(cache), "--features", "most"
    )
    assert "is missing" in failing("tools", "inspect", str(_without_a_shard(cache, tmp_path)))


def _without_a_shard(cache: Path, folder: Path) -> Path:
    import shutil

    shutil.copytree(cache, folder / "broken")
    next((folder / "broken/tokens").glob("shard-*")).unlink()
    return folder / "broken"


def test_an_sae_of_another_width_is_refused(tmp_path, cache, trained):
    narrow = tmp_path / "narrow"
    made = CliRunner().invoke(app, [
        "cache", "--model", str(MODEL), "--dataset", str(TEXT), "--hook", "blocks.0.mlp.hook_post",
        "--tokens", "2k", "--out", str(narrow)])  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "does not hold hook" in failing("analyze", str(trained), "--cache", str(narrow))


def test_bad_usage_exits_with_2():
    assert CliRunner().invoke(app, ["cache", "--no-such-option"]).exit_code == 2
    assert CliRunner().invoke(app, ["no-such-command"]).exit_code == 2


def test_every_module_imports():
    import importlib
    import pkgutil

    import lmsaes as package

    names = [m.name for m in pkgutil.walk_packages(package.__path__, "lmsaes.")]
    for room in ("cli", "cache_tools", "server"):
        folder = importlib.import_module(f"lmsaes.{room}").__path__
        names += [m.name for m in pkgutil.iter_modules(folder, f"lmsaes.{room}.")]
    assert len(names) > 40
    for name in names:
        importlib.import_module(name)
