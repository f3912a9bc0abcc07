"""A small analysis of known contents, for tests of the database, the server and the viewer."""

from collections.abc import Iterator

import numpy as np

from lmsaes.database import (
    Database,
    Draft,
    FeatureDetails,
    FeatureRecord,
    GroupFacts,
    LogitFacts,
    SAERecord,
    SampleRecord,
    TwinFacts,
    WiringFacts,
    WiringSide,
)

FEATURES, CONTEXT_SIZE, CONTEXTS, TOP = 120, 32, 60, 12
TOKENS_ANALYZED = CONTEXTS * CONTEXT_SIZE
DEAD, DENSE = (7, 19, 83), (3, 64)
CACHE, VOCABULARY = "c" * 16, "d" * 16
MADE_FROM = {"sae": "5f3a"}
# fmt: off
WORDS = [
    "the", "of", "and", "in", "to", "a", "was", "for", "on", "by", "with", "from", "at", "that",
    "as", "is", "it", "be", "this", "river", "town", "year", "king", "war", "ship", "island",
    "north", "south", "sea", "law", "book", "house", "water", "stone", "winter", "é", "漢",
]
# fmt: on
TOKENS = ["\n", ".", ",", ";", "ing", *(f" {word}" for word in WORDS)]


def context_tokens() -> np.ndarray:
    """int32 [CONTEXTS, CONTEXT_SIZE]"""
    random = np.random.default_rng(1)
    return random.integers(0, len(TOKENS), (CONTEXTS, CONTEXT_SIZE), dtype=np.int32)


def activations(index: int, seed: int = 0) -> np.ndarray:
    """One feature's activations, float16 [CONTEXTS, CONTEXT_SIZE]; DEAD features have none."""
    random = np.random.default_rng((seed, index))
    share = 0 if index in DEAD else 0.4 if index in DENSE else 0.005 + 0.04 * random.random()
    active = random.random((CONTEXTS, CONTEXT_SIZE)) < share
    strength = random.gamma(2, 1.5 + index / 40, (CONTEXTS, CONTEXT_SIZE))
    return np.where(active, strength, 0).astype(np.float16)


def feature(index: int, seed: int = 0) -> FeatureRecord:
    values = activations(index, seed)
    positive = values[values > 0].astype(np.float64)
    maximum = float(positive.max(initial=0))
    histogram, _ = np.histogram(positive, bins=20, range=(0, maximum or 1))
    return FeatureRecord(
        index=index,
        firings=positive.size,
        density=positive.size / TOKENS_ANALYZED,
        maximum=maximum,
        mean=float(positive.mean()) if positive.size else 0.0,
        histogram=histogram.astype(np.int64),
        histogram_max=maximum,
        promotes=[((index + i) % len(TOKENS), 2.0 - 0.25 * i) for i in range(6)],
        suppresses=[((index + 20 + i) % len(TOKENS), -1.5 + 0.25 * i) for i in range(6)],
        details=details(index, values),
    )


def details(index: int, values: np.ndarray) -> FeatureDetails:
    """What follows from the activations [CONTEXTS, CONTEXT_SIZE], and partners made up."""
    tokens = context_tokens()
    own, counts = np.unique(tokens[values > 0], return_counts=True)
    sums = np.array([values[(tokens == token) & (values > 0)].sum() for token in own])
    order = np.argsort(-sums, kind="stable")[:8]
    own, counts, sums = own[order], counts[order].astype(np.int64), sums[order]
    share = counts / max(int((values > 0).sum()), 1)
    of_token = counts / np.maximum([(tokens == token).sum() for token in own], 1)
    near = np.array([(index + 1) % FEATURES, (index + 2) % FEATURES], np.int32)
    together = {
        "feature": near,
        "jaccard": np.array([0.5, 0.25], np.float32),
        "pmi": np.array([2, 1], np.float32),
    }
    firing = int((values.max(axis=1) > 0).sum())
    twin = None if index in DEAD else FEATURES - 1 - index
    return FeatureDetails(
        contexts=firing,
        label=None if index in DEAD else f"'{TOKENS[own[0]]}' {100 * share[0]:.0f} %",
        groups={"top": GroupFacts(firing)},
        fires_on={
            "token": own.astype(np.int32),
            "count": counts,
            "mean": (sums / np.maximum(counts, 1)).astype(np.float32),
            "share_of_firings": share.astype(np.float32),
            "share_of_token": of_token.astype(np.float32),
        },
        preceded_by={
            "token": own[:2].astype(np.int32),
            "count": counts[:2],
            "share": share[:2].astype(np.float32),
            "lift": np.array([3, 2], np.float32)[: len(own)],
        },
        neighbors={
            "decoder": {"feature": near, "cosine": np.array([0.7, 0.6], np.float32)},
            "jaccard": {**together, "joint": np.array([3, 2])},
        },
        twins=[
            TwinFacts("demo:relu", None, None, None, 0.0, False)
            if twin is None
            else TwinFacts("demo:relu", twin, 0.75, None if index == 1 else 0.5, 0.5, True)
        ],
        stability=0.5,
        logits=LogitFacts(0.0, 1.0, None, 0.5, np.arange(8), -2.0, 2.0),
        wiring=wiring(index),
    )


def wiring(index: int) -> WiringFacts:
    """Of a model with four query heads and two key heads; the feature's hook has no readers."""
    ratios = np.array([2.5, 1.5], np.float32)
    common = {"layer": np.array([0, 1], np.int16)}
    heads = {"head": np.array([index % 4, 2], np.int16), "heads": np.array([1, 2], np.int16)}
    neurons = {"neuron": np.array([index, 5000], np.int32)}
    by, weights = np.array([0, 0], np.uint8), {"weight": -ratios, "ratio": ratios}
    side = WiringSide(
        {**common, **heads, "by": by, **weights}, {**common, **neurons, "by": by, **weights}
    )
    return WiringFacts(side, None, "nothing comes after it")


def sample(index: int, seed: int = 0) -> SampleRecord:
    values = activations(index, seed)
    best = values.max(axis=1)
    order = np.argsort(-best, kind="stable")[: min(TOP, int((best > 0).sum()))]
    return SampleRecord(
        index=index,
        group="top",
        contexts=order.astype(np.int64),
        positions=values[order].argmax(axis=1).astype(np.int32),
        activations=values[order],
    )


def sae(name: str = "demo:topk", **changes: object) -> SAERecord:
    fields = {
        "name": name,
        "analysis": "a" * 16 + "_" + "b" * 8,
        "made_from": MADE_FROM,
        "sae_path": "runs/demo/topk",
        "sae_hash": "5f3a",
        "architecture": "topk",
        "features": FEATURES,
        "d_model": 16,
        "model": "lmsaes-demo",
        "hook": "blocks.2.hook_resid_post",
        "cache": CACHE,
        "cache_path": "caches/demo",
        "dataset": "demo text",
        "context_size": CONTEXT_SIZE,
        "tokens_analyzed": TOKENS_ANALYZED,
        "tokens_trained": 1_000_000,
        "l0": 31.5,
        "fvu": 0.21,
        "dead_fraction": len(DEAD) / FEATURES,
        "config": {"k": 32, "lr": 0.004},
        "run": "demo",
        "created": "2026-11-25T01:00:00+00:00",
        "vocabulary": VOCABULARY,
        "feature_range": (0, FEATURES),
    }
    return SAERecord.model_validate({**fields, **changes})


def contexts_of(record: FeatureRecord) -> int:
    assert record.details is not None
    return record.details.contexts


def columns(seed: int = 0) -> dict[str, np.ndarray]:
    records = [feature(index, seed) for index in range(FEATURES)]
    return {
        "firings": np.array([record.firings for record in records], dtype=np.int64),
        "contexts": np.array([contexts_of(record) for record in records], dtype=np.int64),
        "density": np.array([record.density for record in records], dtype=np.float32),
        "maximum": np.array([record.maximum for record in records], dtype=np.float32),
        "mean": np.array([record.mean for record in records], dtype=np.float32),
    }


def publish(
    database: Database, name: str = "demo:topk", seed: int = 0, **changes: object
) -> SAERecord:
    """A whole analysis, whose record differs from `sae` in `changes`."""
    with database.draft(name, CACHE, MADE_FROM) as draft:
        write(database, draft, seed)
        record = sae(name, analysis=draft.analysis, **changes)
        draft.publish(record)
    return record


def write(database: Database, draft: Draft, seed: int = 0) -> None:
    """Everything but the publishing."""
    database.put_vocabulary(VOCABULARY, TOKENS)
    database.put_contexts(CACHE, np.arange(CONTEXTS), context_tokens())
    draft.put_features(feature(i, seed) for i in range(FEATURES))
    draft.put_samples(samples(seed))
    draft.put_columns(columns(seed))


def samples(seed: int = 0) -> Iterator[SampleRecord]:
    for index in range(FEATURES):
        if index not in DEAD:
            yield sample(index, seed)
