"""Addresses of databases and stores as people may see them: without passwords, keys and tokens.

    mongodb://me:secret@host/features?authSource=x   ─►   mongodb://host/features

Whatever is printed, logged, written or answered of an address comes from `shown_address`; of an
address that no secret may stand in, `check_without_keys` refuses those that have one.
"""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from lmsaes.errors import ConfigError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]*\]|[^:@\[\]]*)(:\d*)?")
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://?[^\s/]\S*")
# their paths may have an @, and their hosts no password
_PATHS = {"s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "hf", "file", "memory"}
_HIDDEN = "…"
# an address, or the path that one becomes where a Path is made of it
_NO_PATH = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]+://"
    r"|(s3a?|gs|gcs|az|azure|adl|abfss?|hf|https?|ftp|ssh|file|memory|mongodb(\+srv)?):/",
    re.IGNORECASE,
)

KEYS_OF_STORES = (
    "give them by the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; "
    "AZURE_STORAGE_SAS_KEY; GOOGLE_SERVICE_ACCOUNT; HF_TOKEN)"
)


def shown_address(address: str) -> str:
    """An address without what may be secret in it: user, password, options, signatures.

    What an address hides can't be told for sure where its signs (@ / ? #) aren't percent-encoded;
    then more is left out, up to `mongodb://…`. What is no address is returned as it is, unless
    there is an @ in it.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:  # a path, or the path that an address has become: s3:/bucket/x
        scheme, separator, rest = address.partition(":/")
    if not separator:
        return _HIDDEN if "@" in address else address
    if not _SCHEME.fullmatch(scheme):
        return _HIDDEN
    start = f"{scheme}{separator}"
    hidden = f"{start}{_HIDDEN}"
    place, _, options = rest.partition("?")
    if "@" in options:  # a password with a ? in it, or an option with an @
        return hidden
    before, _, fragment = place.partition("#")
    if "@" not in fragment:
        place = before
    host = place.partition("/")[0]
    if "@" in place and not _is_path_sign(scheme, host):
        place = place.rpartition("@")[2]
    hosts = place.partition("/")[0].split(",")
    if not _is_container(scheme, host) and not all(map(_HOST.fullmatch, hosts)):
        return hidden
    return f"{start}{place}"


def _is_path_sign(scheme: str, host: str) -> bool:
    """Whether an @ in such an address is part of its path and ends no password."""
    plain = not any(sign in host for sign in ":@#")
    return scheme.lower() in _PATHS and (plain or _is_container(scheme, host))


def _is_container(scheme: str, host: str) -> bool:
    """Azure's abfs://container@account."""
    signs = host.count("@") == 1 and ":" not in host and "#" not in host
    return scheme.lower() in ("abfs", "abfss") and signs


def shown_text(text: str) -> str:
    """A text of others (an error, an input) with the addresses in it made fit for people."""
    return _IN_TEXT.sub(lambda found: _shown_word(found[0]), text)


def _shown_word(word: str) -> str:
    # what closes a quotation or a sentence is no part of the address
    address = word.rstrip("'\"`)]}>.,;:")
    return shown_address(address) + word[len(address) :]


def without_secrets(message: str, address: str, instead: str) -> str:
    """What another library says of `address`, or `instead` where it repeats a hidden part."""
    hidden = address.partition("://")[2]
    options = hidden.partition("?")[2]
    parts = re.split(r"[:/@?#]", hidden.rpartition("@")[0])
    parts += [pair.partition("=")[2] for pair in re.split("[&;]", options)]
    parts += [part for value in parts for part in re.split(r"[:,=@/]", value)]
    told = any(part in message for value in parts for part in (value, unquote(value)) if part)
    return instead if told else message


def check_without_keys(address: str, right_way: str) -> str:
    """The address itself. Raises ValueError, with the right way to give them, where a user, a
    password, a signature or another secret is part of it, which nothing would read."""
    if "://" in address and shown_address(address) != address:
        raise ValueError(
            f"the address of '{shown_address(address)}' has keys in it, which are not read: "
            f"leave them out and {right_way}"
        )
    return address


def check_local(path: str) -> str:
    """The path itself. Raises ValueError where it is an address: a folder of that name on this
    machine is not what is meant."""
    if _NO_PATH.match(path):
        raise ValueError(
            f"'{shown_address(path)}' is an address, and only a cache can be in an object store: "
            "name a folder or file of this machine"
        )
    return path


def local_path(path: str | Path) -> Path:
    """A folder or file of this machine; `~` is the home folder. Raises ConfigError for an address
    such as s3://bucket/x."""
    try:
        return Path(expand_home(check_local(str(path))))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def expand_home(path: str) -> str:
    """A path that begins with `~/` or `~user/` as the one that it means, anything else as it is.

    A shell does so for words of their own alone: not for `--out=~/x`, files and Python.
    """
    named = path == "~" or (path.startswith("~") and "/" in path)
    return os.path.expanduser(path) if named else path  # noqa: PTH111 - no name becomes a Path's
