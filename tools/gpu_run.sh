#!/usr/bin/env bash
# Tests, timings and training in one call on a bare machine with an Nvidia GPU and no network.
#
#   tools/gpu_run.sh prepare DATA          on a machine with a network: fill .gpu/
#   tools/gpu_run.sh --out FOLDER          on the machine with the GPU: see tools/gpu_run.py --help
#
# .gpu/ holds what the bare machine lacks: wheels and the packed anatomy. Copy it with the checkout;
# together they stay below 60 MiB. To go on from an earlier call, copy its state.pt to .gpu/.
set -euo pipefail
cd "$(dirname "$0")/.."

# Python and PyTorch come from the machine; only pure Python packages are carried.
WHEELS=(monai nibabel pytorch-ignite fire termcolor)

if [ "${1:-}" = prepare ]; then
    python="${PYTHON:-python3}"
    mkdir -p .gpu/wheels
    "$python" -m pip download -q --no-deps --only-binary=:all: -d .gpu/wheels -c constraints.txt "${WHEELS[@]}"
    PYTHONPATH="$PWD:$PWD/tools" "$python" -m compact.anatomy "$2" --out .gpu/anatomy.npz
    du -sh .gpu
    exit
fi

site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if compgen -G ".gpu/wheels/*.whl" > /dev/null; then
    python3 -m pip install -q --no-index --no-deps --no-compile --target "$site" .gpu/wheels/*.whl
fi
PYTHONPATH="$PWD:$PWD/tools:$site" PYTHONUNBUFFERED=1 "${PYTHON:-python3}" tools/gpu_run.py "$@"
