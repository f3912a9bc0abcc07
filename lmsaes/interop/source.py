"""Where something was published: a folder or file here, or on the hub.

A `Source` lists its files, gives each one's path on this machine when it is asked for (a hub's file
is downloaded then, no other), and remembers which were used.
"""

from pathlib import Path
from typing import Protocol

from lmsaes.errors import SAEError
from lmsaes.interop.files import sha256


class Source(Protocol):
    """A published folder. Names are relative to it, with / between folders."""

    where: str
    """As it is recorded and shown: OWNER/REPO/FOLDER of a hub, or a path."""
    place: str
    """Owner, repository and folder, or the absolute path: names in it tell layers and widths."""
    revision: str | None
    file: str | None
    """The one file that was asked for, where it wasn't a folder."""

    def names(self) -> list[str]:
        """Its files, and those one folder down."""
        ...

    def path(self, name: str) -> Path:
        """A file on this machine. Raises SAEError when it is not there."""
        ...

    def beside(self, name: str) -> Path | None:
        """A file of the folder above, if there is one."""
        ...

    def digests(self) -> dict[str, str]:
        """sha256 of the files that were used, by name."""
        ...


class LocalSource:
    """A folder or a file on this machine."""

    def __init__(
        self, path: Path, where: str = "", place: str = "", revision: str | None = None
    ) -> None:
        if not path.exists():
            raise SAEError(f"{path} does not exist", "give a folder, a file, or hf://OWNER/REPO/…")
        self.folder = path if path.is_dir() else path.parent
        self.file = None if path.is_dir() else path.name
        self.where, self.revision = where or str(path), revision
        self.place = place or path.resolve().as_posix()
        self._used: dict[str, Path] = {}

    def names(self) -> list[str]:
        found = [*self.folder.glob("*"), *self.folder.glob("*/*")]
        return sorted(p.relative_to(self.folder).as_posix() for p in found if p.is_file())

    def path(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise SAEError(
                f"{self.where} has no {name}", "say whose layout it has with --from, or copy it"
            )
        self._used[name] = path
        return path

    def beside(self, name: str) -> Path | None:
        path = self.folder.parent / name
        return path if path.is_file() else None

    def digests(self) -> dict[str, str]:
        return {name: sha256(path) for name, path in self._used.items()}
