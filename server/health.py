"""Whether the server runs, and whether it can answer: what a supervisor asks."""

from fastapi import APIRouter

from .dependencies import CurrentStore
from .schemas import Health

router = APIRouter(tags=["about"])


@router.get("/healthz")
def healthz() -> Health:
    """The server runs; the database is not asked."""
    return Health(status="ok")


@router.get("/readyz")
def readyz(store: CurrentStore) -> Health:
    """The database answers; 503 where it does not."""
    store.database.ping()
    return Health(status="ok")
