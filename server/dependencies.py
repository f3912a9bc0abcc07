"""What routes share: the store, and the SAE that the path names."""

from typing import Annotated

from fastapi import Depends, Path, Request

from lmsaes.documents import DictionaryRecord

from .store import Store


def _store(request: Request) -> Store:
    return request.app.state.store


CurrentStore = Annotated[Store, Depends(_store)]


def _dictionary(
    name: Annotated[str, Path(description="Name of the SAE, `run:sae`")], store: CurrentStore
) -> DictionaryRecord:
    return store.dictionary(name)


CurrentDictionary = Annotated[DictionaryRecord, Depends(_dictionary)]
