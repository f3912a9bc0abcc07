"""What the server's answers cost with many features, in the embedded database.

    python benchmarks/server.py
    python benchmarks/server.py --features 20000 --clients 4

An analysis is made up and written as `lmsaes analyze` writes one: features, contexts, columns.
`lmsaes serve` serves it. Columns are what a browser fetches of an SAE for its list, once as the
server makes the file and once as it is kept in memory. A feature page is the feature with its
strongest contexts, in one answer, of features drawn at random, asked for by several clients at once
on the same machine.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from _report import row, tell

from lmsaes.database import (
    Database,
    Draft,
    FeatureDetails,
    FeatureRecord,
    GroupFacts,
    SAERecord,
    SampleRecord,
)

NAME, CACHE, VOCABULARY = "made-up:topk", "c" * 16, "d" * 16
TOKENS, CONTEXTS = 50_000, 4096
SHOWN = 10  # tokens and logit weights of a feature


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=100_000)
    parser.add_argument("--context-size", type=int, default=128)
    parser.add_argument("--top", type=int, default=40, help="contexts of a feature")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--pages", type=int, default=800, help="feature pages that are timed")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        tell(measure(arguments, Path(folder)), arguments)


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    with Database(folder=folder) as database:
        begun = time.perf_counter()
        analysis = write(database, arguments)
        written = time.perf_counter() - begun
        with serving(folder) as port:
            rows = [*columns(port, analysis), *pages(port, analysis, arguments)]
    speed = arguments.features / written
    return [row("writing the analysis", speed, "features/s", better="higher"), *rows]


def write(database: Database, arguments: argparse.Namespace) -> str:
    """The made-up analysis, published; its id."""
    random = np.random.default_rng(0)
    database.put_vocabulary(VOCABULARY, [f" token{number}" for number in range(TOKENS)])
    tokens = random.integers(0, TOKENS, (CONTEXTS, arguments.context_size), dtype=np.int32)
    database.put_contexts(CACHE, np.arange(CONTEXTS), tokens)
    firings = random.integers(1, 100_000, arguments.features)
    maxima = random.gamma(4, 5, arguments.features)
    with database.draft(NAME, CACHE, {"sae": "made-up"}) as draft:
        draft.put_samples(samples(maxima, arguments))
        draft.put_features(features(firings, maxima))
        draft.put_columns(
            {
                "firings": firings,
                "contexts": firings,
                "density": (firings / 100_000_000).astype(np.float32),
                "maximum": maxima.astype(np.float32),
                "mean": (maxima / 4).astype(np.float32),
            }
        )
        draft.publish(record(draft, arguments))
    return draft.analysis


def features(firings: np.ndarray, maxima: np.ndarray) -> Iterator[FeatureRecord]:
    random = np.random.default_rng(1)
    for index, (count, maximum) in enumerate(zip(firings.tolist(), maxima.tolist(), strict=True)):
        token, near = random.integers(0, TOKENS, (3, SHOWN)), random.integers(0, len(maxima), SHOWN)
        weights = np.linspace(2, 1, SHOWN)
        shares = np.linspace(0.3, 0.01, SHOWN, dtype=np.float32)
        neighbors = {"feature": near.astype(np.int32), "cosine": shares}
        yield FeatureRecord(
            index=index,
            firings=count,
            density=count / 100_000_000,
            maximum=maximum,
            mean=maximum / 4,
            histogram=random.integers(0, count, 40),
            histogram_max=maximum,
            promotes=list(zip(token[0].tolist(), weights.tolist(), strict=True)),
            suppresses=list(zip(token[1].tolist(), (-weights).tolist(), strict=True)),
            details=FeatureDetails(
                contexts=count,
                label=f"' token{token[2, 0]}' 30 %",
                groups={"top": GroupFacts(count)},
                fires_on={
                    "token": token[2].astype(np.int32),
                    "count": (shares * count).astype(np.int64),
                    "mean": shares,
                    "share_of_firings": shares,
                    "share_of_token": shares,
                },
                preceded_by={
                    "token": token[0, :2].astype(np.int32),
                    "count": np.array([2, 1]),
                    "share": shares[:2],
                    "lift": shares[:2],
                },
                neighbors={"decoder": neighbors},
            ),
        )


def samples(maxima: np.ndarray, arguments: argparse.Namespace) -> Iterator[SampleRecord]:
    """The strongest contexts of each feature, active on a twentieth of their tokens."""
    random = np.random.default_rng(2)
    shape = arguments.top, arguments.context_size
    for index, maximum in enumerate(maxima.tolist()):
        positions = random.integers(0, arguments.context_size, arguments.top)
        values = random.random(shape, np.float32)
        activations = np.where(values < 0.05, values * 10 * maximum, 0).astype(np.float32)
        activations[np.arange(arguments.top), positions] = np.linspace(
            maximum, maximum / 2, arguments.top
        )
        yield SampleRecord(
            index=index,
            group="top",
            contexts=(random.integers(CONTEXTS) + np.arange(arguments.top)) % CONTEXTS,
            positions=positions.astype(np.int32),
            activations=activations,
        )


def record(draft: Draft, arguments: argparse.Namespace) -> SAERecord:
    return SAERecord(
        name=NAME,
        analysis=draft.analysis,
        made_from=dict(draft.made_from),
        sae_path="made-up",
        sae_hash="made-up",
        architecture="topk",
        features=arguments.features,
        d_model=768,
        model="made-up",
        hook="blocks.8.hook_resid_pre",
        cache=CACHE,
        cache_path="made-up",
        dataset="made-up",
        context_size=arguments.context_size,
        tokens_analyzed=100_000_000,
        tokens_trained=None,
        l0=None,
        fvu=None,
        dead_fraction=None,
        config={},
        run="made-up",
        created="2026-01-01T00:00:00+00:00",
        vocabulary=VOCABULARY,
        feature_range=(0, arguments.features),
    )


@contextmanager
def serving(folder: Path) -> Generator[int]:
    """The port of `lmsaes serve` over the embedded database in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if key != "LMSAES_DB"}
    command = "from lmsaes.cli.app import app; app()"
    with subprocess.Popen(
        [sys.executable, "-uc", command, "serve", "--port", str(port), "--model", "none"],
        env={**environment, "LMSAES_DB_FOLDER": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        if not any(f"127.0.0.1:{port}" in line for line in process.stdout):
            raise SystemExit("error: lmsaes serve did not start")
        try:
            yield port
        finally:
            process.terminate()


def get(connection: HTTPConnection, path: str) -> bytes:
    """The body of an answer, compressed as a browser gets it."""
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"error: {path}: {answer.status} {body.decode(errors='replace')}")
    return body


def columns(port: int, analysis: str) -> Iterator[dict[str, Any]]:
    """Time and size of each part of the columns."""
    connection = HTTPConnection("127.0.0.1", port)
    get(connection, "/api/saes")  # the server is warm, its columns are not
    for part in ("core", "tokens", "histograms"):
        path = f"/api/saes/{NAME}/columns?part={part}&analysis={analysis}"
        begun = time.perf_counter()
        size = len(get(connection, path))
        first = time.perf_counter() - begun
        again = min(timed(connection, path) for _ in range(3))
        yield row(f"columns, {part}: compressed", size / 1e6, "MB")
        yield row(f"columns, {part}: made", 1000 * first, "ms")
        yield row(f"columns, {part}: from memory", 1000 * again, "ms")


def timed(connection: HTTPConnection, path: str) -> float:
    """Seconds until an answer is there."""
    begun = time.perf_counter()
    get(connection, path)
    return time.perf_counter() - begun


def pages(port: int, analysis: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Times of feature pages, asked by one client and by several at once."""
    drawn = np.random.default_rng(3).integers(0, arguments.features, 2 * arguments.pages)
    alone = client(port, analysis, drawn[: arguments.pages // arguments.clients].tolist())
    parts = np.array_split(drawn[arguments.pages :], arguments.clients)
    with ThreadPoolExecutor(arguments.clients) as pool:
        found = pool.map(lambda part: client(port, analysis, part.tolist()), parts)
        together = [seconds for part in found for seconds in part]
    p95 = 1000 * float(np.quantile(together, 0.95))
    what = f"a feature page, {arguments.clients} clients"
    return [
        row("a feature page, one client: median", 1000 * statistics.median(alone), "ms"),
        row(f"{what}: median", 1000 * statistics.median(together), "ms"),
        row(f"{what}: p95", p95, "ms", ratio=p95, must=100, aim=40),
    ]


def client(port: int, analysis: str, features: list[int]) -> list[float]:
    """Seconds of each of some feature pages, by a client that asks without a pause."""
    connection = HTTPConnection("127.0.0.1", port)
    return [timed(connection, address(analysis, feature)) for feature in features]


def address(analysis: str, feature: int) -> str:
    """What a feature's page asks for first."""
    path = f"/api/saes/{NAME}/features/{feature}"
    return f"{path}/contexts?group=top&page=true&analysis={analysis}"


if __name__ == "__main__":
    main()
