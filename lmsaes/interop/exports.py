"""SAEs of ours in the layouts of other libraries: `lmsaes export`.

    SAE folder, or a run ─► writer of a format ─► folder ─► read back, its own formula compared

All SAEs are checked before the first is written.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmsaes.cache import ActivationCache
from lmsaes.configuration import takes
from lmsaes.database import Database, SAERecord, analyzed_transcoders
from lmsaes.errors import ConfigError, SAEError
from lmsaes.interop import (
    circuit_tracer,
    delphi,
    export_note,
    feature_files,
    graph_export,
    neuronpedia,
    parquet,
    saelens,
    saelens_export,
    sparsify,
)
from lmsaes.interop.analyzed import find_records
from lmsaes.interop.compare import compare
from lmsaes.interop.config import ExportConfig, ImportConfig
from lmsaes.interop.files import only_begun
from lmsaes.interop.hooks import module_of_hook
from lmsaes.interop.hub_export import push
from lmsaes.interop.published import Reader
from lmsaes.interop.source import LocalSource
from lmsaes.sae import SAE, TopK, find_saes, weights_digest

_log = logging.getLogger("lmsaes")


@takes(ExportConfig)
def export_sae(
    sae: str | Path, to: str, out: str | Path, overwrite: bool = False, **settings: Any
) -> list[Path]:
    """Writes an SAE, or all SAEs of a run, in another library's layout: `lmsaes export`.

    Returns the folders written, of which a push to the hub has none. Each is read back, and that
    library's formula compared with the SAE on a few thousand rows. What is there already is left
    as it is. Raises SAEError where the library has no class for an SAE.

    sae: an SAE folder, or a run that holds some
    to: whose layout
    out: the folder to write; for a run, one folder in it for each SAE; a repository for the hub
    overwrite: replace what is in the folder
    """
    config = ExportConfig.of({"sae": sae, "to": to, "out": out, **settings})
    if config.to in _FROM_DATABASE:
        return _from_database(config, overwrite)
    if config.to == "circuit-tracer" and not Path(config.sae).exists():
        return [_graph(config, overwrite)]
    folders = find_saes([config.sae], kept=False)
    if config.to == "delphi":
        return _delphi(folders, config, overwrite)
    if config.to == "hub":
        push(folders, config)
        return []
    if config.to == "circuit-tracer":
        return [_circuit_tracer(folders, Path(config.out), overwrite)]
    return _one_by_one(_LAYOUTS[config.to], folders, config, overwrite)


@dataclass(frozen=True)
class _Layout:
    """How a library's folder of one SAE is written and read."""

    check: Callable[[SAE, str], None]
    remarks: Callable[[SAE], list[str]]
    head: str  # the file that is written last and tells one SAE from another
    weights: str  # the one before it
    content: Callable[[SAE, str], bytes]  # of that file, with our weights' digest
    write: Callable[[SAE, Path, str], None]
    read: Reader


_FROM_DATABASE = ("neuronpedia", "circuit-tracer-features", "parquet")
_LAYOUTS = {
    "saelens": _Layout(
        saelens_export.check,
        saelens_export.remarks,
        saelens.CONFIG,
        saelens.WEIGHTS,
        saelens_export.config,
        saelens_export.write,
        saelens.read,
    ),
    "sparsify": _Layout(
        sparsify.check,
        lambda sae: [],
        sparsify.CONFIG,
        sparsify.WEIGHTS,
        sparsify.config,
        sparsify.write,
        sparsify.read,
    ),
}


def _one_by_one(
    layout: _Layout, folders: list[Path], config: ExportConfig, overwrite: bool
) -> list[Path]:
    places = _places(folders, config)
    for folder in folders:  # before anything is written
        layout.check(SAE.load(folder), str(folder))
    for folder, place in places.items():
        sae, digest = SAE.load(folder), weights_digest(folder)
        content, weights = layout.content(sae, digest), re.escape(layout.weights)
        if not overwrite and _is_there(place, layout.head, content, weights):
            continue
        layout.write(sae, place, digest)
        _read_back(sae, layout.read, LocalSource(place))
        for remark in layout.remarks(sae):
            _log.warning("export: %s: %s", place, remark)
    return list(places.values())


def _places(folders: list[Path], config: ExportConfig) -> dict[Path, Path]:
    """Where each SAE goes. sparsify names folders by hookpoints."""
    out = Path(config.out)
    if config.to in ("sparsify", "delphi"):
        named = {f: out / module_of_hook(_hook(SAE.load(f), f)) for f in folders}
    else:
        one = len(folders) == 1 and folders[0] == Path(config.sae).resolve()
        named = {folder: out if one else out / folder.name for folder in folders}
    places = list(named.values())
    if twice := [str(place) for place in places if places.count(place) > 1]:
        raise ConfigError(
            f"several SAEs would be {twice[0]}", "export one of them, or each to its own --out"
        )
    return named


def _hook(sae: SAE, folder: Path) -> str:
    if not sae.config.inputs:
        raise SAEError(f"{folder} does not say which hook it reads", "train it with lmsaes train")
    return sae.config.target or sae.config.inputs[0]


def _circuit_tracer(folders: list[Path], out: Path, overwrite: bool) -> Path:
    order = circuit_tracer.check({str(f): SAE.load(f) for f in folders})
    digest = " ".join(weights_digest(Path(name))[:16] for name in order)
    first = SAE.load(order[0])
    content = circuit_tracer.config(first, digest)
    if not overwrite and _is_there(out, circuit_tracer.CONFIG, content, circuit_tracer.LAYERS):
        return out
    saes = {f"layer_{layer}": SAE.load(name) for layer, name in enumerate(order)}
    (out / circuit_tracer.CONFIG).unlink(missing_ok=True)  # of what it replaces
    for layer, sae in enumerate(saes.values()):
        circuit_tracer.write_layer(sae, out, layer)
    circuit_tracer.write_config(first, out, digest)
    if isinstance(first, TopK):
        _log.warning(
            "export: %s: circuit-tracer 0.5.0 takes TopK transcoders for ReLU and lets every "
            "positive feature through: open it with a version that reads activation and k in "
            "config.yaml",
            out,
        )
    for published in circuit_tracer.read(LocalSource(out), _reading(out)):
        _compare(saes[published.name], published.formula, out / published.name)
    return out


def _delphi(folders: list[Path], config: ExportConfig, overwrite: bool) -> list[Path]:
    if config.cache is None:
        raise ConfigError("--cache is missing", "give the cache whose rows Delphi is to see")
    cache, places = ActivationCache.open(config.cache), _places(folders, config)
    facts = {
        folder: {
            "to": config.to,
            "weights": weights_digest(folder),
            "cache": cache.identity,
            "rows": cache.rows,
            "splits": config.splits,
        }
        for folder in folders
    }
    for folder, place in places.items():
        if export_note.begin(place, facts[folder], overwrite):
            delphi.write(SAE.load(folder), cache, place, config.splits, config.device)
            export_note.finish(place, facts[folder])
    return list(places.values())


def _from_database(config: ExportConfig, overwrite: bool) -> list[Path]:
    """What the database knows of features; `config.sae` is a name there."""
    out = Path(config.out)
    with Database(config.db) as database:
        records = find_records(database, config.sae)
        if config.to == "parquet":
            if len(records) > 1:
                raise ConfigError(
                    f"'{config.sae}' has {len(records)} SAEs",
                    "write one file for each: give its name",
                )
            return [_parquet(database, records[0], out, overwrite)]
        facts = {"to": config.to, "analyses": {each.name: each.analysis for each in records}}
        if config.to == "circuit-tracer-features":
            feature_files.check(records)
        there = not export_note.begin(out, facts, overwrite)
        if config.to == "circuit-tracer-features":
            if not there:
                feature_files.write(database, records, out)
            places = [out]
        else:
            places = [neuronpedia.folder_of(record, out) for record in records]
            for record in () if there else records:
                neuronpedia.write(database, record, out)
        if not there:
            export_note.finish(out, facts)
        return places


def _graph(config: ExportConfig, overwrite: bool) -> Path:
    """A graph of the database; `config.sae` is its name there."""
    out = Path(config.out)
    with Database(config.db) as database:
        record = database.graphs.get(config.sae)
        if record is None:
            raise ConfigError(
                f"{config.sae} is no folder of transcoders and no graph in {database.place}",
                "see: lmsaes db list",
            )
        facts = {
            "to": "circuit-tracer graph",
            "graph": record.graph,
            "groups": record.version,
            "analyses": {
                each.name: each.analysis for each in analyzed_transcoders(database, record).values()
            },
        }
        if export_note.begin(out, facts, overwrite):
            graph_export.write(database, record, out)
            export_note.finish(out, facts)
    return out


def _parquet(database: Database, record: SAERecord, out: Path, overwrite: bool) -> Path:
    if not overwrite and out.exists():
        if parquet.analysis_in(out) != (record.name, record.analysis):
            raise ConfigError(
                f"{out} is there already and holds something else",
                "choose another --out, or replace it with --overwrite",
            )
        _log.info("export: %s is there already: nothing to do", out)
        return out
    parquet.write(database, record, out)
    return out


def _is_there(place: Path, head: str, content: bytes, others: str) -> bool:
    """Whether this very export is there. Raises SAEError when something else is.

    others: a pattern of the files that are written before `head`; what a killed export has left of
    them is nobody's.
    """
    if not place.exists() or (place.is_dir() and only_begun(place, head, others)):
        return False
    file = place / head
    if not file.is_file() or file.read_bytes() != content:
        raise SAEError(
            f"{place} is not empty and holds something else",
            "choose another --out, or replace it with --overwrite",
        )
    _log.info("export: %s is there already: nothing to do", place)
    return True


def _read_back(sae: SAE, read: Reader, source: LocalSource) -> None:
    given = {"target": sae.config.target} if sae.config.target else {}
    config = ImportConfig.of(
        {"source": source.where, "out": "-", "hook": sae.config.inputs[0], **given}
    )
    for published in read(source, config):
        _compare(sae, published.formula, Path(source.where))


def _reading(out: Path) -> ImportConfig:
    return ImportConfig.of({"source": str(out), "out": "-"})


def _compare(sae: SAE, formula: Any, place: Path) -> None:
    found = compare(sae, formula, str(place))
    _log.info("export: %s, %s; read back: %s", place, sae.config.architecture, found)
