"""Text becomes contexts: every kind of source, packing, and starting again in the middle."""

import gzip
import json

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from lmsaes.cache.manifest import TextPosition
from lmsaes.demo import MODEL, TEXT
from lmsaes.errors import DataError
from lmsaes.text import PackedText, TextSource, load_text

DOCUMENTS = [
    "In the beginning.",
    "",
    "To be, or not to be\nthat is the question",
    "x",
    "Area: 5 km",
]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL)


def source(documents):
    return TextSource("made-up", "0", lambda start: iter(documents[start:]))


@given(
    documents=st.lists(st.text(alphabet="ab \n", max_size=40), min_size=1, max_size=12),
    size=st.integers(2, 9),
    bos=st.booleans(),
    separator=st.booleans(),
    takes=st.lists(st.integers(1, 4), min_size=1, max_size=30),
)
@settings(max_examples=100, deadline=None)
def test_packing_equals_one_long_line_cut_up(tokenizer, documents, size, bos, separator, takes):
    bos_id, separator_id = (0 if bos else None), (7 if separator else None)
    line = []
    for document in documents:
        if document:
            line += tokenizer.encode(document, add_special_tokens=False) + [7] * separator
    fresh = size - bos
    whole = len(line) // fresh
    expected = np.array(line[: whole * fresh], np.int32).reshape(whole, fresh)
    if bos:
        expected = np.concatenate([np.zeros((whole, 1), np.int32), expected], 1)
    packed = PackedText(source(documents), tokenizer, size, bos_id, separator_id)
    found, positions = [np.empty((0, size), np.int32)], [packed.position]
    for count in takes:
        found.append(packed.take(count))
        positions.append(packed.position)
    together = np.concatenate(found)
    assert np.array_equal(together, expected[: len(together)])
    assert len(together) == min(sum(takes), whole)
    # from any position the stream starts again where it stood
    done = 0
    for part, position in zip(found, positions, strict=True):
        done += len(part)
        again = PackedText(source(documents), tokenizer, size, bos_id, separator_id, position)
        assert np.array_equal(again.take(1000), expected[done:])


def test_a_long_document_is_cut_where_the_tokenizer_cuts(tokenizer, tmp_path):
    text = "And it came to pass, in those days.\n\nThat there went out a decree. " * 9000
    (tmp_path / "long.txt").write_text(text)
    packed = PackedText(load_text(str(tmp_path / "long.txt")), tokenizer, 10, None, None)
    ids = tokenizer.encode(text, add_special_tokens=False, verbose=False)
    assert packed.take(10**6).reshape(-1).tolist() == ids[: len(ids) // 10 * 10]


@pytest.mark.parametrize("kind", ["txt", "jsonl", "jsonl.gz", "parquet", "folder", "split"])
def test_every_local_source_gives_its_documents(tmp_path, kind):
    path = tmp_path / f"data.{kind}"
    rows = "".join(json.dumps({"text": d}) + "\n" for d in DOCUMENTS)
    match kind:
        case "txt":
            path.write_text("line one\n\nline two")
        case "jsonl":
            path.write_text(rows)
        case "jsonl.gz":
            path.write_bytes(gzip.compress(rows.encode()))
        case "parquet":
            Dataset.from_dict({"text": DOCUMENTS}).to_parquet(path)
        case "folder":
            Dataset.from_dict({"text": DOCUMENTS}).save_to_disk(path)
        case "split":
            DatasetDict({"train": Dataset.from_dict({"text": DOCUMENTS})}).save_to_disk(path)
    expected = ["line one\n\nline two"] if kind == "txt" else DOCUMENTS
    found = load_text(str(path))
    assert list(found.documents(0)) == expected
    assert list(found.documents(1)) == expected[1:]
    assert found.fingerprint == load_text(str(path)).fingerprint


def test_a_changed_file_has_another_fingerprint(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = load_text(str(path)).fingerprint
    path.write_text("two")
    assert load_text(str(path)).fingerprint != first


def test_shuffling_follows_the_seed(tmp_path):
    path = tmp_path / "d"
    Dataset.from_dict({"text": [str(i) for i in range(50)]}).save_to_disk(path)

    def order(seed):
        return list(load_text(str(path), shuffle=True, seed=seed).documents(0))

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == sorted(order(2))


def test_token_ids_are_taken_as_they_are(tokenizer, tmp_path):
    path = tmp_path / "ids"
    Dataset.from_dict({"ids": [[1, 2, 3], [4, 5, 6, 7]]}).save_to_disk(path)
    packed = PackedText(load_text(str(path), column="ids"), tokenizer, 3, None, 9)
    assert packed.take(5).tolist() == [[1, 2, 3], [9, 4, 5], [6, 7, 9]]
    assert packed.position == TextPosition(document=1, token=5)


@pytest.mark.parametrize(
    ("make", "arguments", "message", "hint"),
    [
        (None, {}, "there is no file or folder", None),
        ("jsonl", {"column": "body"}, "no column 'body'", "text"),
        ("number", {}, "holds int, not text", "--text-column"),
        ("broken", {}, "can't read the dataset", None),
        ("pdf", {}, "of no kind that can be read", ".jsonl"),
        ("empty", {}, "holds no dataset", "save_to_disk"),
        ("split", {"split": "test"}, "no split 'test'", "train"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, make, arguments, message, hint):
    path = tmp_path / "data.jsonl"
    match make:
        case "jsonl":
            path.write_text('{"text": "a"}\n')
        case "number":
            path.write_text('{"text": 1}\n')
        case "broken":
            path = tmp_path / "data.parquet"
            path.write_bytes(b"no parquet")
        case "pdf":
            path = tmp_path / "data.pdf"
            path.write_bytes(b"%PDF")
        case "empty":
            path = tmp_path / "folder"
            path.mkdir()
        case "split":
            path = tmp_path / "folder"
            DatasetDict({"train": Dataset.from_dict({"text": ["a"]})}).save_to_disk(path)
    with pytest.raises(DataError, match=message) as error:
        list(load_text(str(path), **arguments).documents(0))
    assert "\n" not in str(error.value)
    if hint:
        assert hint in (error.value.hint or "")


def test_a_name_that_cannot_be_downloaded_is_told():
    with pytest.raises(DataError, match="neither a local file or folder nor to be had"):
        load_text("nobody/nothing-at-all")


def test_the_bundled_text_has_all_its_sources_early():
    with gzip.open(TEXT, "rt") as file:
        sources = [json.loads(line)["source"] for _, line in zip(range(60), file, strict=False)]
    assert len(set(sources)) == 4
