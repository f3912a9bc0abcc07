"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .analyzed import DatabaseFeatures
from .config import RankBy, SteerConfig
from .edited_forward import FeatureEdits, GrowingText
from .edits import Edit, HooksOf, When, check_fits, hooks_of
from .effects import OutputScore, loss_effect, loss_effects, output_scores
from .find_model import KnownSAE, find_model, find_sae
from .generate import Completion, Finished, NewToken, Sampling, Steered, steer, stream
from .own_text import EncodedText, encode_text
from .ranking import AnalyzedFeatures, RankedFeature, Ranking, rank_features, surprise
from .tokens import TokenizedText, check_length, tokenize

__all__ = [
    "AnalyzedFeatures",
    "Completion",
    "DatabaseFeatures",
    "Edit",
    "EncodedText",
    "FeatureEdits",
    "Finished",
    "GrowingText",
    "HooksOf",
    "KnownSAE",
    "NewToken",
    "OutputScore",
    "RankBy",
    "RankedFeature",
    "Ranking",
    "Sampling",
    "SteerConfig",
    "Steered",
    "TokenizedText",
    "When",
    "check_fits",
    "check_length",
    "encode_text",
    "find_model",
    "find_sae",
    "hooks_of",
    "loss_effect",
    "loss_effects",
    "output_scores",
    "rank_features",
    "steer",
    "stream",
    "surprise",
    "tokenize",
]
