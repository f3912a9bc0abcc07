"""What `lmsaes trace` is asked for."""

from typing import Annotated, ClassVar

from lmsaes.configuration import LocalPath, StageConfig, Text, Texts, setting
from lmsaes.database.names import Name
from lmsaes.units import Count

_WHAT, _GRAPH, _PROOF, _MODEL = "What is explained", "Graph", "Proof", "Model"


class TraceConfig(StageConfig, frozen=True):
    """A prompt, the transcoders of a model's MLPs, and what of the model's answer to explain."""

    stage: ClassVar[str] = "trace"
    singular: ClassVar[dict[str, str]] = {"target": "targets"}

    transcoders: Annotated[
        Texts, setting("Runs or SAE folders with a transcoder per layer.", _WHAT, min_length=1)
    ]
    prompt: Annotated[str, setting("Text whose next token is explained.", _WHAT)]
    targets: Annotated[
        Texts,
        setting(
            'Tokens whose logits are explained, as " the", or features as LAYER:INDEX@POSITION'
            " (default: the likeliest next tokens).",
            _WHAT,
            option="target",
        ),
    ] = ()
    logits: Annotated[
        int, setting("Likeliest next tokens to explain at most.", _WHAT, gt=0, le=1000)
    ] = 10
    probability: Annotated[
        float, setting("They stop where they hold this probability.", _WHAT, gt=0, le=1)
    ] = 0.95
    nodes: Annotated[
        Count, setting("Features to follow at most, by influence on the targets.", _GRAPH, gt=0)
    ] = 7500
    node_threshold: Annotated[
        float, setting("Share of the influence that shown nodes hold.", _GRAPH, gt=0, le=1)
    ] = 0.8
    edge_threshold: Annotated[
        float, setting("Share of the influence that shown edges hold.", _GRAPH, gt=0, le=1)
    ] = 0.98
    out: Annotated[
        LocalPath | None,
        setting("File for the graph, as circuit-tracer's JSON (default: no file).", _GRAPH),
    ] = None
    name: Annotated[
        Name | None,
        setting("Name for the graph in the database (default: it is not kept there).", _GRAPH),
    ] = None
    db: Annotated[
        str | None,
        setting(
            "MongoDB address (default: $LMSAES_DB, or the embedded server).", _GRAPH, metavar="URI"
        ),
    ] = None
    verify: Annotated[
        int, setting("Features to ablate in the real model as a check.", _PROOF, ge=0, le=10_000)
    ] = 0
    seed: Annotated[int, setting("Draws half of those features.", _PROOF, ge=0, lt=2**63)] = 0
    model: Annotated[
        Text | None,
        setting("Name or folder of the language model (default: the SAEs' records).", _MODEL),
    ] = None
    bos: Annotated[
        bool | None,
        setting("Begin with the beginning-of-text token (default: where there is one).", _MODEL),
    ] = None
    device: Annotated[
        Text, setting("Device to run on: auto, cpu, cuda, cuda:1 or mps.", _MODEL)
    ] = "auto"
