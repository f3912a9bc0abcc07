"""What an activation cache is asked to be: `CaptureConfig`, stage one's configuration.

ModelOnText ──► CaptureConfig   which model sees which text, and what is kept of it
           └──► LiveConfig      the same without a cache: rows for training, as they come
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import model_validator

from lmsaes.cache import Compression, StorageDtype, StorageFormat
from lmsaes.configuration import Floats, StageConfig, Text, Texts, setting
from lmsaes.errors import ConfigError
from lmsaes.provenance import Packing, SpecialTokens, Weights
from lmsaes.units import Bytes, Count

_MAIN, _TEXT, _MODEL, _STORAGE = "What to cache", "Text", "Model", "Storage"


class ModelOnText(StageConfig, frozen=True):
    """Which model sees which text, and how it is run."""

    singular: ClassVar[dict[str, str]] = {"datasets": "dataset"}

    model: Annotated[
        Text,
        setting(
            "TransformerLens or Hugging Face name of the language model, or a local folder.",
            _MAIN,
        ),
    ]
    dataset: Annotated[
        Texts,
        setting(
            "Hugging Face name, folder of save_to_disk, or .txt, .jsonl, .parquet or .csv file"
            " (also compressed; a folder or glob of them); several make a mixture.",
            _MAIN,
        ),
    ]
    context_size: Annotated[Count, setting("Tokens per context.", _MAIN, ge=2)] = 128

    split: Annotated[
        Texts,
        setting("Split of the dataset; for a mixture, once for all or once for each.", _TEXT),
    ] = ("train",)
    text_column: Annotated[
        Texts, setting("Column that holds the text, or lists of token ids.", _TEXT)
    ] = ("text",)
    dataset_config: Annotated[
        Texts, setting("Configuration of the dataset (default: its own default).", _TEXT)
    ] = ()
    dataset_revision: Annotated[
        Texts, setting("Revision of the dataset (default: the newest).", _TEXT)
    ] = ()
    streaming: Annotated[
        bool, setting("Read a dataset of the hub without downloading it whole.", _TEXT)
    ] = False
    mix: Annotated[
        Floats,
        setting(
            "Weight of each dataset in a mixture, as a share of all tokens"
            " (default: equal weights).",
            _TEXT,
        ),
    ] = ()
    shuffle: Annotated[bool, setting("Permute the documents.", _TEXT)] = False
    seed: Annotated[
        int, setting("Seed of the permutation of the documents.", _TEXT, ge=0, lt=2**63)
    ] = 0
    packing: Annotated[
        Packing,
        setting(
            "How documents fill contexts: one after the other (packed), or each in a context of"
            " its own, cut off at its end (truncate) or going on in further contexts (split).",
            _TEXT,
        ),
    ] = "packed"
    bos: Annotated[
        bool | None,
        setting(
            "Start contexts with the beginning-of-text token (default: where the tokenizer has"
            " one).",
            _TEXT,
        ),
    ] = None
    special_tokens: Annotated[
        SpecialTokens,
        setting(
            "What a special token's name in a document is: text like any other, or that token.",
            _TEXT,
        ),
    ] = "text"

    batch_size: Annotated[
        Count | None,
        setting("Contexts per forward pass (default: 16 on a CPU, 128 on a GPU).", _MODEL, gt=0),
    ] = None
    device: Annotated[
        Text, setting("Device that the model runs on: auto, cpu, cuda, cuda:1 or mps.", _MODEL)
    ] = "auto"
    model_dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], setting("Dtype that the model runs in.", _MODEL)
    ] = "float32"
    compile: Annotated[bool, setting("Compile the forward pass with torch.compile.", _MODEL)] = (
        False
    )
    weights: Annotated[
        Weights,
        setting("Weights as published (raw), or as TransformerLens processes them.", _MODEL),
    ] = "raw"
    revision: Annotated[
        str | None, setting("Revision of the model (default: the newest).", _MODEL)
    ] = None

    @model_validator(mode="after")
    def _some_text(self) -> Self:
        if not self.dataset:
            raise ConfigError("no dataset was given", "add --dataset text.jsonl, say")
        return self

    @model_validator(mode="after")
    def _one_for_each_dataset(self) -> Self:
        count = len(self.dataset)
        if self.mix and len(self.mix) != count:
            raise ConfigError(
                f"--mix is given {len(self.mix)} times for {count} datasets",
                "give one --mix for each --dataset, or none for equal shares",
            )
        for name in ("split", "text_column", "dataset_config", "dataset_revision"):
            given = len(getattr(self, name))
            if given > 1 and given != count:
                raise ConfigError(
                    f"--{name.replace('_', '-')} is given {given} times for {count} datasets",
                    "give it once for all, or once for each --dataset",
                )
        return self


class CaptureConfig(ModelOnText, frozen=True):
    """A cache to be made: which model sees which text, what is kept of it and how."""

    stage: ClassVar[str] = "cache"
    renamed: ClassVar[dict[str, str]] = {"other_rounding": "allow_compute_change"}
    singular: ClassVar[dict[str, str]] = {"hook": "hooks", "datasets": "dataset"}

    hooks: Annotated[
        Texts,
        setting("Hook point, or a glob such as blocks.*.hook_resid_post.", _MAIN, option="hook"),
    ]
    out: Annotated[Text, setting("Folder of the cache, or s3://bucket/prefix and the like.", _MAIN)]
    tokens: Annotated[Count, setting("Token positions to store.", _MAIN, gt=0)] = 100_000_000

    dtype: Annotated[StorageDtype, setting("Dtype that activations are stored in.", _STORAGE)] = (
        "float16"
    )
    format: Annotated[StorageFormat, setting("File format of the cache.", _STORAGE)] = "safetensors"
    compression: Annotated[Compression, setting("Compression of a zarr cache.", _STORAGE)] = "none"
    shard_size: Annotated[Bytes, setting("Bytes of one hook per file.", _STORAGE, gt=0)] = (
        512 * 2**20
    )
    block_size: Annotated[Bytes, setting("Bytes of one hook per read.", _STORAGE, gt=0)] = 4 * 2**20
    allow_nonfinite: Annotated[
        bool, setting("Keep NaN and infinite values instead of stopping at them.", _STORAGE)
    ] = False
    allow_compute_change: Annotated[
        bool,
        setting(
            "Add tokens to a cache that was begun under another batch size, device, attention or"
            " --compile: their rows differ by rounding, and each shard says what made it.",
            _STORAGE,
        ),
    ] = False

    @model_validator(mode="after")
    def _something_to_cache(self) -> Self:
        if not self.hooks:
            raise ConfigError("no hook was given", "add --hook blocks.8.hook_resid_pre, say")
        if self.contexts < 1:
            raise ConfigError(
                f"{self.tokens} tokens do not fill one context of {self.context_size}",
                "ask for more --tokens or a smaller --context-size",
            )
        return self

    @model_validator(mode="after")
    def _storage_fits(self) -> Self:
        if self.compression != "none" and self.format != "zarr":
            raise ConfigError(
                f"compression '{self.compression}' needs zarr",
                "add --format zarr or --compression none",
            )
        if self.dtype == "int8" and self.allow_nonfinite:
            raise ConfigError(
                "int8 can't hold NaN or infinite values",
                "leave out --allow-nonfinite or --dtype int8",
            )
        return self

    @property
    def contexts(self) -> int:
        """Whole contexts that the tokens fill."""
        return self.tokens // self.context_size


class LiveConfig(ModelOnText, frozen=True):
    """A model that runs while SAEs train on what its hooks see."""

    stage: ClassVar[str] = "live"

    dtype: Annotated[
        Literal["float16", "float32", "bfloat16"],
        setting("Dtype that rows are kept in until they are used.", _MODEL),
    ] = "float16"
