"""Feature statistics as one Parquet file, a row per feature."""

import json
from pathlib import Path
from typing import Any

from lmsaes.atomic import replacing
from lmsaes.database import Database, FeatureRecord, SAERecord
from lmsaes.interop.analyzed import feature_records

_ROWS = 1024  # of a row group: what is in memory at once


def write(database: Database, record: SAERecord, file: Path) -> None:
    """The SAE's features into `file`; the record itself is the file's metadata `lmsaes`.

    `mean` and `maximum` of a feature that never fired are null.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    weighted: Any = pa.list_(pa.struct([("token", pa.string()), ("weight", pa.float32())]))
    schema = pa.schema(
        [
            ("feature", pa.int32()),
            ("firings", pa.int64()),
            ("density", pa.float64()),
            ("maximum", pa.float32()),
            ("mean", pa.float32()),
            ("histogram", pa.list_(pa.int64())),
            ("histogram_max", pa.float32()),
            ("promotes", weighted),
            ("suppresses", weighted),
        ],
        metadata={"lmsaes": record.model_dump_json()},
    )
    vocabulary = database.vocabulary(record.vocabulary)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        rows: list[dict[str, Any]] = []
        for feature in feature_records(database, record, _ROWS):
            rows.append(_row(feature, vocabulary))
            if len(rows) == _ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema))


def analysis_in(file: Path) -> tuple[str, str] | None:
    """The SAE and the analysis whose features a file holds; None for any other file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(file).metadata or {}
        found = json.loads(metadata.get(b"lmsaes", b"{}"))
        return found["name"], found["analysis"]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def _row(record: FeatureRecord, vocabulary: list[str]) -> dict[str, Any]:
    fired = record.firings > 0
    return {
        "feature": record.index,
        "firings": record.firings,
        "density": record.density,
        "maximum": record.maximum if fired else None,
        "mean": record.mean if fired else None,
        "histogram": record.histogram.tolist(),
        "histogram_max": record.histogram_max,
        "promotes": [{"token": vocabulary[t], "weight": w} for t, w in record.promotes],
        "suppresses": [{"token": vocabulary[t], "weight": w} for t, w in record.suppresses],
    }
