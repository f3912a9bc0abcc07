"""The Hugging Face hub: one folder of a repository in, one folder out.

Only the files that a reader asks for are downloaded, into the hub's own cache; with HF_HUB_OFFLINE
they are taken from there. Models, tokens and mirrors are the hub client's business
(HF_ENDPOINT, HF_TOKEN).
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from lmsaes.addresses import local_path
from lmsaes.errors import ConfigError, SAEError, first_line
from lmsaes.interop.files import sha256
from lmsaes.interop.source import LocalSource, Source

_URI = re.compile(
    r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<early>[^/?]+))?(?:/(?P<folder>[^@?]*))?"
    r"(?:@(?P<late>.+)|\?revision=(?P<query>.+))?$"
)


def open_source(place: str) -> Source:
    """What `place` names: a folder or file here, or hf://OWNER/REPO/FOLDER[@REVISION].

    Raises SAEError when nothing is there, ConfigError when the name is no such name.
    """
    if not place.startswith("hf://"):
        return LocalSource(local_path(place))
    found = _URI.match(place)
    if found is None:
        raise ConfigError(f"'{place}' is not hf://OWNER/REPO/FOLDER[@REVISION]")
    revision = found["late"] or found["query"] or found["early"]
    return HubSource(found["repo"], (found["folder"] or "").strip("/"), revision)


class HubSource:
    """A folder, or one file, of a model repository on the hub."""

    def __init__(self, repo: str, folder: str, revision: str | None) -> None:
        from huggingface_hub import HfApi

        self.repo, self.folder, self.file = repo, folder, None
        self._asked = revision
        self._api: Any = HfApi()
        self._used: dict[str, Path] = {}
        self.where = f"hf://{repo}/{folder}".rstrip("/")
        self.revision: str | None = self._list_repository()
        self._names = self._listed(folder)
        if self._names is None:  # a file of the folder above
            path = PurePosixPath(folder)
            self.folder, self.file = str(path.parent).removeprefix("."), path.name
            self._names = self._listed(self.folder) or []
            if self.file not in self._names:
                raise SAEError(f"{self.where} does not exist", "look at the repository's files")
        self.place = f"{repo}/{folder}".rstrip("/")

    def names(self) -> list[str]:
        return list(self._names or ())

    def path(self, name: str) -> Path:
        if name not in self.names():
            raise SAEError(f"{self.where} has no {name}", "say whose layout it has with --from")
        self._used[name] = self._download(str(PurePosixPath(self.folder) / name))
        return self._used[name]

    def beside(self, name: str) -> Path | None:
        above = PurePosixPath(self.folder).parent
        if not self.folder or name not in (self._listed(str(above).removeprefix(".")) or ()):
            return None
        return self._download(str(above / name))

    def digests(self) -> dict[str, str]:
        return {name: sha256(path) for name, path in self._used.items()}

    def _listed(self, folder: str) -> list[str] | None:
        """Files of a folder and of those one below; None where there is no such folder."""
        start = f"{folder}/" if folder else ""
        inside = [path[len(start) :] for path in self._files if path.startswith(start)]
        return sorted(name for name in inside if name.count("/") < 2) or None

    def _list_repository(self) -> str | None:
        """The repository's files; returns the commit that the revision means."""
        from huggingface_hub import constants

        if constants.HF_HUB_OFFLINE:
            kept = self._try(
                lambda: self._api.snapshot_download(
                    self.repo, revision=self._asked, local_files_only=True
                )
            )
            root = Path(kept)
            self._files = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
            return root.name
        found = self._try(lambda: self._api.model_info(self.repo, revision=self._asked))
        self._files: list[str] = [each.rfilename for each in found.siblings or ()]
        return found.sha

    def _download(self, path: str) -> Path:
        # By the revision that was asked for, so that the client's cache knows it without a network.
        found = Path(
            self._try(lambda: self._api.hf_hub_download(self.repo, path, revision=self._asked))
        )
        if self.revision is not None and self.revision not in found.parts:
            raise SAEError(
                f"hf://{self.repo} was changed while it was read", "run the same command again"
            )
        return found

    def _try(self, call: Any) -> Any:
        """What the hub answers. Raises SAEError, in one line, when it doesn't: its client has no
        common class for what can go wrong on the way.
        """
        try:
            return call()
        except Exception as error:
            raise SAEError(
                f"{self.where} can't be read: {first_line(error)}",
                "check the name, the network, and HF_TOKEN for a private or gated repository",
            ) from None
