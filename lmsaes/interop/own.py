"""An SAE folder of ours, on the hub or elsewhere: taken as it is, since it opens here."""

from collections.abc import Iterator

from lmsaes.errors import ConfigError
from lmsaes.interop.config import ImportConfig
from lmsaes.interop.published import Published
from lmsaes.interop.source import Source
from lmsaes.sae import SAE

_FACTS = ("hook", "target", "model", "weights", "bos", "scale", "k")


def read(source: Source, config: ImportConfig) -> Iterator[Published]:
    """The SAE of the folder, with its record of where it comes from.

    Raises SAEError as `SAE.load` does, ConfigError for settings that contradict that record.
    """
    for name in _FACTS:
        if getattr(config, name) is not None:
            raise ConfigError(
                f"{source.where} was saved by lmsaes: it says its own --{name}",
                f"leave out --{name}",
            )
    folder = source.path("config.json").parent
    source.path("weights.safetensors")
    yield Published(SAE.load(folder), None)
