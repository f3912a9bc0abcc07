"""One feature as the API answers it: its document with token strings in place."""

from collections.abc import Iterable, Sequence
from typing import Any

from lmsaes.database import (
    FeatureDetails,
    FeatureRecord,
    LogitFacts,
    SAERecord,
    Table,
    wiring,
)

from .feature_schemas import (
    CofiringNeighbor,
    Feature,
    FiresOnToken,
    Group,
    Histogram,
    HookEffect,
    Logits,
    NearNeighbor,
    Neighbors,
    Output,
    PrecedingToken,
    RaisedToken,
    TokenWeight,
    Twin,
    Wiring,
)
from .store import Store


def feature_answer(store: Store, record: SAERecord, found: FeatureRecord) -> Feature:
    """Everything of a feature but its contexts."""
    columns, details = store.features(record), found.details
    index = found.index
    return Feature(
        sae=record.name,
        analysis=record.analysis,
        index=index,
        density_class=columns.density_class(index),
        firings=found.firings,
        density=found.density,
        maximum=found.maximum,
        mean=found.mean if found.firings else None,
        tokens_analyzed=record.tokens_analyzed,
        histogram=histogram(found),
        promotes=weights(store, record, found.promotes),
        suppresses=weights(store, record, found.suppresses),
        groups=_groups(record, details),
        previous=index - 1 if index > columns.start else None,
        next=index + 1 if index + 1 < columns.stop else None,
        **({} if details is None else _details(store, record, details)),
    )


def _details(store: Store, record: SAERecord, details: FeatureDetails) -> dict[str, Any]:
    names = store.vocabulary(record.vocabulary)

    def with_tokens(table: Table) -> Iterable[dict[str, Any]]:
        for row, token in zip(_rows(table), names.of(table["token"].tolist()), strict=True):
            yield {**row, "id": row["token"], "token": token}

    near, partners = details.neighbors, CofiringNeighbor
    return {
        "contexts": details.contexts,
        "label": details.label,
        "fires_on": [FiresOnToken(**row) for row in with_tokens(details.fires_on)],
        "preceded_by": [PrecedingToken(**row) for row in with_tokens(details.preceded_by)],
        "neighbors": Neighbors(
            decoder=[NearNeighbor(**row) for row in _rows(near.get("decoder", {}))],
            encoder=[NearNeighbor(**row) for row in _rows(near.get("encoder", {}))],
            jaccard=[partners(**row) for row in _rows(near.get("jaccard", {}))],
            pmi=[partners(**row) for row in _rows(near.get("pmi", {}))],
        ),
        "twins": [
            Twin(
                sae=twin.sae,
                feature=twin.feature,
                cosine=twin.cosine,
                correlation=twin.correlation,
                score=None if twin.feature is None else twin.score,
                mutual=twin.mutual,
            )
            for twin in details.twins
        ],
        "stability": details.stability,
        "logits": details.logits and _logits(details.logits),
        "hooks": [
            HookEffect(
                hook=each.hook,
                norm=each.norm,
                promotes=[TokenWeight(**row) for row in with_tokens(each.promotes)],
                suppresses=[TokenWeight(**row) for row in with_tokens(each.suppresses)],
            )
            for each in details.hooks
        ],
        "output": details.output
        and Output(
            value=details.output.value,
            kl=details.output.kl,
            raises=[RaisedToken(**row) for row in with_tokens(details.output.raises)],
        ),
        "wiring": details.wiring and Wiring.model_validate(wiring(details.wiring)),
    }


def _groups(record: SAERecord, details: FeatureDetails | None) -> list[Group]:
    facts = details.groups if details else {}
    return [
        Group(
            name=name,
            available=facts[name].available if name in facts else None,
            lower=facts[name].lower if name in facts else None,
            upper=facts[name].upper if name in facts else None,
        )
        for name in record.groups
    ]


def _logits(found: LogitFacts) -> Logits:
    return Logits(
        mean=found.mean,
        std=found.std,
        skewness=found.skewness,
        kurtosis=found.kurtosis,
        counts=found.histogram.tolist(),
        lower=found.lower,
        upper=found.upper,
    )


def histogram(found: FeatureRecord) -> Histogram:
    """Its firings by activation."""
    return Histogram(counts=found.histogram.tolist(), upper=found.histogram_max)


def weights(
    store: Store, record: SAERecord, pairs: Sequence[tuple[int, float]]
) -> list[TokenWeight]:
    """Logit weights with the tokens' strings."""
    names = store.tokens(record, [token for token, _ in pairs])
    return [
        TokenWeight(id=token, token=name, weight=weight)
        for (token, weight), name in zip(pairs, names, strict=True)
    ]


def _rows(table: Table) -> list[dict[str, Any]]:
    """A table row by row."""
    columns = [values.tolist() for values in table.values()]
    return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]
