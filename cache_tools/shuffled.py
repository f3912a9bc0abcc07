"""What the folder of a shuffled copy says of itself: `shuffled.json` and a README."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmsaes.atomic import replace_file
from lmsaes.cache import ActivationCache
from lmsaes.errors import CacheError

RECORD = "shuffled.json"
ROWS = "rows"
BUCKETS = ".buckets"


def is_finished(out: Path, record: dict[str, Any]) -> bool:
    """Whether `out` holds what is asked for; what an interrupted call left there is removed.

    Raises CacheError when it holds anything else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = json.loads((out / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or "complete" not in found:
        raise CacheError(f"'{out}' is not an empty folder", "choose another --out")
    different = [name for name in record if found.get(name) != record[name] and name != "complete"]
    if different:
        raise CacheError(
            f"{out} holds another shuffled copy: {', '.join(different)} would differ",
            "choose another --out",
        )
    if found["complete"]:
        return True
    for room in (BUCKETS, ROWS, "activations"):
        shutil.rmtree(out / room, ignore_errors=True)
    return False


def describe(
    cache: ActivationCache,
    dtypes: Mapping[str, str],
    rows: int,
    shard_rows: int,
    seed: int,
    keep_special: bool,
) -> dict[str, Any]:
    """The facts of a copy. dtypes: by the folder of a hook's rows."""
    manifest = cache.manifest
    return {
        "complete": False,
        "rows": rows,
        "rows_per_shard": shard_rows,
        "hooks": {
            (hook := path.removeprefix("activations/")): {
                "d_model": cache.hooks[hook].d_model,
                "dtype": dtype,
            }
            for path, dtype in dtypes.items()
        },
        "seed": seed,
        "special_tokens": keep_special,
        "cache": {"identity": manifest.identity, "content": manifest.content},
        "model": manifest.model.model_dump(mode="json"),
        "text": manifest.text.model_dump(mode="json"),
        "sources": [source.model_dump(mode="json") for source in manifest.sources],
    }


def write_record(out: Path, record: dict[str, Any]) -> None:
    """Replaces RECORD in one step."""
    replace_file(out / RECORD, json.dumps(record, indent=1).encode())


def write_readme(out: Path, record: dict[str, Any]) -> None:
    """Says to whoever finds the folder what it is and how to read it."""
    hook = next(iter(record["hooks"]))
    hooks = "\n".join(
        f"- `activations/{name}/`: {kind['dtype']}, d_model {kind['d_model']}"
        for name, kind in record["hooks"].items()
    )
    special = (
        "Special tokens and first positions are among them."
        if record["special_tokens"]
        else "Special tokens and each context's first position are left out."
    )
    text = f"""# Shuffled activations

{record["rows"]:,} activation vectors of {record["model"]["name"]} on {record["text"]["dataset"]},
in random order (seed {record["seed"]}). {special}

{hooks}

Each folder holds `shard-00000.safetensors` and so on, {record["rows_per_shard"]:,} rows a shard, in
one tensor `activations` [rows, d_model]. All hooks are in the same order; `rows/` says which row of
the original cache each one is. `{RECORD}` holds these facts, the model and the text.

```python
from safetensors.torch import load_file

x = load_file("activations/{hook}/shard-00000.safetensors")["activations"]
```

Written by lmsaes (`lmsaes tools shuffle`).
"""
    (out / "README.md").write_text(text, encoding="utf-8")
