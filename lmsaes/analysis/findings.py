"""All that the pass gathers of one SAE, and its checkpoints.

    segments of a batch ─┬─► feature_statistics   numbers, histograms, contexts
                         ├─► token_statistics     runs of counts on the disk
                         ├─► reference_contexts   where it does not fire
                         └─► sampled_rows         what fires together

A checkpoint holds all of it and which batches it is of, in one file that is there whole or not at
all. Processes write one each; merged, they have the bits of one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lmsaes.analysis.exact_sums import DIGITS, add_exactly, as_floats, carry
from lmsaes.analysis.feature_statistics import FeatureStatistics
from lmsaes.analysis.reference_contexts import FiringContexts, ReferenceContexts
from lmsaes.analysis.sampled_rows import RowSampler
from lmsaes.analysis.sampling import context_hashes
from lmsaes.analysis.segments import Segments
from lmsaes.analysis.token_pairs import file_digest
from lmsaes.analysis.token_statistics import Occurrences, TokenStatistics
from lmsaes.atomic import replacing
from lmsaes.errors import LmsaesError, first_line

_ONE = np.array([1])
_FIRST = np.array([0])


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is kept of each feature, and of which samples."""

    top: int = 40
    per_interval: int = 10
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Samples:
    """What all SAEs of one cache share."""

    reference: ReferenceContexts
    row_contexts: int  # reference contexts whose rows are kept for co-firing and twins
    token_limit: int | None  # the highest hash of a context whose tokens are counted

    def counts_tokens(self, contexts: np.ndarray, seed: int) -> np.ndarray:
        """Whether the tokens of each context are counted, bool."""
        if self.token_limit is None:
            return np.ones(len(contexts), bool)
        return context_hashes(contexts, seed) <= self.token_limit


class Findings:
    """One SAE's share of the pass."""

    def __init__(
        self,
        features: int,
        context_size: int,
        depth: Depth,
        samples: Samples,
        folder: Path,
        part: str = "all",
    ) -> None:
        """folder: for runs of token counts and checkpoints; of this SAE's analysis alone.

        part: the name of this process' share.
        """
        self.folder, self.part = folder, part
        self.samples, self.seed = samples, depth.seed
        self.rows = 0  # valid ones
        self.next = 0  # the first context that is not in yet, whoever takes those in between
        self.statistics = FeatureStatistics(
            features, context_size, depth.top, depth.per_interval, depth.seed
        )
        self.tokens = TokenStatistics(folder, features, part)
        self.occurrences = Occurrences()
        self.firing = FiringContexts(samples.reference, features)
        self.sampler = RowSampler(samples.reference, samples.row_contexts, features)
        self._error = np.zeros((1, DIGITS), np.int64)

    @property
    def squared_error(self) -> float:
        """‖y − ŷ‖² over all valid rows."""
        return float(as_floats(self._error)[0])

    def add(
        self,
        segments: Segments,
        first: int,
        tokens: np.ndarray,
        valid: np.ndarray,
        squared_error: float,
    ) -> None:
        """Takes a batch: contexts from `first` on, whose token ids and valid positions are
        [contexts, context_size].
        """
        self.rows += int(valid.sum())
        add_exactly(self._error, _FIRST, _ONE, np.array([squared_error], np.float32))
        self.statistics.add(segments)
        self.firing.add(segments)
        self.sampler.add(segments)
        counted = self.samples.counts_tokens(np.arange(first, first + len(tokens)), self.seed)
        if counted.all():
            self.tokens.add(segments, tokens, first)
            self.occurrences.add(tokens, valid)
        elif counted.any():
            inside = counted[segments.contexts.astype(np.int64) - first]
            self.tokens.add(segments.where(inside), tokens, first)
            self.occurrences.add(tokens[counted], valid[counted])

    def finish(self) -> None:
        """To be called when all contexts are in."""
        self.statistics.settle()
        self.tokens.write()
        self.firing.settle()

    # ── checkpoints ──────────────────────────────────────────────────────────────────────────

    def save(self) -> None:
        """Writes everything under the part's name; the runs that it names are on the disk."""
        self.tokens.write()
        carry(self._error)
        firing_features, firing_ranks = self.firing.pairs()
        row_features, places, values = self.sampler.firings()
        arrays = {
            **{f"statistics.{name}": array for name, array in self.statistics.state().items()},
            "error": self._error,
            "occurrences.own": self.occurrences.own,
            "occurrences.before": self.occurrences.before,
            "firing.features": firing_features,
            "firing.ranks": firing_ranks,
            "sampler.features": row_features,
            "sampler.places": places,
            "sampler.values": values,
        }
        facts = {
            "rows": self.rows,
            "next": self.next,
            "fires_on": self.tokens.fires_on.digests,
            "before": self.tokens.before.digests,
        }
        text = json.dumps(facts)
        with replacing(_file(self.folder, self.part)) as temporary:
            save_file(arrays, temporary, {"facts": text, "sha256": _digest(arrays, text)})

    def load(self) -> bool:
        """Takes up what `save` wrote; false where there is nothing.

        Raises LmsaesError, and takes up nothing, when it is damaged, be it by a single bit.
        """
        path = _file(self.folder, self.part)
        if not path.exists():
            return False
        try:
            arrays, facts = _read(path)
            for name, digest in {**facts["fires_on"], **facts["before"]}.items():
                if file_digest(self.folder / name) != digest:
                    raise ValueError(f"{name} has another digest")
        except KeyError as error:
            raise _damaged(path, f"it has no {error}") from None
        except (OSError, SafetensorError, ValueError, TypeError) as error:
            raise _damaged(path, first_line(error)) from None
        self.rows, self.next = facts["rows"], facts["next"]
        self.statistics.restore(
            {n.removeprefix("statistics."): a for n, a in arrays.items() if "statistics." in n}
        )
        self._error = arrays["error"]
        self.occurrences.own = arrays["occurrences.own"]
        self.occurrences.before = arrays["occurrences.before"]
        self.firing.take_over(arrays["firing.features"], arrays["firing.ranks"])
        self.sampler.take_over(*(arrays[f"sampler.{n}"] for n in ("features", "places", "values")))
        for name, pairs in (("fires_on", self.tokens.fires_on), ("before", self.tokens.before)):
            pairs.digests = facts[name]
            pairs.runs = [self.folder / run for run in pairs.digests]
        return True

    def merge(self, other: Findings) -> None:
        """Takes over what another process found in other contexts; `other` is used up."""
        self.rows += other.rows
        self._error += other._error
        self.statistics.merge(other.statistics)
        self.occurrences.merge(other.occurrences.own, other.occurrences.before)
        self.firing.take_over(*other.firing.pairs())
        self.sampler.take_over(*other.sampler.firings())
        self.tokens.write()
        other.tokens.write()
        self.tokens.fires_on.runs += other.tokens.fires_on.runs
        self.tokens.before.runs += other.tokens.before.runs
        self.tokens.fires_on.digests |= other.tokens.fires_on.digests
        self.tokens.before.digests |= other.tokens.before.digests


def _file(folder: Path, part: str) -> Path:
    return folder / f"{part}.safetensors"


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    with safe_open(path, "np") as file:
        metadata: dict[str, str] = file.metadata() or {}
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata["sha256"] != _digest(arrays, metadata["facts"]):
        raise ValueError("its content has another digest")
    return arrays, json.loads(metadata["facts"])


def _digest(arrays: dict[str, np.ndarray], facts: str) -> str:
    """sha256 of the facts, and of each array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _damaged(path: Path, why: str) -> LmsaesError:
    return LmsaesError(f"{path} is damaged: {why}", "remove it: the analysis begins again")
