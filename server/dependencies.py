"""Dependencies of the routes: the store, and the SAE that the path names."""

from typing import Annotated

from fastapi import Depends, Path, Request

from lmsaes.database import SAERecord

from .store import Store


def _store(request: Request) -> Store:
    return request.app.state.store


CurrentStore = Annotated[Store, Depends(_store)]


def _sae(
    name: Annotated[str, Path(description="Name of the SAE, `run:sae`")], store: CurrentStore
) -> SAERecord:
    return store.sae(name)


CurrentSAE = Annotated[SAERecord, Depends(_sae)]
