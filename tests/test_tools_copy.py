"""Copies of caches: convert, slice and merge."""

from lmsaes.cache.manifest import Manifest, SourceRecord
from tests.made_up_cache import made_up_manifest


def _copied(manifest: Manifest, *runs: tuple[int, int]) -> Manifest:
    """The manifest of a copy of `runs` (first context, contexts) of a cache."""
    sources = [
        SourceRecord(
            content="0",
            text=manifest.text,
            compute=manifest.compute,
            first_context=first,
            contexts=contexts,
            dtypes={"hook": ("float32",)},
        )
        for first, contexts in runs
    ]
    return manifest.model_copy(update={"sources": sources})


def test_a_copy_is_the_same_cache_only_if_its_contexts_have_the_same_numbers():
    manifest = made_up_manifest(12)
    same = [((0, 12),), ((0, 5),), ((0, 5), (5, 7))]
    assert {_copied(manifest, *runs).identity for runs in same} == {manifest.identity}
    others = [((5, 7),), ((5, 7), (0, 5)), ((0, 5), (6, 6)), ((0, 4), (6, 6)), ((0, 5), (0, 5))]
    assert len({_copied(manifest, *runs).identity for runs in others} | {manifest.identity}) == 6
