"""Where activations come from: the language model, the text, and how they were computed.

Every result names its origin by these records: a cache's manifest, an SAE's folder, the database.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """A frozen record that knows all of its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


Weights = Literal["raw", "processed"]
"""A model's weights as published, or as TransformerLens processes them by default."""


class ModelRecord(Record):
    """The language model the activations come from."""

    name: str
    revision: str | None = None
    config_hash: str
    weights_hash: str
    weights: Weights = "raw"
    dtype: str = "float32"


Packing = Literal["packed", "truncate", "split"]
"""How documents fill contexts: one after the other; or each in a context of its own, where a
longer one is cut off (`truncate`) or goes on in further contexts (`split`)."""


SpecialTokens = Literal["text", "tokens"]
"""What a special token's name in a text is: the text that it is spelled as, or that token."""


class DatasetRecord(Record):
    """A dataset, and the share of all tokens that it gives to a mixture."""

    dataset: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    text_column: str = "text"
    fingerprint: str
    share: float = Field(default=1.0, gt=0, le=1)


TokenId = Annotated[int, Field(ge=0, lt=2**31)]


class TextRecord(Record):
    """The text and how it was packed into contexts.

    Of a mixture, `mixture` names the datasets; `dataset` and `fingerprint` then stand for all of
    them together. Short contexts are filled up with `padding_id`, which is a special token.
    Caches of before `special_tokens` was recorded had every special token's name as that token.
    """

    dataset: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    text_column: str = "text"
    fingerprint: str
    tokenizer_hash: str
    context_size: int = Field(gt=0, lt=2**31)
    bos: bool
    bos_id: TokenId | None
    separator_id: TokenId | None
    special_ids: tuple[TokenId, ...]
    shuffled: bool = False
    seed: int = 0
    packing: Packing = "packed"
    padding_id: TokenId | None = None
    special_tokens: SpecialTokens = "tokens"
    mixture: tuple[DatasetRecord, ...] = ()


class ComputeRecord(Record):
    """What only changes rounding: how the forward pass was computed."""

    batch_size: int = Field(gt=0)
    attention: str
    device: str
    compiled: bool = False


class DatasetPosition(Record):
    """How much of one dataset of a mixture is used up: whole documents, and their tokens."""

    documents: int = 0
    tokens: int = 0


class TextPosition(Record):
    """Where the text stream stands: tokens of `document` before `token` have been packed.

    `mixture` says where each dataset of one stood before that document. `empty` of the documents
    before it have no text: null, missing or "".
    """

    document: int = 0
    token: int = 0
    mixture: tuple[DatasetPosition, ...] = ()
    empty: int = 0
