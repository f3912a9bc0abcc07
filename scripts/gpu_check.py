"""The GPU's tests and the GPU rows of the benchmarks, within a time; one JSON and a table.

    python scripts/gpu_check.py --out gpu-check [--seconds 360] [--device cuda] [--small]

Started by gpu_check.sh, which installs what it needs. `--device cpu --small` tries everything but
the card.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parent.parent

# Shapes of TARGETS: d_model 768, 24 576 features, batches of 8192, k = 32.
_SAE = ["--d=768", "--features=24576"]
BENCHMARKS = {
    "train_step": [*_SAE, "--batch=8192", "--rounds=20"],
    "generate": ["--dtype=bfloat16", "--batch=128", "--batches=50"],
    "loader": ["--rounds=2"],
    "parallel": ["--d-model=768", "--features=24576", "--batch=8192", "--ranks=1"],
    "sweep": ["--features=24576", "--batch=8192", "--train=2M", "--tokens=1M", "--rounds=1"],
}
SMALL = {
    "train_step": ["--d=32", "--features=64", "--batch=128", "--k=4", "--l0=8", "--rounds=2"],
    "generate": ["--d=64", "--layers=2", "--batch=2", "--batches=1", "--rounds=1"],
    "loader": ["--rows=65536", "--pool=16384", "--rounds=1"],
    "parallel": ["--d-model=32", "--features=64", "--batch=128", "--ranks=1", "--rounds=1"],
    "sweep": ["--features=64", "--train=4k", "--tokens=8k", "--rounds=1"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=360)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"error: torch {torch.__version__} finds no CUDA device")
    until = time.monotonic() + arguments.seconds
    report: dict[str, Any] = {"machine": _machine(arguments.device), "benchmarks": {}}
    report["tests"] = _tests(until)
    for name, options in (SMALL if arguments.small else BENCHMARKS).items():
        options = [*options, f"--device={arguments.device}"]
        report["benchmarks"][name] = _benchmark(name, options, until)
        # after each, so that a machine that is taken away loses one and not all
        (arguments.out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
        (arguments.out / "gpu.md").write_text(table(report))
    print(table(report))
    failed = [n for n, each in report["benchmarks"].items() if "error" in each]
    if report["tests"]["exit"] or failed:
        sys.exit(f"error: failed: {', '.join(['tests'] * bool(report['tests']['exit']) + failed)}")


def _machine(device: str) -> str:
    card = torch.cuda.get_device_name() if device == "cuda" else "no GPU"
    return f"{card}, torch {torch.__version__}, Python {sys.version.split()[0]}"


def _tests(until: float) -> dict[str, Any]:
    """Test files that have GPU tests: others may need more than the kit brings."""
    files = [str(p) for p in sorted(ROOT.glob("tests/**/test_*.py")) if "mark.gpu" in p.read_text()]
    print("tests …", flush=True)
    # "pytest", not "python -m pytest": the installed lmsaes is tried, not this folder's
    run = [sys.executable, "-c", "import sys, pytest; sys.path.remove(''); sys.exit(pytest.main())"]
    done = _run([*run, "-m", "gpu", "-ra", "-p", "no:cacheprovider", *files], until)
    return {"exit": done.returncode, "output": done.stdout.splitlines()[-40:]}


def _benchmark(name: str, options: list[str], until: float) -> dict[str, Any]:
    print(f"{name} …", flush=True)
    start = time.monotonic()
    done = _run([sys.executable, f"benchmarks/{name}.py", "--json", *options], until)
    if done.returncode:
        return {"error": (done.stderr or done.stdout).splitlines()[-20:]}
    return json.loads(done.stdout.splitlines()[-1]) | {"seconds": time.monotonic() - start}


def _run(command: list[str], until: float) -> "subprocess.CompletedProcess[str]":
    left = until - time.monotonic()
    try:
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=max(left, 1)
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", "no time was left for it")


def table(report: dict[str, Any]) -> str:
    last = (report["tests"]["output"] or ["no output"])[-1]
    lines = [f"{report['machine']}\n", f"Tests: {last}", ""]
    lines += ["| benchmark | what | value | unit | ratio | must |"]
    lines += ["| --- | --- | ---: | --- | ---: | ---: |"]
    for name, each in report["benchmarks"].items():
        if "error" in each:
            why = each["error"][-1] if each["error"] else "it said nothing"
            lines.append(f"| {name} | failed: {why} | | | | |")
        for row in each.get("rows", []):
            value, ratio, must = (_figure(row[key]) for key in ("value", "ratio", "must"))
            lines.append(f"| {name} | {row['what']} | {value} | {row['unit']} | {ratio} | {must} |")
    return "\n".join(lines) + "\n"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    main()
