"""One feature's page as one object: what `lmsaes show NAME FEATURE --json` prints.

Its keys are a contract: programs read it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lmsaes.database.client import Database
from lmsaes.database.details import WIRED_BY, GroupFacts, Table, WiringFacts
from lmsaes.database.records import SAERecord, SampleRecord
from lmsaes.errors import ConfigError, DatabaseError

_DIGITS = 6  # more than float16 holds


def feature_page(database: Database, record: SAERecord, feature: int) -> dict[str, Any]:
    """Everything that is known of a feature, ready for JSON; what was not measured is None.

    Raises ConfigError for a feature that was not analyzed, DatabaseError where the analysis was
    just replaced.
    """
    start, stop = record.feature_range
    if not start <= feature < stop:
        raise ConfigError(
            f"'{record.name}' has no feature {feature}",
            f"features {start} to {stop - 1} were analyzed",
        )
    found = database.features(record.analysis, [feature]).get(feature)
    if found is None or found.details is None:
        raise DatabaseError(
            f"feature {feature} of '{record.name}' is not there", "analyze the SAE again"
        )
    details, vocabulary = found.details, database.vocabulary(record.vocabulary)
    samples = database.sample_groups(record.analysis, feature, record.groups)
    shown = [sample.contexts for sample in samples.values()]
    ids = np.unique(np.concatenate(shown)).tolist() if shown else []
    contexts = database.contexts(record.cache, ids)
    if len(contexts) < len(ids):
        raise DatabaseError(f"contexts of '{record.name}' are missing", "analyze the SAE again")
    logits = details.logits
    return {
        "sae": record.name,
        "feature": feature,
        "firings": found.firings,
        "contexts": details.contexts,
        "density": found.density,
        "maximum": found.maximum,
        "mean": found.mean if found.firings else None,
        "label": details.label,
        "histogram": {"counts": found.histogram.tolist(), "upper": found.histogram_max},
        "fires_on": _with_tokens(details.fires_on, vocabulary),
        "preceded_by": _with_tokens(details.preceded_by, vocabulary),
        "promotes": _weights(found.promotes, vocabulary),
        "suppresses": _weights(found.suppresses, vocabulary),
        "logits": None
        if logits is None
        else {
            "mean": logits.mean,
            "std": logits.std,
            "skewness": logits.skewness,
            "kurtosis": logits.kurtosis,
            "histogram": logits.histogram.tolist(),
            "lower": logits.lower,
            "upper": logits.upper,
        },
        "hooks": [
            {
                "hook": each.hook,
                "norm": each.norm,
                "promotes": _with_tokens(each.promotes, vocabulary),
                "suppresses": _with_tokens(each.suppresses, vocabulary),
            }
            for each in details.hooks
        ],
        "output": details.output
        and {
            "value": details.output.value,
            "kl": details.output.kl,
            "raises": _with_tokens(details.output.raises, vocabulary),
        },
        "wiring": details.wiring and wiring(details.wiring),
        "groups": {
            group: _group(details.groups.get(group), samples.get(group), contexts, vocabulary)
            for group in record.groups
        },
        "neighbors": {by: rows(table) for by, table in details.neighbors.items()},
        "twins": [
            {
                "sae": twin.sae,
                "feature": twin.feature,
                "cosine": twin.cosine,
                "correlation": twin.correlation,
                "score": twin.score,
                "mutual": twin.mutual,
            }
            for twin in details.twins
        ],
        "stability": details.stability,
    }


def page_with_words(database: Database, record: SAERecord, feature: int) -> dict[str, Any]:
    """The same with what people and models said of it: `explanation` (None: nothing), `note`."""
    said = database.explanations.current(record.sae_hash, [feature]).get(feature)
    return {
        **feature_page(database, record, feature),
        "explanation": said and said.text,
        "note": database.notes.get(record.sae_hash, feature).text,
    }


def rows(table: Table) -> list[dict[str, Any]]:
    """A table row by row."""
    columns = [values.tolist() for values in table.values()]
    return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]


def wiring(found: WiringFacts) -> dict[str, Any]:
    """The heads and neurons that write into a feature and that read it, row by row."""

    def named(table: Table) -> list[dict[str, Any]]:
        return [{**row, "by": WIRED_BY[row["by"]]} for row in rows(table)]

    sides = {"writers": found.writers, "readers": found.readers}
    return {
        **{
            name: side and {"heads": named(side.heads), "neurons": named(side.neurons)}
            for name, side in sides.items()
        },
        "missing": found.missing,
    }


def _with_tokens(table: Table, vocabulary: Sequence[str]) -> list[dict[str, Any]]:
    found = rows(table)
    return [
        {"token_id": row.pop("token"), "token": vocabulary[token], **row}
        for row, token in zip(found, table["token"].tolist(), strict=True)
    ]


def _weights(pairs: Iterable[tuple[int, float]], vocabulary: Sequence[str]) -> list[dict[str, Any]]:
    return [{"token_id": id, "token": vocabulary[id], "weight": weight} for id, weight in pairs]


def _group(
    facts: GroupFacts | None,
    sample: SampleRecord | None,
    contexts: dict[int, np.ndarray],
    vocabulary: Sequence[str],
) -> dict[str, Any]:
    facts = facts or GroupFacts(0)
    shown: list[dict[str, Any]] = []
    if sample is not None:
        for context, position, activations in zip(
            sample.contexts.tolist(), sample.positions.tolist(), sample.activations, strict=True
        ):
            shown.append(
                {
                    "context": context,
                    "maximum": _rounded(activations.max()),
                    "position": position,
                    "tokens": [vocabulary[token] for token in contexts[context].tolist()],
                    "token_ids": contexts[context].tolist(),
                    "activations": [_rounded(value) for value in activations],
                }
            )
    return {
        "available": facts.available,
        "lower": facts.lower,
        "upper": facts.upper,
        "contexts": shown,
    }


def _rounded(value: np.floating[Any]) -> float:
    return float(f"{value:.{_DIGITS}g}")
