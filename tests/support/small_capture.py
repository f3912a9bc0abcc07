"""Arguments of `cache_activations` for a cache of the bundled model that takes a second."""

from typing import Any

from lmsaes.demo import HELDOUT, MODEL

SMALL: dict[str, Any] = {
    "model": str(MODEL),
    "dataset": str(HELDOUT),
    "device": "cpu",
    "context_size": 32,
    "shard_size": "64KiB",
    "block_size": "16KiB",
    "batch_size": 4,
}
