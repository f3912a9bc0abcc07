"""Settings of the server, from the environment or from `.env` beside this file."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is the environment variable `LMSAES_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="LMSAES_",
        env_file=Path(__file__).with_name(".env"),
        env_ignore_empty=True,
        extra="ignore",
    )

    db: str | None = None
    """Address of a MongoDB deployment; without it an embedded server is used."""

    db_folder: Path | None = None
    """Where the embedded server keeps its data; by default in the user's data folder."""

    ui_origin: str = "http://localhost:24576"
    """Where the viewer's development server runs; other sites may not read the API."""

    allow_hosts: str = ""
    """Names that the server answers to beside this machine's own address, with spaces between."""

    model: str = "auto"
    """The language model for own text and steering: auto for that of an SAE's records, loaded when
    it is first asked for; none; or a name or folder."""

    device: str = "auto"
    """Where it runs."""
