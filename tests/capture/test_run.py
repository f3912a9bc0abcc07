"""Stage one against TransformerLens' own `run_with_cache`, and its ways of going on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from lmsaes import cache_activations
from lmsaes.cache.manifest import MANIFEST, read_manifest, write_manifest
from lmsaes.cache.shards import shard_record_file
from lmsaes.cache_tools.inspect import describe
from lmsaes.cache_tools.slice import cut_out
from lmsaes.cache_tools.verify import verify
from lmsaes.capture import verify_against_model
from lmsaes.demo import HELDOUT, MODEL, TEXT
from lmsaes.errors import CacheError, ConfigError, DataError, ModelError
from lmsaes.model import load_tokenizer
from lmsaes.text.datasets import load_text
from tests.support.small_capture import SMALL

HOOKS = ["blocks.0.hook_resid_post", "blocks.1.mlp.hook_post"]
COMMON: dict[str, Any] = {**SMALL, "hooks": HOOKS}


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture")
    return {
        format: cache_activations(
            **COMMON, out=folder / format, tokens=1500, dtype="float32", format=format
        )
        for format in ("safetensors", "zarr")
    }


def test_the_cache_holds_what_run_with_cache_gives(caches, language_model):
    cache = caches["safetensors"]
    tokens = cache.tokens(0, cache.contexts)
    assert tokens.shape == (1500 // 32, 32)
    with torch.inference_mode():
        _, expected = language_model.bridge.run_with_cache(tokens)
    for hook in HOOKS:
        found = cache.activations(hook, 0, cache.contexts)
        assert torch.allclose(found, expected[hook], atol=1e-4), hook


def test_both_formats_hold_the_same(caches):
    safetensors, zarr = caches["safetensors"], caches["zarr"]
    count = safetensors.contexts
    assert zarr.contexts == count
    assert zarr.identity == safetensors.identity
    assert torch.equal(safetensors.tokens(0, count), zarr.tokens(0, count))
    for hook in HOOKS:
        a, b = (c.activations(hook, 0, count) for c in (safetensors, zarr))
        assert torch.equal(a, b)
        assert safetensors.hooks[hook] == zarr.hooks[hook]


def test_tokens_are_the_documents_in_order(caches, language_model):
    import gzip

    tokens = caches["safetensors"].tokens(0, 4)
    assert (tokens[:, 0] == 0).all()
    with gzip.open(HELDOUT, "rt") as file:
        first = json.loads(file.readline())["text"]
    text = language_model.tokenizer.decode(tokens[:, 1:].reshape(-1))
    assert first.startswith(text[:200])


@pytest.mark.parametrize("special", [{"eos_token": "<|endoftext|>"}, {}])
def test_no_special_token_is_made_up(tmp_path, special):
    """The bridge gives its tokenizer those that it has not; contexts begin with text."""
    model, out = shutil.copytree(MODEL, tmp_path / "model"), tmp_path / "c"
    (model / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **special})
    )
    arguments = {**COMMON, "model": str(model), "out": out, "tokens": 320, "hooks": HOOKS[:1]}
    with pytest.raises(ConfigError, match="no beginning-of-text token"):
        cache_activations(**arguments, bos=True)
    cache = cache_activations(**arguments)
    text = cache.manifest.text
    assert (text.bos, text.bos_id, text.separator_id) == (False, None, 0 if special else None)
    assert text.special_ids == ((0,) if special else ())
    first = next(load_text(str(HELDOUT)).documents(0))
    assert isinstance(first, str)
    tokens = cache.tokens(0, 2).reshape(-1)
    assert first.startswith(load_tokenizer(str(MODEL)).decode(tokens)[:100])


def test_a_finished_cache_is_left_as_it_is(caches):
    cache = caches["safetensors"]
    before = (cache.path / MANIFEST).stat().st_mtime_ns
    again = cache_activations(**COMMON, out=cache.path, tokens=1500, dtype="float32")
    assert again.contexts == cache.contexts
    assert (cache.path / MANIFEST).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"dataset": str(TEXT)}, "fingerprint"),
        ({"bos": False}, "bos True, not False"),
        ({"batch_size": 2}, "batch_size 4, not 2"),
        ({"format": "zarr"}, "format safetensors, not zarr"),
        ({"shard_size": "32KiB"}, "shard_size 65536, not 32768"),
        ({"weights": "processed"}, "weights raw, not processed"),
    ],
)
def test_going_on_with_other_arguments_is_refused_by_name(caches, change, named):
    cache = caches["safetensors"]
    before = sorted(p.stat().st_mtime_ns for p in cache.path.rglob("*"))
    arguments = {**COMMON, "out": cache.path, "tokens": 1500, "dtype": "float32", **change}
    with pytest.raises(CacheError, match=named):
        cache_activations(**arguments)
    assert sorted(p.stat().st_mtime_ns for p in cache.path.rglob("*")) == before


def test_a_cache_goes_on_with_other_batches_and_says_so(tmp_path, caches):
    """Contexts, and rows within rounding, are those of a cache from one machine."""
    whole, out = caches["safetensors"], tmp_path / "c"
    arguments = {**COMMON, "out": out, "dtype": "float32"}
    cache_activations(**arguments, tokens=32 * 20)
    other = arguments | {"batch_size": 3}
    with pytest.raises(CacheError, match="batch_size 4, not 3"):
        cache_activations(**other, tokens=1500)
    cache = cache_activations(**other, tokens=1500, allow_compute_change=True)
    made = [shard.compute and shard.compute.batch_size for shard in cache.manifest.shards]
    own = made.count(None)
    assert 0 < own < len(made)
    assert made == [None] * own + [3] * (len(made) - own)
    assert cache.manifest.compute == whole.manifest.compute
    assert cache.identity == whole.identity
    assert torch.equal(cache.tokens(0, cache.contexts), whole.tokens(0, whole.contexts))
    for hook in HOOKS:
        found, expected = (c.activations(hook, 0, c.contexts) for c in (cache, whole))
        assert torch.allclose(found, expected, atol=1e-4)
    assert verify(out, deep=True) == []
    (told,) = describe(cache)["other_compute"]
    assert (told["batch_size"], told["shards"]) == (3, list(range(own, len(made))))
    with pytest.raises(CacheError, match=f"its shard {own} was made with compute's batch_size 3"):
        cache_activations(**arguments | {"hooks": ["blocks.2.hook_resid_post"]}, tokens=1500)
    copy = cut_out(
        cache, tmp_path / "cut", contexts=f"{own * cache.manifest.shard_contexts}:"
    ).cache
    assert [c.batch_size for c in copy.manifest.sources[0].other_compute] == [3]
    # what began it needs no flag
    cache_activations(**arguments, tokens=32 * 60)
    assert read_manifest(out).shards[-1].compute is None


@pytest.mark.parametrize("format", ["safetensors", "zarr"])
def test_more_tokens_and_hooks_are_added_to_what_is_there(tmp_path, caches, caplog, format):
    arguments = {**COMMON, "out": tmp_path / "c", "dtype": "float32", "format": format}
    cache_activations(**arguments | {"hooks": HOOKS[:1]}, tokens=900)
    with caplog.at_level("INFO", logger="lmsaes"):
        cache = cache_activations(**arguments | {"hooks": HOOKS[1:]}, tokens=1500)
    assert f"{HOOKS[1]}, d_model 1024, added" in caplog.text
    assert "896 tokens are there already" in caplog.text
    assert verify(cache.path, deep=True) == []
    whole = caches[format]
    assert list(cache.hooks) == HOOKS
    assert cache.contexts == whole.contexts
    assert cache.manifest.complete
    assert torch.equal(cache.tokens(0, cache.contexts), whole.tokens(0, cache.contexts))
    for hook in HOOKS:
        a, b = (c.activations(hook, 0, c.contexts) for c in (cache, whole))
        assert torch.equal(a, b), hook


def test_the_command_that_made_it_finds_a_grown_cache_finished(caches, caplog):
    cache = caches["zarr"]
    less = {**COMMON, "out": cache.path, "dtype": "float32", "format": "zarr", "hooks": HOOKS[:1]}
    with caplog.at_level("INFO", logger="lmsaes"):
        assert cache_activations(**less, tokens=900).contexts == cache.contexts
    assert (
        f"nothing to do (it holds more than was asked for: 1.47k tokens, {HOOKS[1]})" in caplog.text
    )


def test_overwrite_replaces_a_cache_and_nothing_else(tmp_path):
    cache_activations(**COMMON, out=tmp_path / "c", tokens=200)
    note = tmp_path / "c/notes.txt"
    note.write_text("mine")
    cache = cache_activations(
        **COMMON, out=tmp_path / "c", tokens=300, format="zarr", overwrite=True
    )
    assert cache.contexts == 300 // 32
    assert note.read_text() == "mine"
    assert not list(cache.path.rglob("*.safetensors")) or all(
        p.parent.parent.name == "statistics" for p in cache.path.rglob("*.safetensors")
    )


@pytest.mark.parametrize("format", ["safetensors", "zarr"])
def test_text_that_ends_early_is_kept_and_told(tmp_path, caplog, language_model, format):
    path = tmp_path / "short.txt"
    path.write_text("Now it came to pass in those days, that there went out a decree. " * 40)
    count = len(language_model.tokenizer.encode(path.read_text())) + 1
    arguments = {**COMMON, "dataset": str(path), "tokens": 5000, "format": format}
    with caplog.at_level("WARNING", logger="lmsaes"):
        cache = cache_activations(**arguments, out=tmp_path / "c")
    assert "the text ended after" in caplog.text
    assert cache.contexts == count // 31
    assert cache.manifest.complete
    assert cache.manifest.text_exhausted
    assert cache.activations(HOOKS[0], 0, cache.contexts).isfinite().all()
    caplog.clear()
    arguments["tokens"] = 9000
    assert cache_activations(**arguments, out=tmp_path / "c").contexts == cache.contexts
    assert "has no more than the" in caplog.text


def test_which_document_a_token_is_of_is_kept(caches, language_model):
    import gzip

    cache = caches["safetensors"]
    tokens = cache.tokens(0, cache.contexts)[:, 1:].reshape(-1)
    numbers = cache.documents(0, cache.contexts)
    assert torch.equal(numbers, caches["zarr"].documents(0, cache.contexts))
    assert torch.equal(numbers[:, 0], numbers[:, 1])
    with gzip.open(HELDOUT, "rt") as file:
        documents = [json.loads(line)["text"] for line in file]
    for number in numbers.unique().tolist()[:-1]:
        of = tokens[numbers[:, 1:].reshape(-1) == number]
        assert language_model.tokenizer.decode(of[:-1]) == documents[number]
        assert of[-1] == language_model.tokenizer.eos_token_id


@pytest.mark.parametrize("packing", ["truncate", "split"])
def test_padding_is_nowhere_an_ordinary_position(tmp_path, language_model, packing):
    texts = ["Short.", "And it came to pass in those days that there went out a decree. " * 4]
    path = tmp_path / "two.jsonl"
    path.write_text("".join('{"text": "' + text + '"}\n' for text in texts) * 3)
    cache = cache_activations(
        **{**COMMON, "dataset": str(path)},
        out=tmp_path / "c", tokens=32 * 6, packing=packing, dtype="float32",
    )  # fmt: skip
    tokens, documents = cache.tokens(0, 6), cache.documents(0, 6)
    padding = documents == -1
    assert padding.any()
    assert not cache.valid_positions(tokens)[padding].any()
    assert (tokens[padding] == cache.manifest.text.padding_id).all()
    valid = cache.hooks[HOOKS[0]].valid
    assert valid is not None
    assert valid.count == int(cache.valid_positions(tokens).sum()) < 6 * 32 - int(padding.sum())
    # padding to the right changes nothing before it
    short = language_model.tokenizer.encode("Short.", add_special_tokens=False)
    alone = language_model.activations(torch.tensor([[0, *short]]), HOOKS[:1])[HOOKS[0]]
    found = cache.activations(HOOKS[0], 0, 1)[:, : len(short) + 1]
    assert torch.allclose(found, alone, atol=1e-4)


def test_a_mixture_interrupted_goes_on_to_the_same_bytes(tmp_path, caplog):
    (tmp_path / "a.txt").write_text("Now it came to pass in those days. " * 200)
    rows = "".join(f'{{"body": "Verse {i} of the second book."}}\n' for i in range(60))
    (tmp_path / "b.jsonl").write_text(rows)
    arguments = {
        **COMMON,
        "dataset": [str(tmp_path / "b.jsonl"), str(tmp_path / "a.txt")],
        "text_column": ["body", "text"],
        "mix": [3, 1],
    }
    whole = cache_activations(**arguments, out=tmp_path / "whole", tokens=32 * 20)
    with caplog.at_level("WARNING", logger="lmsaes"):
        part = cache_activations(**arguments, out=tmp_path / "part", tokens=32 * 200)
    assert "b.jsonl' ended after" in caplog.text
    count = min(whole.contexts, part.contexts)
    assert torch.equal(whole.tokens(0, count), part.tokens(0, count))
    assert [d.share for d in whole.manifest.text.mixture] == [0.75, 0.25]
    assert {Path(d.dataset).name for d in whole.manifest.text.mixture} == {"a.txt", "b.jsonl"}
    # lose the last shards, as a crash would, and go on
    manifest = whole.manifest
    files = {n: (whole.path / n).read_bytes() for s in manifest.shards for n in s.files}
    for shard in manifest.shards[len(manifest.shards) // 2 :]:
        (whole.path / shard_record_file(shard.index)).unlink()
    manifest.complete = False
    write_manifest(whole.path, manifest)
    cache_activations(**arguments, out=whole.path, tokens=32 * 20)
    assert {n: (whole.path / n).read_bytes() for n in files} == files


def test_how_many_heads_a_row_is_made_of_is_kept(tmp_path, language_model):
    hook = "blocks.1.attn.hook_z"
    cache = cache_activations(
        **{**COMMON, "hooks": [hook]}, out=tmp_path / "c", tokens=64, dtype="float32"
    )
    tokens = cache.tokens(0, 2)
    _, expected = language_model.bridge.run_with_cache(tokens)
    heads = cache.hooks[hook].heads
    assert heads == language_model.bridge.cfg.n_heads
    found = cache.activations(hook, 0, 2).reshape(2, 32, heads, -1)
    assert torch.allclose(found, expected[hook], atol=1e-4)
    assert cut_out(cache, tmp_path / "cut", contexts=":1").cache.hooks[hook].heads == heads


def test_a_compiled_run_is_a_cache_of_its_own(tmp_path):
    arguments = {**COMMON, "out": tmp_path / "c", "tokens": 128, "dtype": "float32"}
    plain = cache_activations(**{**arguments, "out": tmp_path / "plain"})
    cache = cache_activations(**arguments, compile=True)
    assert cache.manifest.compute.compiled
    for hook in HOOKS:
        found, expected = (c.activations(hook, 0, c.contexts) for c in (cache, plain))
        assert torch.allclose(found, expected, atol=1e-4)
    with pytest.raises(CacheError, match="compiled True, not False"):
        cache_activations(**arguments)


def test_processed_weights_are_transformer_lens_own(tmp_path):
    cache = cache_activations(
        **{**COMMON, "hooks": ["blocks.1.hook_resid_post"]},
        out=tmp_path / "c", tokens=200, weights="processed", dtype="float32",
    )  # fmt: skip
    rows = cache.activations("blocks.1.hook_resid_post", 0, cache.contexts)
    # writing weights are centered: every vector of the residual stream has mean zero
    assert rows.mean(-1).abs().max() < 1e-4
    assert cache.manifest.model.weights == "processed"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"model": "nowhere/at/all"}, ModelError, "no folder"),
        ({"hooks": ["blocks.9.hook_resid_post"]}, ConfigError, "is not in"),
        ({"hooks": []}, ConfigError, "no hook"),
        ({"dataset": "nowhere.jsonl"}, DataError, "no file"),
        ({"tokens": "many"}, ConfigError, "not a count"),
        ({"tokens": 5}, ConfigError, "do not fill one context"),
        ({"context_size": 512, "tokens": 5000}, ConfigError, "longer than"),
        ({"tokens": "900T"}, ConfigError, "left"),
        ({"dtype": "float8"}, ConfigError, "float8"),
        ({"compression": "zstd"}, ConfigError, "needs zarr"),
        (
            {"packing": "folded"},
            ConfigError,
            "packing should be 'packed', 'truncate' or 'split', not 'folded'",
        ),
        ({"mix": [1, 2]}, ConfigError, "--mix is given 2 times for 1"),
        ({"dataset": []}, ConfigError, "no dataset"),
    ],
)
def test_bad_input_is_told_and_writes_nothing(tmp_path, change, kind, message):
    arguments = {**COMMON, "out": tmp_path / "c", "tokens": 500, **change}
    with pytest.raises(kind, match=message) as error:
        cache_activations(**arguments)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "c").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(CacheError, match="not empty and holds no cache"):
        cache_activations(**COMMON, out=tmp_path, tokens=500, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_empty_documents_are_counted_once_and_others_keep_their_numbers(tmp_path, caplog):
    texts = [None, "", *["Now it came to pass. " * 9] * 3, None, *["And it was so. " * 9] * 3]
    table = [{"id": i} if i == 5 else {"id": i, "text": text} for i, text in enumerate(texts)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*table, {"text": None}]))
    arguments = {**COMMON, "dataset": str(path), "hooks": HOOKS[:1], "shard_size": "4KiB"}
    with caplog.at_level("WARNING", "lmsaes"):
        some = cache_activations(**arguments, out=tmp_path / "c", tokens=64)
    assert [r.getMessage() for r in caplog.records] == [
        "cache: 2 of 4 documents are empty: their text is null, missing or of no length"
    ]
    assert some.documents(0, 1)[0, 1] == 2
    caplog.clear()
    with caplog.at_level("WARNING", "lmsaes"):
        whole = cache_activations(**arguments, out=tmp_path / "c", tokens=10_000)
    counted, ended = (record.getMessage() for record in caplog.records)
    assert counted.startswith("cache: 4 of 10 documents are empty")
    assert "the text ended" in ended
    assert set(whole.documents(0, whole.contexts).unique().tolist()) <= {2, 3, 4, 6, 7, 8}
    last = whole.manifest.shards[-1].text_end
    assert last is not None
    assert (last.document, last.empty) == (8, 3)


@pytest.mark.parametrize(("choice", "specials"), [("text", 0), ("tokens", 2)])
def test_a_special_tokens_name_in_a_text_is_what_was_chosen(tmp_path, choice, specials):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "One. <|endoftext|>Two. <|endoftext|> Three. " * 3}) + "\n")
    settings = {} if choice == "text" else {"special_tokens": choice}  # text is the default
    cache = cache_activations(
        **{**COMMON, "dataset": str(path), "hooks": HOOKS[:1], "context_size": 16},
        out=tmp_path / "c", tokens=16, dtype="float32", **settings,
    )  # fmt: skip
    assert cache.manifest.text.special_tokens == choice
    found = int((cache.tokens(0, 1) == cache.manifest.text.special_ids[0]).sum())
    assert (found - 1 > 0) == (specials > 0)  # beside the beginning of text
    checked = verify_against_model(cache, 1, device="cpu")
    assert (checked.tokens_compared, checked.faults) == (16, [])


def without_tokenizer(folder: Path) -> Path:
    model = shutil.copytree(MODEL, folder / "model")
    for path in (*model.glob("tokenizer*"), *model.glob("vocab*"), *model.glob("special*")):
        path.unlink()
    return model


def test_a_model_without_a_tokenizer_takes_token_ids_and_no_text(tmp_path, caches):
    arguments = {**COMMON, "model": str(without_tokenizer(tmp_path)), "hooks": HOOKS[:1]}
    with pytest.raises(ModelError, match=r"has no tokenizer .*, and the dataset is text") as error:
        cache_activations(**arguments, out=tmp_path / "c", tokens=320)
    assert "tokenizer's files" in (error.value.hint or "")
    assert not (tmp_path / "c").exists()
    ids = caches["safetensors"].tokens(0, 10)[:, 1:]
    rows = [{"ids": row} for row in ids.tolist()]
    (tmp_path / "ids.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments |= {"dataset": str(tmp_path / "ids.jsonl"), "text_column": "ids", "context_size": 31}
    cache = cache_activations(**arguments, out=tmp_path / "c", tokens=310)
    assert torch.equal(cache.tokens(0, 10), ids)
    text = cache.manifest.text
    assert (text.bos, text.separator_id, text.special_ids) == (False, None, ())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bos": True}, "no beginning-of-text token that the model knows"),
        ({"packing": "split"}, "no token that short contexts could be filled with"),
    ],
)
def test_special_ids_that_the_model_does_not_know_are_not_used(tmp_path, settings, message, caplog):
    model = shutil.copytree(MODEL, tmp_path / "model")
    names = dict.fromkeys(("bos_token", "eos_token", "pad_token"), "<|beyond|>")
    (model / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names})
    )
    arguments = {**COMMON, "model": str(model), "hooks": HOOKS[:1], "tokens": 320}
    with pytest.raises(ConfigError, match=message):
        cache_activations(**arguments, out=tmp_path / "c", **settings)
    if "bos" in settings:
        caplog.clear()
        with caplog.at_level("WARNING", "lmsaes"):
            cache = cache_activations(**arguments, out=tmp_path / "c")
        text = cache.manifest.text
        assert (text.bos_id, text.separator_id, text.padding_id) == (None, None, None)
        told = [record.getMessage() for record in caplog.records]
        assert ["beginning-of-text" in told[0], "end-of-text" in told[1]] == [True, True]
        assert all("and the model knows 4096 tokens: it is left out" in line for line in told)
