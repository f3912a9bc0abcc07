"""What an export was made from, kept beside it: the same export again has nothing to do.

The note is written before the first file, and again as complete after the last, so that an export
that was interrupted is known and written anew, and what is somebody else's is never touched.
"""

import json
import logging
from pathlib import Path
from typing import Any

from lmsaes.atomic import replace_file, temporary_name
from lmsaes.errors import ConfigError

NOTE = "lmsaes-export.json"

_log = logging.getLogger("lmsaes")


def begin(folder: Path, facts: dict[str, Any], overwrite: bool) -> bool:
    """Whether there is anything to do. facts: all that the files depend on.

    Raises ConfigError where the folder holds something else.
    """
    found = _read(folder / NOTE)
    if not overwrite and found is not None and found["from"] == facts:
        if found["complete"]:
            _log.info("export: %s is there already: nothing to do", folder)
            return False
    elif not overwrite and _holds_something(folder):
        raise ConfigError(
            f"{folder} is there already and holds something else",
            "choose another --out, or replace it with --overwrite",
        )
    _write(folder, facts, complete=False)
    return True


def finish(folder: Path, facts: dict[str, Any]) -> None:
    """Says that all is written."""
    _write(folder, facts, complete=True)


def _holds_something(folder: Path) -> bool:
    """Whether more is there than an export leaves that was killed in its first moment."""
    if not folder.is_dir():
        return folder.exists()
    return any(path.name != temporary_name(NOTE) for path in folder.iterdir())


def _write(folder: Path, facts: dict[str, Any], complete: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"complete": complete, "from": facts}, indent=2, sort_keys=True)
    replace_file(folder / NOTE, (content + "\n").encode())


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    valid = isinstance(found, dict) and "from" in found and isinstance(found.get("complete"), bool)
    return found if valid else None
