"""Whether SAEs differ beyond their standard errors, on the same contexts."""

import itertools
from collections.abc import Sequence

from lmsaes.evaluation.estimates import SIGNIFICANT, difference
from lmsaes.evaluation.measured_sae import MeasuredSAE
from lmsaes.evaluation.records import Comparison

COMPARED = ("fvu", "l0", "ce_recovered_zero", "ce_recovered_mean", "kl")
"""Figures by which SAEs are compared."""


def compare(jobs: Sequence[MeasuredSAE]) -> list[Comparison]:
    """Every two SAEs of the same output, by every figure that both have."""
    found: list[Comparison] = []
    for first, second in itertools.combinations(jobs, 2):
        if first.outputs != second.outputs:
            continue
        for figure in COMPARED:
            one, other = first.estimates.get(figure), second.estimates.get(figure)
            apart = difference(one, other) if one and other else None
            if apart is not None:
                differ = None if apart.se is None else abs(apart.value) > SIGNIFICANT * apart.se
                found.append(
                    Comparison(
                        figure=figure,
                        first=first.name,
                        second=second.name,
                        difference=apart.value,
                        se=apart.se,
                        differ=differ,
                    )
                )
    return found
