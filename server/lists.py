"""Routes of people's lists of features: no accounts, JSON in and out."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from lmsaes.database import ChangedError, FeatureList, ListContents

from .dependencies import CurrentStore
from .store import ConflictError, NotFoundError

router = APIRouter(prefix="/lists", tags=["lists"])

Id = Annotated[str, Path(pattern="^[0-9a-f]{12}$")]


class ChangedList(ListContents):
    """A list's new contents; `version` is the one that was changed."""

    version: Annotated[int, Field(ge=1)]


@router.get("")
def lists(store: CurrentStore) -> list[FeatureList]:
    """All lists, by name."""
    return store.database.lists.all()


@router.post("", status_code=201)
def new_list(contents: ListContents, store: CurrentStore) -> FeatureList:
    """A new list; a list's own file is taken too."""
    return store.database.lists.add(contents)


@router.get("/{id}")
def one_list(id: Id, store: CurrentStore) -> FeatureList:
    """A list, which is its file."""
    found = store.database.lists.get(id)
    if found is None:
        raise NotFoundError(f"no list {id}: it may have been removed")
    return found


@router.put("/{id}")
def change_list(id: Id, contents: ChangedList, store: CurrentStore) -> FeatureList:
    """Puts other contents into a list; 409 where somebody has changed it since that version."""
    one_list(id, store)
    try:
        return store.database.lists.replace(id, contents, contents.version)
    except ChangedError as error:
        raise ConflictError(f"{error}: {error.hint}") from None


@router.delete("/{id}")
def remove_list(id: Id, store: CurrentStore) -> FeatureList:
    """Removes a list and answers what it was."""
    found = one_list(id, store)
    store.database.lists.remove(id)
    return found
