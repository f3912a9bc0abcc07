"""What routes of graphs ask of the language model; it needs torch and is loaded at the first.

records ──► live (model and transcoders, in one's turn) ──► lmsaes.circuits ──► schemas
"""

import re
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from queue import Queue

from pydantic import BaseModel

from lmsaes.circuits import (
    Prepared,
    TraceConfig,
    intervene,
    keep_graph,
    load_transcoders,
    prepare,
    reader_of,
    source_of,
    split_by_head,
    trace_prepared,
)
from lmsaes.database import GraphRecord, SAERecord, TakenError
from lmsaes.errors import ConfigError, LmsaesError, SAEError
from lmsaes.sae import sae_hash
from lmsaes.steering import tokenize

from .graph_schemas import (
    Agreement,
    BlockSplit,
    EdgeSplit,
    Intervention,
    InterventionAgreement,
    InterventionRequest,
    NextToken,
    NodeChange,
    NodeFactor,
    TraceDone,
    TraceProgress,
    TraceRequest,
)
from .graphs import place_of
from .live import Live
from .live_schemas import ErrorEvent
from .middleware import with_hint
from .model_work import check_tokens
from .store import NotFoundError, Store

_WORDS = 40  # characters of a prompt that become its graph's name
_NAMES = 1000  # that are tried for one prompt


class _StoppedError(Exception):
    """Nobody waits for the graph any more."""


def traced(asked: TraceRequest, store: Store, live: Live) -> Generator[str]:
    """Events of a trace, as server-sent events."""
    records = [store.sae(name) for name in asked.saes]
    if len({record.model for record in records}) > 1:
        raise ConfigError("the SAEs are of different models", "trace with those of one model")
    given = asked.model_dump(exclude={"saes", "name"})
    config = TraceConfig.of({**given, "transcoders": [record.sae_path for record in records]})
    with live.turn():
        prepared = _prepared(config, records, live)
        yield from _events(prepared, config, asked.name, store, live.limits.trace_seconds)


def split(record: GraphRecord, source: str, target: str, store: Store, live: Live) -> EdgeSplit:
    """An edge by attention head."""
    shown = store.shown_graph(record)
    ends = place_of(shown, source), place_of(shown, target)
    own = [edge for edge in shown.into(ends[1]) if shown.edges["source"][edge] == ends[0]]
    if not own:
        raise NotFoundError(f"the graph has no edge from '{source}' to '{target}'")
    with live.turn():
        _, replacement = live.graph(record)
        reader = reader_of(replacement, shown, ends[1])
        found = split_by_head(replacement, reader, source_of(replacement, shown, ends[0]))
    parts = zip(found.layers, found.heads.tolist(), found.stream.tolist(), strict=True)
    return EdgeSplit(
        graph=record.graph,
        source=source,
        target=target,
        weight=float(shown.edges["weight"][own[0]]),
        blocks=[BlockSplit(layer=n, heads=heads, stream=stream) for n, heads, stream in parts],
    )


def intervened(
    record: GraphRecord, asked: InterventionRequest, store: Store, live: Live
) -> Intervention:
    """Nodes and groups ablated or scaled; a node's own factor goes before its group's."""
    shown = store.shown_graph(record)
    groups = {group.name: group.nodes for group in record.groups}
    factors: dict[str, float] = {}
    for edit in sorted(asked.edits, key=lambda each: each.node is not None):
        if edit.group is not None and edit.group not in groups:
            raise NotFoundError(f"the graph has no group '{edit.group}'")
        for node in groups[edit.group] if edit.group is not None else [edit.node or ""]:
            place_of(shown, node)
            factors[node] = edit.factor
    with live.turn():
        lm, replacement = live.graph(record)
        found = intervene(lm, shown, factors, replacement)
    columns = (each.tolist() for each in (found.before, found.real, found.direct, found.total))
    changes = [
        NodeChange(node=node, before=before, real=real, direct=direct, total=total)
        for node, before, real, direct, total in zip(found.nodes, *columns, strict=True)
    ]
    first_target = len(changes) - found.targets
    features = sorted(changes[:first_target], key=lambda each: -abs(each.real))
    return Intervention(
        graph=record.graph,
        edits=[NodeFactor(node=node, factor=factor) for node, factor in factors.items()],
        targets=changes[first_target:],
        features=features[: asked.limit],
        agreement=InterventionAgreement(
            direct=Agreement(**asdict(found.direct_agreement)),
            total=Agreement(**asdict(found.total_agreement)),
            on_targets=Agreement(**asdict(found.on_targets)),
        ),
        next_tokens=[
            NextToken(id=id, token=token, before=before, after=after)
            for id, token, before, after in found.next_tokens
        ],
    )


def _prepared(config: TraceConfig, records: list[SAERecord], live: Live) -> Prepared:
    lm = live.model(records[0])
    check_tokens(live, len(tokenize(lm, config.prompt, config.bos)))
    transcoders = load_transcoders(config.transcoders, len(lm.bridge.blocks), lm.device)
    hashes = {record.sae_hash: record for record in records}
    for each in transcoders.values():
        if sae_hash(each.folder, each.sae) not in hashes:
            raise SAEError(
                f"{each.folder} holds another SAE than when it was analyzed", "analyze it again"
            )
    prepared = prepare(config, lm, transcoders)
    live.check_memory("this graph", prepared.bytes)
    return prepared


def _events(
    prepared: Prepared, config: TraceConfig, name: str | None, store: Store, seconds: float
) -> Generator[str]:
    """The work stands in a thread of its own, so that whoever closes this ends it."""
    events: Queue[BaseModel | None] = Queue()
    stop, deadline = threading.Event(), time.monotonic() + seconds

    def tell(what: str, done: int, total: int, unit: str) -> None:
        if stop.is_set():
            raise _StoppedError
        if time.monotonic() > deadline:
            raise ConfigError(f"it took longer than {seconds:.0f} seconds", "follow fewer nodes")
        events.put(TraceProgress(what=what, done=done, total=total, unit=unit))

    def work() -> None:
        try:
            found = trace_prepared(prepared, config, tell)
            if not stop.is_set():
                record = _keep(
                    name,
                    config.prompt,
                    lambda n: keep_graph(store.database, n, found, replace=False),
                )
                events.put(TraceDone(name=record.name, graph=record.graph))
        except _StoppedError:
            pass
        except LmsaesError as error:
            events.put(ErrorEvent(detail=with_hint(error)))
        except Exception as error:
            # the stream's head has gone out: an event in place of a status, and the log's traceback
            events.put(ErrorEvent(detail=f"something unforeseen happened: {type(error).__name__}"))
            raise
        finally:
            events.put(None)

    thread = threading.Thread(target=work, name="trace", daemon=True)
    thread.start()
    try:
        while (event := events.get()) is not None:
            yield f"data: {event.model_dump_json()}\n\n"
    finally:
        stop.set()
        thread.join()


def _keep(name: str | None, prompt: str, put: Callable[[str], GraphRecord]) -> GraphRecord:
    """Puts a graph under its name, or under one made from the prompt that is free."""
    if name is not None:
        return put(name)
    words = re.sub(r"[^A-Za-z0-9]+", "-", prompt).strip("-").lower()[:_WORDS].strip("-") or "graph"
    for number in range(1, _NAMES):
        try:
            return put(words if number == 1 else f"{words}-{number}")
        except TakenError:
            continue
    raise ConfigError(f"there are {_NAMES} graphs called '{words}'", "give it a name")
