"""A text tokenized in windows has the tokens that it has at once, whatever the tokenizer."""

import contextlib
import itertools
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from lmsaes.demo import MODEL
from lmsaes.errors import DataError
from lmsaes.text import long_text
from lmsaes.text.long_text import tokenize_long

CORPUS = [
    "And it came to pass, in those days: that there went out a decree; 1234 of 56789 people!",
    'In the  beginning\n\n\twas the word... (and the word) wasn\'t "here".',
    "Ünïcödé, 日本語の文章 🎈🎈.",
    "def f(x):\n    return x ** 2  # a power\r\n" * 3,
]
SPECIAL = "<|end|>"
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def trained(model, trainer, before=None, normalizer=None):
    tokenizer = Tokenizer(model)
    if before is not None:
        tokenizer.pre_tokenizer = before
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(CORPUS * 20, trainer)
    return tokenizer


def bpe(before=None, normalizer=None, size=500, **settings):
    alphabet = pre_tokenizers.ByteLevel.alphabet() if settings.pop("bytes", True) else []
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<unk>", SPECIAL], initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    return trained(models.BPE(unk_token="<unk>", **settings), trainer, before, normalizer)


def byte_level(prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix)


def made(kind):
    tokens = {"special_tokens": ["<unk>", SPECIAL], "show_progress": False}
    match kind:
        case "gpt2":
            return bpe(byte_level())
        case "roberta":  # adds a space before the text
            return bpe(byte_level(prefix=True))
        case "llama 3":
            split = pre_tokenizers.Split(Regex(LLAMA_3), "isolated")
            use = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            return bpe(pre_tokenizers.Sequence([split, use]), normalizers.NFC())
        case "llama":  # one word from end to end
            words = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
            return bpe(normalizer=words, bytes=False, byte_fallback=True)
        case "gemma":
            return bpe(normalizer=normalizers.Replace(" ", "▁"), bytes=False, byte_fallback=True)
        case "metaspace first" | "metaspace always" | "metaspace never" | "metaspace whole":
            scheme = kind.split()[1]
            whole = scheme == "whole"
            scheme = "first" if whole else scheme
            space = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=not whole)
            return bpe(space, bytes=False)
        case "bert":
            return trained(
                models.WordPiece(unk_token="<unk>"),
                trainers.WordPieceTrainer(vocab_size=400, **tokens),
                pre_tokenizers.BertPreTokenizer(),
                normalizers.BertNormalizer(),
            )
        case "t5":
            return trained(
                models.Unigram(),
                trainers.UnigramTrainer(vocab_size=300, unk_token="<unk>", **tokens),
                pre_tokenizers.Metaspace(),
                normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()]),
            )
        case "words":
            return trained(
                models.WordLevel(unk_token="<unk>"),
                trainers.WordLevelTrainer(**tokens),
                pre_tokenizers.Whitespace(),
            )


KINDS = [
    "gpt2", "roberta", "llama 3", "llama", "gemma", "metaspace first", "metaspace always",
    "metaspace never", "metaspace whole", "bert", "t5", "words",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizers():
    made_up = {}
    for kind in KINDS:
        tokenizer = made(kind)
        if kind == "gpt2":  # as most byte-level ones have it: offsets without their spaces
            tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
            tokenizer.decoder = decoders.ByteLevel()
        made_up[kind] = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, unk_token="<unk>", eos_token=SPECIAL
        )
    return made_up


def settings_for(special):
    return {
        "add_special_tokens": False,
        "return_attention_mask": False,
        "verbose": False,
        "split_special_tokens": special == "text",
    }


def in_windows(text, tokenizer, special, size=None):
    """Its token ids, of parts of `size` characters each."""
    parts = [text] if size is None else [text[i : i + size] for i in range(0, len(text), size)]
    found = tokenize_long(parts, tokenizer, settings_for(special), "the text")
    return list(itertools.chain.from_iterable(found))


def at_once(text, tokenizer, special):
    return tokenizer([text], **settings_for(special))["input_ids"][0]


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(long_text, "WINDOW", 600)
    monkeypatch.setattr(long_text, "_OVERLAP", 200)
    monkeypatch.setattr(long_text, "_RUN", 6)


WORDS = [
    "And", " it", " came", "\n", "\n\n", "  ", " ", "\t", "...", "!", " 1234567", " wasn't", "ü",
    "日本", "🎈", " (", "(x)", ":\r\n", "    return", SPECIAL, " " + SPECIAL + " ", "'s", "e\u0301",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("special", ["text", "tokens"])
def test_windows_give_the_tokens_of_the_whole(tokenizers, small_windows, kind, special):
    tokenizer = tokenizers[kind]

    @given(st.integers(0), st.integers(0, 900), st.sampled_from([None, 1, 50, 700]))
    @settings(max_examples=20, deadline=None)
    def check(seed, words, size):
        text = "".join(random.Random(seed).choices(WORDS, k=words))
        assert in_windows(text, tokenizer, special, size) == at_once(text, tokenizer, special)

    check()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert"])
def test_a_text_of_the_usual_windows_is_tokenized_as_a_whole(tokenizers, kind):
    text = " ".join(CORPUS) * 1000
    assert len(text) > long_text.WINDOW
    tokenizer = tokenizers[kind]
    assert in_windows(text, tokenizer, "text") == at_once(text, tokenizer, "text")


@pytest.mark.parametrize("unit", ["a", " ", "\n", "=", "日", "ab"])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert", "metaspace first"])
def test_what_has_no_word_to_part_at_is_taken_whole_or_refused(
    tokenizers, small_windows, kind, unit, monkeypatch
):
    text = "A start. " + unit * 4000 + " An end."
    expected = at_once(text, tokenizers[kind], "text")
    assert in_windows(text, tokenizers[kind], "text", 100) == expected
    monkeypatch.setattr(long_text, "_LARGEST", 700)
    with contextlib.suppress(DataError):
        assert in_windows(text, tokenizers[kind], "text", 100) == expected


def test_one_word_of_any_length_is_refused_in_little_memory(tokenizers, small_windows, monkeypatch):
    """A word that a tokenizer takes for one token can't be parted."""
    monkeypatch.setattr(long_text, "_LARGEST", 3000)
    parts = ("x" * 100 for _ in range(1 << 30))
    with pytest.raises(DataError, match="no word to part at in"):
        list(tokenize_long(parts, tokenizers["bert"], settings_for("text"), "the text"))


def test_a_tokenizer_in_python_takes_texts_whole(tmp_path):
    from transformers import CTRLTokenizer

    (tmp_path / "vocab.json").write_text(json.dumps({"<unk>": 0, "a": 1, "b": 2}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    tokenizer = CTRLTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    assert not tokenizer.is_fast
    assert in_windows("a b " * 500, tokenizer, "text", 70) == [1, 2] * 500


def test_the_bundled_models_tokenizer_keeps_its_hash(tmp_path):
    """Tokenizing leaves no trace in what a cache tells a tokenizer by."""
    from lmsaes.text.tokenizer import tokenizer_facts

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    before = tokenizer_facts(tokenizer)
    for special in ("text", "tokens"):
        in_windows("some text", tokenizer, special)
        assert tokenizer_facts(tokenizer) == before
