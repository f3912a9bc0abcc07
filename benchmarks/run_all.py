"""Runs every benchmark beside this file and rewrites RESULTS.md with what they say.

python benchmarks/run_all.py --peer-python PATH     with the peers that are installed there
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="python of an environment with peers")
    peers: str | None = parser.parse_args().peer_python
    sections = [
        f"# Benchmarks\n\nRun on {datetime.now(UTC):%Y-%m-%d} on {_processor()}, by "
        "`make bench`. Ratios are what `must` and `aim` speak of.\n"
    ]
    for script in sorted(HERE.glob("*.py")):
        if script == Path(__file__) or script.name.startswith("_"):
            continue
        print(f"{script.name} …", flush=True)
        takes_peers = peers is not None and "--peer-python" in script.read_text()
        options = ["--peer-python", peers] if takes_peers else []
        result = subprocess.run(
            [sys.executable, script, "--json", *options],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        sections.append(_section(script.name, json.loads(result.stdout.splitlines()[-1])))
    (HERE / "RESULTS.md").write_text("\n".join(sections))


def _section(name: str, report: dict[str, Any]) -> str:
    lines = [
        f"## {name}\n",
        f"{report['machine']}\n",
        "| what | value | unit | ratio | must | aim |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for row in report["rows"]:
        sign = "≥" if row["better"] == "higher" else "≤"
        goals = [f"{sign} {row[g]}" if row.get(g) is not None else "" for g in ("must", "aim")]
        value = row["value"]
        shown = "" if value is None else f"{value:,.4g}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3f}"
        lines.append(f"| {row['what']} | {shown} | {row['unit']} | {ratio} | {' | '.join(goals)} |")
    return "\n".join(lines) + "\n"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
        name = next(x.split(":")[1].strip() for x in text.splitlines() if "model name" in x)
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores of {name}"


if __name__ == "__main__":
    main()
