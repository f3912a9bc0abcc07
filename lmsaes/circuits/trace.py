"""`trace`: from a prompt to a graph with its proof."""

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from lmsaes.circuits.config import TraceConfig
from lmsaes.circuits.edges import Targets
from lmsaes.circuits.frozen import freeze
from lmsaes.circuits.graph import BATCH, Graph, build_graph
from lmsaes.circuits.prune import Pruned, Scores, prune, scores
from lmsaes.circuits.replacement import Replacement, replace_mlps
from lmsaes.circuits.targets import Target, choose_targets
from lmsaes.circuits.transcoders import Transcoder, load_transcoders
from lmsaes.circuits.verify import FROZEN, LET_GO, Verification, verify
from lmsaes.errors import ConfigError
from lmsaes.model import LanguageModel
from lmsaes.progress import progress
from lmsaes.sae import SAE, find_saes
from lmsaes.steering import TokenizedText, check_length, find_model, tokenize
from lmsaes.units import format_bytes

_log = logging.getLogger("lmsaes")
_FLOAT = 4


@dataclass(frozen=True)
class Traced:
    """A graph, what it explains, what of it is shown, and how far to believe it."""

    prompt: str
    text: TokenizedText
    targets: list[Target]
    readers: Targets
    graph: Graph
    pruned: Pruned
    scores: Scores
    verification: Verification | None
    node_threshold: float
    edge_threshold: float

    @property
    def replacement(self) -> Replacement:
        return self.graph.replacement


@dataclass(frozen=True)
class Prepared:
    """All that a graph is made from, before its edges are computed."""

    lm: LanguageModel
    text: TokenizedText
    replacement: Replacement
    targets: list[Target]
    readers: Targets
    bytes: int  # about what the graph will take in memory


Tell = Callable[[str, int, int, str], None]
"""Told of progress: what is done, how many of how many, and of what."""


def trace(config: TraceConfig, lm: LanguageModel | None = None) -> Traced:
    """Explains what the model says after a prompt by the features of its MLPs' transcoders.

    lm: the model, where it is loaded already. Raises ConfigError and SAEError for settings that
    don't fit, ModelError for a model that can't be taken apart, LmsaesError where edges don't add
    up to what they explain.
    """
    if lm is None:
        first = SAE.load(find_saes(config.transcoders)[0])
        lm = find_model(first, config.model, config.device)
    prepared = prepare(config, lm)
    _announce(prepared, config)
    return trace_prepared(prepared, config)


def prepare(
    config: TraceConfig,
    lm: LanguageModel,
    transcoders: Mapping[int, Transcoder] | None = None,
) -> Prepared:
    """Runs the model on the prompt and finds what is to be explained. Raises as `trace` does.

    transcoders: by layer, where they are loaded already.
    """
    text = tokenize(lm, config.prompt, config.bos)
    check_length(lm, len(text))
    if transcoders is None:
        transcoders = load_transcoders(config.transcoders, len(lm.bridge.blocks), lm.device)
    check_widths(lm, transcoders)
    model = freeze(lm, text.token_ids)
    replacement = replace_mlps(model, transcoders, text.special)
    targets, readers = choose_targets(
        lm, replacement, config.targets, config.logits, config.probability
    )
    size = _bytes(replacement, config, len(targets))
    return Prepared(lm, text, replacement, targets, readers, size)


def trace_prepared(prepared: Prepared, config: TraceConfig, tell: Tell | None = None) -> Traced:
    """The graph, and its proof where the configuration asks for one.

    tell: told of progress in place of the terminal; what it raises ends the work.
    """
    replacement, readers = prepared.replacement, prepared.readers
    weights = readers.value.new_tensor([each.weight for each in prepared.targets])
    nodes = min(config.nodes, replacement.features)
    with _telling("tracing", nodes, "features", tell) as advance:
        graph = build_graph(replacement, readers, weights, nodes, advance)
    found: Verification | None = None
    if config.verify:
        count = min(config.verify, graph.features)
        runs = count * len(LET_GO) + min(count, FROZEN)
        with _telling("ablating", runs, "ablations", tell) as advance:
            found = verify(prepared.lm, graph, readers, count, config.seed, advance)
    return Traced(
        prompt=config.prompt,
        text=prepared.text,
        targets=prepared.targets,
        readers=readers,
        graph=graph,
        pruned=prune(graph, config.node_threshold, config.edge_threshold),
        scores=scores(graph),
        verification=found,
        node_threshold=config.node_threshold,
        edge_threshold=config.edge_threshold,
    )


@contextmanager
def _telling(
    what: str, total: int, unit: str, tell: Tell | None
) -> Generator[Callable[[int], None]]:
    done = 0

    def count(amount: int) -> None:
        nonlocal done
        done += amount
        assert tell is not None
        tell(what, done, total, unit)

    with progress(what, total, unit, shown=tell is None) as bar:
        if tell is None:
            yield bar.advance
        else:
            count(0)
            yield count


def _bytes(replacement: Replacement, config: TraceConfig, targets: int) -> int:
    """About what a graph takes in memory."""
    model = replacement.model
    rows = min(config.nodes, replacement.features) + targets
    batch = min(rows, BATCH) * model.positions * model.d_model
    # edges, their chosen columns and rows, and pruning's copies of these
    matrix = rows * replacement.sources * 2 + 3 * rows * (rows + replacement.sources // 4)
    vectors = 4 * replacement.features * model.d_model
    return (matrix + 6 * batch + vectors) * _FLOAT


def check_widths(lm: LanguageModel, transcoders: Mapping[int, Transcoder]) -> None:
    """Raises ConfigError for transcoders of another width than the model's."""
    width = lm.bridge.cfg.d_model
    for each in transcoders.values():
        if (each.sae.d_in, each.sae.d_out) != (width, width):
            raise ConfigError(
                f"{each.folder.name} maps {each.sae.d_in} dimensions to {each.sae.d_out}, but the"
                f" model has {width}",
                "give the model that its activations came from with --model",
            )


def _announce(prepared: Prepared, config: TraceConfig) -> None:
    """Says what is about to be done, and in how much memory."""
    replacement = prepared.replacement
    model = replacement.model
    _log.info(
        "%d tokens of %s on %s: %d active features of %d of %d layers, %d followed; about %s",
        model.positions,
        model.name,
        prepared.lm.device,
        replacement.features,
        len(replacement.transcoders),
        len(model.blocks),
        min(config.nodes, replacement.features),
        format_bytes(prepared.bytes),
    )
    missing = [str(n) for n in range(len(model.blocks)) if n not in replacement.transcoders]
    if missing:
        _log.info("layers without a transcoder stay as errors: %s", ", ".join(missing))
    kinds = {each.sae.config.architecture for each in replacement.transcoders.values()}
    if kinds & {"topk", "hierarchical"}:
        _log.info(
            "which features win a place among the k largest is taken as given: edges explain their"
            " values alone"
        )
