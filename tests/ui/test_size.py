"""How much JavaScript a browser has to have before it shows the first feature."""

import gzip
import re
from pathlib import Path

from lmsaes.server.viewer import BUILT

STATIC = re.compile(r"""(?:from|import)\s*["']\./([\w.-]+\.js)["']""")
MOST = 150_000


def needed(chunk: Path, seen: set[Path]) -> set[Path]:
    """A file and those that it imports before it runs; what it fetches later is not among them."""
    if chunk not in seen:
        seen.add(chunk)
        for name in STATIC.findall(chunk.read_text()):
            needed(chunk.parent / name, seen)
    return seen


def test_the_first_feature_needs_little_javascript(built: None) -> None:
    (entry,) = re.findall(r'src="/(assets/[\w.-]+\.js)"', (BUILT / "index.html").read_text())
    for page in ("BrowsePage", "FeaturePage"):
        (own,) = (BUILT / "assets").glob(f"{page}-*.js")
        files = needed(own, needed(BUILT / entry, set()))
        assert any("FeatureDetail" in path.name for path in files)
        size = sum(len(gzip.compress(path.read_bytes(), 6)) for path in files)
        assert size < MOST, f"{page}: {size} bytes"
