"""Contexts travel as they are stored; windows, whole contexts, documents."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient

from lmsaes.database import Database, EmbeddedServer
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up
from tests.support.safetensors_files import read_file

PATH = "/api/saes/demo:topk/features/64/contexts"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("contexts")) as server:
        yield server


@pytest.fixture(scope="module")
def database(server: EmbeddedServer) -> Iterator[Database]:
    with Database(f"{server.uri}/shared") as database:
        made_up.publish(database)
        yield database


@pytest.fixture(scope="module")
def client(database: Database) -> Iterator[TestClient]:
    with TestClient(create_app(database=database)) as client:
        yield client


def test_contexts_come_whole_and_in_order(client: TestClient) -> None:
    expected = made_up.sample(64)
    seen = list[int]()
    for offset in (0, 5, 10):
        tensors, about = read_file(client.get(f"{PATH}?offset={offset}&limit=5"))
        assert (about["stored"], about["offset"]) == (made_up.TOP, offset)
        for i, context in enumerate(tensors["context"].tolist()):
            part = slice(tensors["starts"][i], tensors["starts"][i + 1])
            row = offset + i
            assert context == expected.contexts[row]
            tokens = tensors["token_ids"][part]
            np.testing.assert_array_equal(tokens, made_up.context_tokens()[context])
            values = tensors["activations"][part].astype(np.float32) * about["scale"]
            np.testing.assert_array_equal(values, expected.activations[row])
            assert tensors["position"][i] == expected.positions[row]
            assert tensors["maximum"][i] == values.max()
            seen.append(context)
    assert seen == expected.contexts.tolist()


def test_a_page_is_one_answer(client: TestClient) -> None:
    """The feature comes along, as it is answered alone."""
    feature = client.get(PATH.removesuffix("/contexts")).json()
    contexts, about = read_file(client.get(f"{PATH}?page=true"))
    alone, without = read_file(client.get(PATH))
    assert about["page"] == feature
    assert without["page"] is None
    for name, values in alone.items():
        np.testing.assert_array_equal(contexts[name], values)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 2), (1000, 0), (0, 1000)])
def test_a_window_lies_around_the_strongest_token(
    client: TestClient, before: int, after: int
) -> None:
    tensors, _ = read_file(client.get(f"{PATH}?before={before}&after={after}"))
    for i, context in enumerate(tensors["context"].tolist()):
        position, first = int(tensors["position"][i]), int(tensors["first"][i])
        stop = min(position + after + 1, made_up.CONTEXT_SIZE)
        assert first == max(position - before, 0)
        part = slice(tensors["starts"][i], tensors["starts"][i + 1])
        expected = made_up.context_tokens()[context][first:stop]
        np.testing.assert_array_equal(tensors["token_ids"][part], expected)
        assert tensors["length"][i] == made_up.CONTEXT_SIZE


@pytest.mark.parametrize("largest", [3e-7, 2e-5, 1.0, 1e6])
def test_no_activation_is_rounded_to_zero_or_to_digits(
    server: EmbeddedServer, largest: float
) -> None:
    """Whatever a feature's unit, all of float16's precision comes over."""
    random = np.random.default_rng(1)
    values = (largest * random.random((1, made_up.CONTEXT_SIZE))).astype(np.float32)
    values[0, 5] = largest
    values[0, 6] = largest * 1e-4
    with Database(f"{server.uri}/fine_{largest:.0e}".replace("-", "m").replace("+", "p")) as own:
        with own.draft("demo:topk", made_up.CACHE, made_up.MADE_FROM) as draft:
            own.put_vocabulary(made_up.VOCABULARY, made_up.TOKENS)
            own.put_contexts(made_up.CACHE, np.array([0]), made_up.context_tokens()[:1])
            feature = replace(made_up.feature(0), maximum=largest)
            draft.put_features([feature])
            sample = replace(
                made_up.sample(0),
                contexts=np.array([0]),
                positions=np.array([5]),
                activations=values,
            )
            draft.put_samples([sample])
            draft.put_columns({name: each[:1] for name, each in made_up.columns().items()})
            draft.publish(made_up.sae(analysis=draft.analysis, features=1, feature_range=(0, 1)))
        with TestClient(create_app(database=own)) as client:
            path = "/api/saes/demo:topk/features/0/contexts"
            tensors, about = read_file(client.get(path))
            whole, _ = read_file(client.get(f"{path}/0"))
    for sent in (tensors["activations"].astype(np.float32) * about["scale"], whole["activations"]):
        np.testing.assert_allclose(sent, values[0], rtol=2**-11)
    assert whole["maximum"][0] == tensors["maximum"][0]


def test_a_context_opens_whole_with_its_neighbors(client: TestClient) -> None:
    expected = made_up.sample(64)
    context = int(next(each for each in expected.contexts if 0 < each < made_up.CONTEXTS - 1))
    tensors, about = read_file(client.get(f"{PATH}/{context}?before=2"))
    assert tensors["context"].tolist() == [context - 1, context, context + 1]
    assert (about["group"], tensors["starts"].tolist()) == (None, [0, 32, 64, 96])
    row = expected.contexts.tolist().index(context)
    np.testing.assert_array_equal(tensors["activations"][32:64], expected.activations[row])
    shown = set(expected.contexts.tolist())
    for neighbor, part in ((context - 1, slice(0, 32)), (context + 1, slice(64, 96))):
        assert np.isnan(tensors["activations"][part]).all() == (neighbor not in shown)
    assert client.get(f"{PATH}/{10**9}").status_code == 404


def test_documents_come_along_where_they_are_known(server: EmbeddedServer) -> None:
    with Database(f"{server.uri}/documents") as own:
        size = made_up.CONTEXT_SIZE
        documents = np.arange(made_up.CONTEXTS * size).reshape(-1, size) // 20
        own.put_contexts(
            made_up.CACHE, np.arange(made_up.CONTEXTS), made_up.context_tokens(), documents
        )
        made_up.publish(own)
        with TestClient(create_app(database=own)) as client:
            tensors, _ = read_file(client.get(f"{PATH}?limit=3"))
    expected = np.concatenate([documents[context] for context in tensors["context"]])
    np.testing.assert_array_equal(tensors["documents"], expected)


def test_where_documents_are_not_known_none_are_made_up(client: TestClient) -> None:
    tensors, _ = read_file(client.get(PATH))
    assert "documents" not in tensors


def test_a_dead_feature_has_no_contexts(client: TestClient) -> None:
    tensors, about = read_file(
        client.get(f"/api/saes/demo:topk/features/{made_up.DEAD[0]}/contexts")
    )
    assert (about["stored"], about["maximum"], tensors["context"].tolist()) == (0, 0, [])
    assert tensors["starts"].tolist() == [0]
