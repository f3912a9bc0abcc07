"""Which contexts of a cache an evaluation measures on, and whether training saw them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmsaes.cache import ActivationCache
from lmsaes.sae import SAE

_RUN = 8  # contexts that are taken together: cheap to read, and short beside a cache


@dataclass(frozen=True)
class ChosenContexts:
    """Runs of contexts that follow each other, and what an evaluation says of them."""

    runs: tuple[range, ...]

    @property
    def count(self) -> int:
        return sum(map(len, self.runs))

    @property
    def first(self) -> int:
        return self.runs[0].start

    @property
    def last(self) -> int:
        return self.runs[-1].stop - 1

    def batches(self, size: int) -> Iterator[list[range]]:
        """The same contexts in batches of at most `size`, each as stretches to read."""
        batch: list[range] = []
        room = size
        for run in self.runs:
            while run:
                taken = run[:room]
                batch = _joined(batch, taken)
                run, room = run[len(taken) :], room - len(taken)
                if room == 0:
                    yield batch
                    batch, room = [], size
        if batch:
            yield batch


def choose_contexts(
    cache: ActivationCache, saes: Sequence[SAE], tokens: int, heldout: float | None
) -> ChosenContexts:
    """Enough contexts for `tokens`, evenly spaced, in runs of eight.

    They are of the last `heldout` share; without one, of those that none of the SAEs' trainings
    saw where there are such, and else of the whole cache.
    """
    start = 0
    if heldout is not None:
        start = min(cache.contexts - 1, cache.contexts - round(heldout * cache.contexts))
    else:
        unseen = max(_first_unseen(cache, sae) for sae in saes)
        start = unseen if unseen < cache.contexts else 0
    return ChosenContexts(
        _evenly_spaced(range(start, cache.contexts), -(-tokens // cache.context_size))
    )


def seen_in_training(sae: SAE, cache: ActivationCache, chosen: ChosenContexts) -> bool | None:
    """Whether training drew on these contexts; None where that isn't known."""
    origin = sae.provenance
    if origin is None:
        return None
    if origin.cache_identity == cache.identity:
        return origin.contexts is None or chosen.first < origin.contexts
    # another cache: of another text unless it says the same
    return None if origin.dataset == cache.manifest.text.dataset else False


def in_words(chosen: ChosenContexts, cache: ActivationCache, seen: bool | None) -> str:
    """Which rows were used, for a person."""
    whole = chosen.count == chosen.last - chosen.first + 1
    spaced = "" if whole else f" ({chosen.count} of them, evenly spaced)"
    training = {
        True: "training saw them",
        False: "training did not see them",
        None: "not known whether training saw them",
    }[seen]
    return f"contexts {chosen.first} to {chosen.last}{spaced} of {cache.path}; {training}"


def _first_unseen(cache: ActivationCache, sae: SAE) -> int:
    """The first context from which on training saw none; the number of contexts where it saw them
    all or that isn't known."""
    origin = sae.provenance
    if origin is None or (origin.cache_identity == cache.identity and origin.contexts is None):
        return cache.contexts
    return origin.contexts or 0 if origin.cache_identity == cache.identity else 0


def _evenly_spaced(region: range, count: int) -> tuple[range, ...]:
    runs = -(-count // _RUN)
    if count >= len(region) or runs == 1 or len(region) < runs * _RUN:
        return (region[:count],)
    space = len(region) - _RUN
    starts = [i * space // (runs - 1) for i in range(runs)]
    return tuple(region[start : start + _RUN] for start in starts)


def _joined(batch: list[range], run: range) -> list[range]:
    if batch and batch[-1].stop == run.start:
        return [*batch[:-1], range(batch[-1].start, run.stop)]
    return [*batch, run]
