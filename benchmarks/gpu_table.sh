#!/usr/bin/env bash
# The speed table on this machine's GPU, in one run and without network: compiled and fast mode, and fast mode shown by
# the tiny decoder, on random weights of Wan 2.1 T2V 1.3B's size at 480x832, from prompt to decoded frames.
#
#   benchmarks/gpu_table.sh [--tiny] [WHEELS]
#
# WHEELS is a folder of wheels that packages missing here are installed from (into a folder of their own, which
# goes away again); benchmarks/travel.py makes one. --tiny runs on the CPU at tiny size, in seconds: it only shows
# that the script works. Results: table.txt and one JSON per run, in $OUT (default: out/gpu_table).
#
# MODES   which runs, in this order (default: "transformer compiled live fast")
# SHOTS   of the story that counts (default: 3)
# LIMIT   seconds that a run may take (default: 240)
# BUDGET  seconds for all of them (default: 540); what no longer fits is left out
#
# A run that is stopped leaves in its JSON what it had measured. The exit status is 1 if any run failed, was
# stopped or was left out; the others are still made. What is compiled stays in TORCHINDUCTOR_CACHE_DIR.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
out=${OUT:-$here/out/gpu_table}
modes=${MODES:-transformer compiled live fast}
case=(--random wan-1.3b --height 480 --width 832 --device cuda --dtype bfloat16)
if [ "${1:-}" = --tiny ]; then
    case=(--random tiny --device cpu)
    shift
fi
wheels=${1:-}
export PYTHONPATH="$here/src${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1 COLUMNS=120
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-${TMPDIR:-/tmp}/shotstream-compiled}
python=${PYTHON:-python3}
SECONDS=0

needed="diffusers pydantic rich safetensors tokenizers transformers typer yaml"
if ! "$python" -c "import sys; from importlib.util import find_spec; sys.exit(not all(map(find_spec, sys.argv[1:])))" \
    $needed; then
    if [ -z "$wheels" ]; then
        echo "some of these packages are missing here: $needed; give a folder of wheels: benchmarks/gpu_table.sh WHEELS" >&2
        exit 1
    fi
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" \
        "$wheels"/*.whl || exit 1
    export PYTHONPATH="$PYTHONPATH:$site"
fi
if [ -f "$wheels/commit.txt" ]; then
    export SHOTSTREAM_COMMIT=${SHOTSTREAM_COMMIT:-$(cat "$wheels/commit.txt")}
fi

mkdir -p "$out"
: > "$out/table.txt"
failed=0
bench() {  # name, further options
    local left=$((${BUDGET:-540} - SECONDS)) limit=${LIMIT:-240}
    if [ "$left" -lt 10 ]; then
        echo "== $1: left out, $left s are left" | tee -a "$out/table.txt"
        failed=1
        return
    fi
    if [ "$left" -lt "$limit" ]; then limit=$left; fi
    echo "== $1, at most $limit s" | tee -a "$out/table.txt"
    timeout --kill-after=10 "$limit" "$python" -c "from shotstream.cli.main import app; app()" bench "${case[@]}" \
        --shots "${SHOTS:-3}" -o "$out/$1.json" "${@:2}" 2>&1 | tee -a "$out/table.txt"
    local status=${PIPESTATUS[0]}
    if [ "$status" -ne 0 ]; then
        echo "== $1 ended with status $status (124 and 137: stopped)" | tee -a "$out/table.txt"
        failed=1
    fi
}
for mode in $modes; do
    case $mode in
        transformer) bench transformer --mode plain --loop --watch ;;
        live) bench live --mode fast --decoder tiny ;;
        *) bench "$mode" --mode "$mode" ;;
    esac
done
exit $failed
