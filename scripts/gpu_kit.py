"""Gathers the wheels that a CUDA machine without a network lacks, in one folder (`make gpu-kit`).

    python scripts/gpu_kit.py [--out gpu-kit] [--python 3.12]

What lmsaes needs is read from the metadata of this environment, so that versions are those of
constraints.txt; what the machine has already is listed in gpu_machine.txt. `gpu_check.sh` installs
the wheels there.
"""

import argparse
import shutil
import subprocess
import sys
from importlib.metadata import requires as requirements_of
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LIMIT = 60 * 2**20
HERE = Path(__file__).parent
GLIBC = ["2_34", "2_28", "2_27", "2_24", "2_17"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-kit"))
    parser.add_argument("--python", default="3.12", help="Python of the CUDA machine")
    arguments = parser.parse_args()
    out: Path = arguments.out
    pins = missing(arguments.python)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    _fetch(pins, out, arguments.python)
    size = sum(wheel.stat().st_size for wheel in out.iterdir())
    if size > LIMIT:
        sys.exit(f"error: the kit takes {size / 2**20:.0f} MiB, more than {LIMIT // 2**20}")
    print(f"{len(pins)} wheels, {size / 2**20:.0f} MiB, in {out}")
    print("next, on the CUDA machine, beside this folder: scripts/gpu_check.sh")


def missing(python: str) -> list[str]:
    """`name==version` of everything that lmsaes needs there and the machine lacks."""
    lines = (HERE / "gpu_machine.txt").read_text().splitlines()
    passed = {canonicalize_name(x) for x in lines if x and not x.startswith("#")}
    machine = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }
    pins: list[str] = []
    waiting = [Requirement("lmsaes"), Requirement("setuptools"), Requirement("allpairspy")]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in passed:
            continue
        passed.add(name)
        if name != "lmsaes":
            pins.append(f"{name}=={version(name)}")
        for line in requirements_of(name) or []:
            need = Requirement(line)
            asked = [machine | {"extra": extra} for extra in ("", *wanted.extras)]
            if need.marker is None or any(need.marker.evaluate(each) for each in asked):
                waiting.append(need)
    return sorted(pins)


def _fetch(pins: list[str], out: Path, python: str) -> None:
    platforms = [f"manylinux_{each}_x86_64" for each in GLIBC]
    platforms += ["manylinux2014_x86_64", "manylinux1_x86_64"]
    there = [f"--python-version={python}", "--implementation=cp"]
    there += [f"--platform={each}" for each in platforms]
    _pip("download", "--no-deps", "--prefer-binary", *there, f"--dest={out}", *pins)
    # What is published without a wheel becomes one here, which serves there if it is plain Python.
    for source in out.glob("*.tar.gz"):
        _pip("wheel", "--no-deps", f"--wheel-dir={out}", str(source))
        source.unlink()
    compiled = [each.name for each in out.glob("*-linux_*.whl")]
    if compiled:
        sys.exit(f"error: compiled for this machine's Python: {', '.join(compiled)}")


def _pip(command: str, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [x for x in done.stderr.splitlines() if x.startswith("ERROR")]
        sys.exit(f"error: pip {command} failed: {errors[-1] if errors else done.stderr}")


if __name__ == "__main__":
    main()
