"""Routes of people's notes on features: no accounts, JSON in and out."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from lmsaes.database import ChangedError, Note

from .dependencies import CurrentSAE, CurrentStore
from .live_schemas import Index
from .store import ConflictError

router = APIRouter(prefix="/saes/{name}", tags=["notes"])

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]


class NewNote(BaseModel):
    """A note's new words; `version` is the one that was changed, 0 where there was none."""

    text: Annotated[Text, Field(description="An empty one takes the note away")]
    version: Annotated[int, Field(ge=0)]


class NoteInFile(BaseModel):
    feature: Index
    text: Text


class NotesFile(BaseModel):
    """The notes on an SAE's features, by feature: what its file holds."""

    sae: str = ""
    notes: Annotated[list[NoteInFile], Field(max_length=200_000)]


@router.get("/notes")
def notes(record: CurrentSAE, store: CurrentStore) -> NotesFile:
    """All notes on an SAE's features, which is their file."""
    found = store.database.notes.all(record.sae_hash)
    return NotesFile(
        sae=record.name,
        notes=[NoteInFile(feature=each.feature, text=each.text) for each in found],
    )


@router.post("/notes")
def add_notes(file: NotesFile, record: CurrentSAE, store: CurrentStore) -> NotesFile:
    """Takes a file of notes in; a note that is there gets the file's words behind its own."""
    features = store.features(record)
    for each in file.notes:
        features.check(each.feature)
    try:
        store.database.notes.add(record.sae_hash, {each.feature: each.text for each in file.notes})
    except ChangedError as error:
        raise ConflictError(f"{error}: {error.hint}") from None
    return notes(record, store)


@router.get("/features/{index}/note")
def note(index: Index, record: CurrentSAE, store: CurrentStore) -> Note:
    """The note on a feature, which may be empty."""
    store.features(record).check(index)
    return store.database.notes.get(record.sae_hash, index)


@router.put("/features/{index}/note")
def change_note(index: Index, new: NewNote, record: CurrentSAE, store: CurrentStore) -> Note:
    """Keeps a note; 409 where somebody has changed it since that version."""
    store.features(record).check(index)
    try:
        return store.database.notes.put(record.sae_hash, index, new.text, new.version)
    except ChangedError as error:
        raise ConflictError(f"{error}: {error.hint}") from None
