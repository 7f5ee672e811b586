#!/usr/bin/env bash
# The speed table on this machine's GPU, in one run and without network: exact and fast mode, and fast mode shown by
# the tiny decoder, on random weights of Wan 2.1 T2V 1.3B's size, 5 shots at 480x832, from prompt to decoded frames.
#
#   benchmarks/gpu_table.sh [--tiny] [WHEELS]
#
# WHEELS is a folder of wheels that packages missing here are installed from (into a folder of their own, which
# goes away again). --tiny runs on the CPU at tiny size, in seconds: it only shows that the script works.
# Results: table.txt and one JSON per run, in $OUT (default: out/gpu_table). MODES (default: "exact fast live").
# Each of the four runs may take 120 seconds. The exit status is 1 if any of them failed; the others are still made.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
out=${OUT:-$here/out/gpu_table}
modes=${MODES:-exact fast live}
case=(--random wan-1.3b --height 480 --width 832 --device cuda --dtype bfloat16)
if [ "${1:-}" = --tiny ]; then
    case=(--random tiny --device cpu)
    shift
fi
wheels=${1:-}
export PYTHONPATH="$here/src${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1 COLUMNS=120
python=${PYTHON:-python3}

needed="diffusers pydantic rich safetensors tokenizers transformers typer yaml"
if ! "$python" -c "import sys; from importlib.util import find_spec; sys.exit(not all(map(find_spec, sys.argv[1:])))" \
    $needed; then
    if [ -z "$wheels" ]; then
        echo "some of these packages are missing here: $needed; give a folder of wheels: benchmarks/gpu_table.sh WHEELS" >&2
        exit 1
    fi
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install --quiet --no-index --no-deps --target "$site" "$wheels"/*.whl || exit 1
    export PYTHONPATH="$PYTHONPATH:$site"
fi

mkdir -p "$out"
: > "$out/table.txt"
failed=0
bench() {  # name, further options
    echo "== $1" | tee -a "$out/table.txt"
    timeout 120 "$python" -c "from shotstream.cli.main import app; app()" bench "${case[@]}" --shots 5 \
        -o "$out/$1.json" "${@:2}" 2>&1 | tee -a "$out/table.txt" || failed=1
}
for mode in $modes; do
    case $mode in
        live) bench live --mode fast --decoder tiny ;;
        *) bench "$mode" --mode "$mode" ;;
    esac
done
bench transformer --mode plain --loop --watch
exit $failed
