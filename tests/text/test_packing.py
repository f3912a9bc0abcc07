"""Documents become contexts: packed, mixed or one by one, and again from anywhere in between."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from lmsaes.demo import MODEL
from lmsaes.errors import DataError
from lmsaes.provenance import DatasetRecord, TextPosition, TextRecord
from lmsaes.text.datasets import TextSource, load_text
from lmsaes.text.packing import PADDING, ContextStream

SEPARATOR = 7


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL)


def source(documents, share=1.0, name="made-up"):
    record = DatasetRecord(dataset=name, fingerprint="0", share=share)
    return TextSource(record, lambda start: iter(documents[start:]))


def record(size, bos=False, separator=True, packing="packed"):
    return TextRecord(
        dataset="made-up",
        fingerprint="0",
        tokenizer_hash="0",
        context_size=size,
        bos=bos,
        bos_id=0 if bos else None,
        separator_id=SEPARATOR if separator else None,
        special_ids=(0, SEPARATOR),
        packing=packing,
        padding_id=None if packing == "packed" else SEPARATOR,
    )


def stream(sources, how, tokenizer=None, start=None):
    return ContextStream(sources, tokenizer, how, 4096, start)


def in_parts(sources, how, takes, tokenizer=None):
    """What `take` gives, and that from any position the stream starts again where it stood."""
    contexts = stream(sources, how, tokenizer)
    positions, parts = [contexts.position], [contexts.take(0)]
    for count in takes:
        parts.append(contexts.take(count))
        positions.append(contexts.position)
    tokens = np.concatenate([part.tokens for part in parts])
    documents = np.concatenate([part.documents for part in parts])
    whole = stream(sources, how, tokenizer).take(10_000)
    assert np.array_equal(tokens, whole.tokens[: len(tokens)])
    assert len(tokens) == min(sum(takes), len(whole))
    done = 0
    for part, position in zip(parts, positions, strict=True):
        done += len(part)
        again = stream(sources, how, tokenizer, position).take(10_000)
        assert np.array_equal(again.tokens, whole.tokens[done:])
        assert np.array_equal(again.documents, whole.documents[done:])
    return tokens, documents


@given(
    documents=st.lists(st.text(alphabet="ab \n", max_size=40), min_size=1, max_size=12),
    size=st.integers(2, 9),
    bos=st.booleans(),
    separator=st.booleans(),
    takes=st.lists(st.integers(1, 4), min_size=1, max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_packing_equals_one_long_line_cut_up(tokenizer, documents, size, bos, separator, takes):
    line, numbers = [], []
    for number, document in enumerate(documents):
        if document:
            ids = tokenizer.encode(document, add_special_tokens=False) + [SEPARATOR] * separator
            line += ids
            numbers += [number] * len(ids)
    fresh = size - bos
    whole = len(line) // fresh
    expected = np.array(line[: whole * fresh], np.int32).reshape(whole, fresh)
    of = np.array(numbers[: whole * fresh], np.int32).reshape(whole, fresh)
    if bos:
        expected = np.concatenate([np.zeros((whole, 1), np.int32), expected], 1)
        of = np.concatenate([of[:, :1], of], 1)
    how = record(size, bos, separator)
    found, documents_found = in_parts([source(documents)], how, takes, tokenizer)
    assert np.array_equal(found, expected[: len(found)])
    assert np.array_equal(documents_found, of[: len(found)])


@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=12),
    size=st.integers(2, 9),
    bos=st.booleans(),
    packing=st.sampled_from(["truncate", "split"]),
    takes=st.lists(st.integers(1, 4), min_size=1, max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_one_document_a_context_is_padded_to_the_right(lengths, size, bos, packing, takes):
    documents = [[100 + n] * length for n, length in enumerate(lengths)]
    fresh = size - bos
    expected, of = [], []
    for number, document in enumerate(documents):
        starts = range(0, len(document), fresh)
        for start in starts if packing == "split" else starts[:1]:
            part = document[start : start + fresh]
            padding = fresh - len(part)
            expected.append([0] * bos + part + [SEPARATOR] * padding)
            of.append([number] * (bos + len(part)) + [PADDING] * padding)
    found, documents_found = in_parts([source(documents)], record(size, bos, True, packing), takes)
    assert found.tolist() == expected[: len(found)]
    assert documents_found.tolist() == of[: len(found)]


@given(
    lengths=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=30), min_size=2, max_size=3),
    weights=st.lists(st.integers(1, 5), min_size=3, max_size=3),
    packing=st.sampled_from(["packed", "truncate", "split"]),
    takes=st.lists(st.integers(1, 4), min_size=1, max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_a_mixture_keeps_its_shares_and_goes_on_anywhere(lengths, weights, packing, takes):
    shares = [w / sum(weights[: len(lengths)]) for w in weights[: len(lengths)]]
    # the token tells dataset and document
    datasets = [
        [[1000 * i + n + 10] * length for n, length in enumerate(of)]
        for i, of in enumerate(lengths)
    ]
    sources = [source(d, share) for d, share in zip(datasets, shares, strict=True)]
    # the plain account: whole documents, each of the dataset furthest behind
    used, next_document, order = [0] * len(datasets), [0] * len(datasets), []
    while True:
        i = min(range(len(datasets)), key=lambda i: used[i] / shares[i])
        if next_document[i] == len(datasets[i]):
            break
        length = len(datasets[i][next_document[i]])
        used[i] += min(length, 4) if packing == "truncate" else length
        order += [1000 * i + next_document[i] + 10] * (length > 0)
        next_document[i] += 1
        for j, share in enumerate(shares):
            assert used[j] <= share * sum(used) + 9
    how = record(4, False, packing == "packed", packing)
    tokens, documents = in_parts(sources, how, takes)
    kept = tokens[documents >= 0]
    seen = [int(t) for t in kept if t != SEPARATOR]
    changes = [b for a, b in pairwise([None, *seen]) if a != b]
    assert changes == order[: len(changes)]
    # a document's number is its own
    pairs = {(d, t) for d, t in zip(documents[documents >= 0], kept, strict=True) if t != SEPARATOR}
    assert len({d for d, _ in pairs}) == len({t for _, t in pairs}) == len(pairs)


def test_the_dataset_that_ends_a_mixture_is_named():
    sources = [source([[1]] * 90, 0.5, "long"), source([[2]] * 3, 0.5, "short")]
    contexts = stream(sources, record(2, separator=False))
    assert contexts.take(100).tokens.tolist() == [[1, 2]] * 3
    assert contexts.ended_by == "short"


def test_a_long_document_is_cut_where_the_tokenizer_cuts(tokenizer, tmp_path):
    text = "And it came to pass, in those days.\n\nThat there went out a decree. " * 9000
    (tmp_path / "long.txt").write_text(text)
    sources = [load_text(str(tmp_path / "long.txt"))]
    ids = tokenizer.encode(text, add_special_tokens=False, verbose=False)
    packed = stream(sources, record(10, separator=False), tokenizer).take(10**6).tokens
    assert packed.reshape(-1).tolist() == ids[: len(ids) // 10 * 10]
    split = stream(sources, record(10, packing="split"), tokenizer).take(10**6).tokens
    assert split.reshape(-1).tolist()[: len(ids)] == ids


def test_token_ids_are_taken_as_they_are():
    contexts = stream([source([[1, 2, 3], [4, 5, 6, 4095]])], record(3))
    assert contexts.take(5).tokens.tolist() == [[1, 2, 3], [7, 4, 5], [6, 4095, 7]]
    assert contexts.position == TextPosition(document=1, token=5)


@pytest.mark.parametrize(
    "kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
)
def test_token_ids_are_of_any_integer_type(kind):
    contexts = stream([source([np.array([1, 2, 3], kind), np.array([4, 100], kind)])], record(3))
    assert contexts.take(5).tokens.tolist() == [[1, 2, 3], [7, 4, 100]]
    if np.dtype(kind).itemsize > 1:
        with pytest.raises(DataError, match="document 0 of 'made-up' holds token id 4096"):
            stream([source([np.array([1, 4096], kind)])], record(2)).take(1)


def test_lists_in_a_document_of_token_ids_follow_each_other():
    contexts = stream([source([[[1, 2], [], [3]], [[[4], [5]], [[]]]])], record(3))
    assert contexts.take(5).tokens.tolist() == [[1, 2, 3], [7, 4, 5]]


@pytest.mark.parametrize("packing", ["packed", "truncate", "split"])
def test_empty_documents_keep_their_numbers_and_are_counted(packing):
    documents = [[], [1, 2], [], [], [3, 4, 5], []]
    how = record(2, packing=packing)
    contexts = stream([source(documents)], how)
    found = contexts.take(100)
    assert set(found.documents.reshape(-1).tolist()) - {PADDING} == {1, 4}
    assert (contexts.documents, contexts.empty) == (6, 4)
    # as far as it has come, and the same from anywhere in between
    for start in range(len(found)):
        contexts = stream([source(documents)], how)
        contexts.take(start)
        assert contexts.empty == (0 if start == 0 else contexts.position.empty)
        again = stream([source(documents)], how, start=contexts.position)
        again.take(100)
        assert (again.documents, again.empty) == (6, 4)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([[1, 2], [3, 4096]], "document 1 of 'made-up' holds token id 4096, but .* 4096 tokens"),
        ([[-1, 2]], "document 0 of 'made-up' holds token id -1"),
        ([["a", "b"]], "neither text nor a list of token ids"),
        ([[[1, 2], 3]], "neither text nor a list of token ids"),
        ([[0.5]], "neither text nor a list of token ids"),
        ([[True]], "neither text nor a list of token ids"),
        ([[1], [2**64, 1]], "document 1 of 'made-up' holds token id 18446744073709551616"),
    ],
)
def test_what_are_no_ids_of_the_model_is_told(documents, message):
    with pytest.raises(DataError, match=message):
        stream([source(documents)], record(2)).take(10)
