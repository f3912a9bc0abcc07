"""A feature's label from the tokens it fires on, such as `' that' 62 %`."""

from collections.abc import Sequence

from lmsaes.analysis.token_statistics import FiresOn

_SHOWN, _WORTH = 3, 0.1


def token_label(found: FiresOn, vocabulary: Sequence[str]) -> str | None:
    """The up to three tokens that most firings are on, with their shares.

    None for a feature that never fired. After the first one, only those with a tenth of the
    firings are named.
    """
    if len(found.tokens) == 0:
        return None
    shares = found.share_of_firings
    order = sorted(range(len(shares)), key=lambda i: (-shares[i], found.tokens[i]))[:_SHOWN]
    named = [i for place, i in enumerate(order) if place == 0 or shares[i] >= _WORTH]
    return ", ".join(f"'{vocabulary[found.tokens[i]]}' {_percent(shares[i])}" for i in named)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "< 1 %"
