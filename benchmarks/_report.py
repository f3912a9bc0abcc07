"""What every benchmark says: rows with goals, as a table or as one JSON object."""

import argparse
import json
import platform
from typing import Any, Literal

import torch


def row(
    what: str,
    value: float | None,
    unit: str,
    ratio: float | None = None,
    must: float | None = None,
    aim: float | None = None,
    better: Literal["higher", "lower"] = "lower",
    **more: Any,
) -> dict[str, Any]:
    """One figure. `ratio` is the number that `must` and `aim` speak of."""
    goals = {"must": must, "aim": aim, "better": better}
    return {"what": what, "value": value, "unit": unit, "ratio": ratio, **goals, **more}


def tell(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """Prints the rows: one JSON object with --json, else a table."""
    if arguments.json:
        settings = {name: str(value) for name, value in vars(arguments).items()}
        print(json.dumps({"machine": machine(), "settings": settings, "rows": rows}))
        return
    # the peers' environments, where scripts import this too, need not have it
    from rich.console import Console
    from rich.table import Table

    table = Table("", "value", "", "ratio", "must", "aim")
    for each in rows:
        sign = "≥" if each["better"] == "higher" else "≤"
        goals = [f"{sign} {each[g]}" if each[g] is not None else "" for g in ("must", "aim")]
        figures = [_short(each["value"]), each["unit"], _short(each["ratio"], ".3f")]
        table.add_row(each["what"], *figures, *goals)
    Console(width=120).print(table)


def machine() -> str:
    return f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _short(value: float | None, form: str = ",.4g") -> str:
    return "" if value is None else format(value, form)
