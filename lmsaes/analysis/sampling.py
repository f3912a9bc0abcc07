"""Which contexts a uniform sample holds: those whose numbers hash lowest.

The hash is a bijection of 32-bit numbers, so that no two contexts tie and a sample is the same
whatever order they come in. All features and SAEs share it: each one's sample is uniform by
itself, and they overlap, so that fewer contexts are stored and SAEs are compared on the same text.
"""

import numpy as np

_BLOCK = 1 << 22
_STEP = 0x9E3779B9  # golden ratio: neighboring seeds lie far apart


def context_hashes(contexts: np.ndarray, seed: int) -> np.ndarray:
    """The hash of each context's number, uint32: a permutation of 0 … 2³² − 1 for every seed.

    lowbias32 (Wellons 2018, "Prospecting for hash functions") of the number xor the mixed seed.
    """
    mixed = _lowbias32(np.array([(seed + 1) * _STEP & 0xFFFFFFFF], np.uint32))
    return _lowbias32(contexts.astype(np.uint32) ^ mixed)


def lowest_contexts(contexts: int, count: int, seed: int) -> np.ndarray:
    """A uniform sample of `count` of the contexts 0 … contexts − 1, int64, lowest hash first.

    A larger sample begins with the smaller one. All of them where there are no more.
    """
    kept = np.empty(0, np.int64)
    for start in range(0, contexts, _BLOCK):
        kept = np.concatenate([kept, np.arange(start, min(start + _BLOCK, contexts))])
        hashes = context_hashes(kept, seed)
        if len(kept) > count:
            lowest = np.argpartition(hashes, count - 1)[:count] if count else slice(0)
            kept, hashes = kept[lowest], hashes[lowest]
        kept = kept[np.argsort(hashes)]
    return kept


def _lowbias32(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))
