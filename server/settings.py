"""Settings of the server, from the environment or from `.env` beside this file."""

from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, SettingsConfigDict

from lmsaes.errors import ConfigError
from lmsaes.explain.config import ExplainConfig


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

    endpoint: str | None = None
    """A server of OpenAI's protocol that may be asked for explanations; without it nobody is."""

    explainer: str | None = None
    """Its model that writes them."""

    max_requests: str | None = None
    """What one job may ask it at most; by default as `lmsaes explain` does."""

    def explain(self) -> ExplainConfig | None:
        """Whom to ask for explanations. Raises ConfigError for what can't be asked."""
        names = "endpoint", "explainer", "max_requests"
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return explainer_of(given)


def explainer_of(given: dict[str, Any]) -> ExplainConfig | None:
    """Whom the server may ask for explanations, and how, of what was given; None for nobody.

    Raises ConfigError for what can't be asked.
    """
    if not given:
        return None
    config = ExplainConfig.of({"sae": "", **given})
    if config.endpoint is None:
        raise ConfigError(
            f"--{next(iter(given)).replace('_', '-')} is for labels by a language model",
            "give --endpoint and --explainer",
        )
    return config
