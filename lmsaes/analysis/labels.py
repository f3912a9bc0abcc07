"""A feature's label from the tokens it fires on, such as `' that' 62 %`."""

from collections.abc import Sequence

from lmsaes.analysis.token_statistics import FiresOn
from lmsaes.database import label_tokens


def token_label(found: FiresOn, vocabulary: Sequence[str]) -> str | None:
    """The up to three tokens that most firings are on, with their shares.

    None for a feature that never fired.
    """
    named = label_tokens(found.tokens, found.share_of_firings)
    return ", ".join(f"'{vocabulary[token]}' {_percent(share)}" for token, share in named) or None


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "< 1 %"
