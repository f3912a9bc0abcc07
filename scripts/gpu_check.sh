#!/usr/bin/env bash
# Runs the GPU's tests and the GPU rows of the benchmarks, on a machine with CUDA and no network.
#
#   scripts/gpu_check.sh [KIT] [OUT]     KIT is what `make gpu-kit` made (gpu-kit); figures go to
#                                        OUT/gpu.json and OUT/gpu.md (gpu-check)
#
# Everything is installed into a temporary folder, which goes when it ends. PYTHON names the
# interpreter; further arguments after KIT and OUT are gpu_check.py's.
set -euo pipefail
cd "$(dirname "$0")/.."
kit=${1:-gpu-kit} out=${2:-gpu-check} python=${PYTHON:-python3}
[ -d "$kit" ] || { echo "error: there is no kit at $kit: run make gpu-kit where there is a network"; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install() {
    PYTHONPATH=$work/site "$python" -m pip install --quiet --disable-pip-version-check \
        --no-index --no-deps --no-build-isolation --no-compile --upgrade --target "$work/site" "$@"
}
install "$kit"/*.whl
# a copy is built, so that nothing is left in this tree
mkdir "$work/tree"
cp -R lmsaes cli cache_tools server pyproject.toml README.md LICENSE "$work/tree"
install "$work/tree"

mkdir -p "$out"
export PYTHONPATH=$work/site PYTHONDONTWRITEBYTECODE=1 TMPDIR=$work
export TRITON_CACHE_DIR=$work/triton TORCHINDUCTOR_CACHE_DIR=$work/inductor
"$python" scripts/gpu_check.py --out "$out" "${@:3}"
