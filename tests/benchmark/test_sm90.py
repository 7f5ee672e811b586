"""What compiling gives an H100, as it was built without one; and that nobody needs one to be told why not."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

import shotstream

pytestmark = pytest.mark.system

BENCHMARKS = Path(shotstream.__file__).parents[2] / "benchmarks"
LAYERS = 30


def chunk_graph(part: str) -> dict[str, int]:
    """The plan of what is run for every chunk."""
    record = json.loads((BENCHMARKS / "results" / "sm90_code.json").read_text())
    return next(graph for graph in record["graphs"][part] if graph["graph"] == "chunk")


def test_a_decoded_chunk_moves_little():
    eager = json.loads((BENCHMARKS / "baselines" / "work-wan-1.3b-480x832.json").read_text())
    compiled = chunk_graph("compiled and fast: the decoder")
    assert eager["chunk, diffusers' way"]["light"]["bytes"] > 300e9
    assert compiled["light_bytes"] < 110e9
    assert compiled["light_kernels"] + compiled["other_kernels"] < 200


@pytest.mark.parametrize(
    "part", ["a block", "a block, layers in 8 bits", "a block, layers and attention in 8 bits"]
)
def test_compiled_blocks_copy_no_keys_and_values_and_move_little(part: str):
    block = chunk_graph(f"{'fast' if '8 bits' in part else 'compiled'}: {part}")
    eager = json.loads((BENCHMARKS / "baselines" / "work-wan-1.3b-480x832.json").read_text())
    assert LAYERS * block["light_bytes"] < eager["pass that sees 27 frames"]["light"]["bytes"] / 4
    whole = part == "a block, layers and attention in 8 bits"
    assert block["light_kernels_reading_the_cache"] == (
        2 if whole else 0
    )  # 8-bit values: their mean, centred


def test_one_kernel_for_the_cache_moves_less_and_copies_nothing():
    before, after = (
        chunk_graph(f"compiled: a block{part}") for part in ("", ", cache written by one kernel")
    )
    tokens, width, heads = 3 * 1560, 1536, 128
    moved = tokens * (3 * width + width + 2 * width) * 2 + tokens * heads * 4  # qkv, queries, cache; turns
    assert after["light_bytes"] + moved < before["light_bytes"] - 90e6
    assert after["light_kernels"] == before["light_kernels"] - 3
    assert after["light_kernels_reading_the_cache"] == 0


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch is built for CUDA")
def test_a_torch_for_cpus_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(
        RuntimeError, match=r"was not built for CUDA .* make an environment with torch's CUDA"
    ):
        runpy.run_path(str(BENCHMARKS / "compile_for_sm90.py"), run_name="__main__")
