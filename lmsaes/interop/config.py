"""What an import and an export are asked for: `ImportConfig` and `ExportConfig`."""

from typing import Annotated, ClassVar, Literal

from lmsaes.configuration import LocalPath, StageConfig, Text, setting
from lmsaes.provenance import Weights

_MAIN, _FACTS = "What and where", "What the files don't say"
_ROWS, _HUB = "For what is written from a cache or the database", "For the hub"

ImportFormat = Literal[
    "auto",
    "saelens",
    "gemma-scope",
    "dictionary-learning",
    "sparsify",
    "circuit-tracer",
    "llama-scope",
    "llamascopium",
    "openai",
    "goodfire",
    "qwen-scope",
    "deepseek-r1",
    "lmsaes",
]
ExportFormat = Literal[
    "saelens",
    "sparsify",
    "circuit-tracer",
    "hub",
    "delphi",
    "neuronpedia",
    "circuit-tracer-features",
    "parquet",
]


class ImportConfig(StageConfig, frozen=True):
    """An SAE of somebody else's that is to become one of ours."""

    stage: ClassVar[str] = "import"

    source: Annotated[
        Text, setting("Folder or file, or hf://OWNER/REPO/FOLDER[@REVISION] on the hub.", _MAIN)
    ]
    out: Annotated[LocalPath, setting("Folder of the SAE, or of the SAEs of a set.", _MAIN)]
    format: Annotated[
        ImportFormat,
        setting(
            "Whose layout it is: auto looks at the files; saelens, gemma-scope,"
            " dictionary-learning, sparsify, circuit-tracer, llama-scope, llamascopium, openai,"
            " goodfire, qwen-scope, deepseek-r1, lmsaes.",
            _MAIN,
            option="from",
            metavar="FORMAT",
        ),
    ] = "auto"

    hook: Annotated[
        str | None,
        setting("Hook that the SAE reads (default: as the files say).", _FACTS),
    ] = None
    target: Annotated[
        str | None,
        setting("Hook that a transcoder predicts (default: as the files say).", _FACTS),
    ] = None
    model: Annotated[
        str | None,
        setting("Language model that it belongs to (default: as the files say).", _FACTS),
    ] = None
    weights: Annotated[
        Weights | None,
        setting(
            "The model's weights as published, or as TransformerLens processes them"
            " (default: as the files say).",
            _FACTS,
        ),
    ] = None
    bos: Annotated[
        bool | None,
        setting(
            "Contexts began with a beginning-of-text token (default: as the files say).", _FACTS
        ),
    ] = None
    scale: Annotated[
        float | None,
        setting(
            "What activations were multiplied by in training, where the files leave it out"
            " (default: as the files say).",
            _FACTS,
            gt=0,
        ),
    ] = None
    k: Annotated[
        int | None,
        setting("Active features per row of a TopK SAE (default: as the files say).", _FACTS, gt=0),
    ] = None


class ExportConfig(StageConfig, frozen=True):
    """An SAE of ours in the layout of another library."""

    stage: ClassVar[str] = "export"

    sae: Annotated[
        Text,
        setting(
            "SAE folder, or a run that holds some; for neuronpedia, circuit-tracer-features and"
            " parquet the name of an SAE in the database, or of a run; for circuit-tracer also that"
            " of a graph there.",
            _MAIN,
        ),
    ]
    to: Annotated[ExportFormat, setting("Whose layout to write.", _MAIN)]
    out: Annotated[LocalPath, setting("Folder to write, or OWNER/REPO on the hub.", _MAIN)]
    cache: Annotated[
        Text | None, setting("Cache whose rows delphi gets (default: none).", _ROWS)
    ] = None
    splits: Annotated[int, setting("Files that delphi's features are split into.", _ROWS, gt=0)] = 5
    device: Annotated[
        Text, setting("Device that encodes for delphi: auto, cpu, cuda, cuda:1 or mps.", _ROWS)
    ] = "auto"
    db: Annotated[
        str | None,
        setting(
            "MongoDB address (default: $LMSAES_DB, or the embedded server).", _ROWS, metavar="URI"
        ),
    ] = None
    private: Annotated[bool, setting("Make a new repository private.", _HUB)] = False
    license: Annotated[
        str | None, setting("License that the model card names, such as mit (default: none).", _HUB)
    ] = None
