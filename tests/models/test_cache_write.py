"""Norm, rotation and cache write as one operation: the same as one after the other, and in its slot only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters
from torch.library import opcheck

from shotstream.models.block import CausalWanBlock
from shotstream.models.cache_layout import CacheSlot
from shotstream.models.cache_write import _write, cache_write_error, lacks_kernel
from shotstream.models.float8 import FORMAT

pytestmark = pytest.mark.system

HEADS, SIZE, FRAMES, TOKENS = 2, 16, 3, 4
WIDTH, CAPACITY = HEADS * SIZE, 40


def turns(batch: int = 1) -> torch.Tensor:
    angles = torch.randn(batch, FRAMES, TOKENS, 1, SIZE // 2)
    return torch.stack([angles.cos(), angles.sin()], -1)


def stored(batch: int = 1, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [torch.full((batch, CAPACITY, HEADS, SIZE), 7.0).to(dtype) for _ in range(2)]


def run(block, dtype: torch.dtype, cached: torch.dtype, batch: int = 1, start: int = 8, seed: int = 1):
    """The block's result, and the cache that it wrote."""
    torch.manual_seed(seed)
    x = torch.randn(batch, FRAMES, TOKENS, WIDTH).to(dtype)
    caption = (torch.randn(batch, 1, 5, HEADS, SIZE).to(dtype),) * 2
    cache = stored(batch, cached)
    slot = CacheSlot(*cache, start, start + FRAMES * TOKENS, start + FRAMES * TOKENS, True)
    joint = block.attn1.joint_projections()
    found = block(x, torch.randn(batch, 1, 6, WIDTH), caption, None, turns(), None, slot, joint)
    return found, cache


def make_block(dtype: torch.dtype):
    torch.manual_seed(0)
    block = CausalWanBlock(HEADS, SIZE, 48, True, 1e-6).to(dtype).eval()
    for norm in (block.attn1.norm_q, block.attn1.norm_k):
        torch.nn.init.normal_(norm.weight, 1, 0.3)
    assert block.attn1.join_projections()
    return block


@torch.no_grad()
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    ("dtype", "cached"),
    [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16), (torch.bfloat16, FORMAT)],
)
def test_a_block_gives_the_same_and_writes_the_same_into_its_slot_only(batch, dtype, cached):
    block = make_block(dtype)
    expected, before = run(block, dtype, cached, batch)
    block.attn1.writes_at_once = True
    found, after = run(block, dtype, cached, batch)
    assert torch.equal(found, expected)
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.float(), other.float())
        assert (other[:, :8].float() == 7).all()
        assert (other[:, 8 + FRAMES * TOKENS :].float() == 7).all()


@torch.no_grad()
def test_a_compiled_block_is_one_graph_wherever_the_slot_lies():
    block = make_block(torch.float32)
    block.attn1.writes_at_once = True
    torch.compiler.reset()
    counters.clear()
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    compiled.attn1 = block.attn1
    for start in (0, 12, 24):
        expected, before = run(block, torch.float32, torch.float32, start=start)
        found, after = run(compiled, torch.float32, torch.float32, start=start)
        torch.testing.assert_close(found, expected)
        assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 2  # torch finds by the second that the place changes
    torch._dynamo.reset()


def test_gradients_and_channels_that_are_not_turned_go_the_other_way():
    block = make_block(torch.float32)
    block.attn1.writes_at_once = True
    assert block.attn1.joint_projections() is None, "no joint product under autograd"
    assert block.attn1._can_write_at_once(turns())
    assert not block.attn1._can_write_at_once(turns()[..., :4, :])


def test_compilers_are_told_what_it_changes():
    cache = stored()
    given = (torch.randn(1, 12, 3 * WIDTH), torch.ones(WIDTH), torch.ones(WIDTH), torch.ones(1, 12, SIZE))
    opcheck(_write, (*given, *cache, 4, 1e-6), test_utils=("test_schema", "test_faketensor"))


def test_here_the_operation_is_its_steps():
    for cached in (torch.bfloat16, FORMAT):
        assert cache_write_error(HEADS, SIZE, torch.bfloat16, cached, torch.device("cpu")) == 0


def test_where_there_is_no_kernel_the_reason_is_told():
    assert lacks_kernel(torch.device("cpu")) == "only a GPU has a kernel for it"


INTERPRETED = """
import json, os
os.environ["TRITON_INTERPRET"] = "1"
import torch
from shotstream.models.cache_write import _write
from shotstream.models.cache_write_kernel import launch
from shotstream.models.float8 import FORMAT
torch.manual_seed(0)
heads, size, tokens, capacity, batch, start = 3, 20, 12, 40, 2, 7
width, found = heads * size, []
for dtype, cached in ((torch.float32,) * 2, (torch.bfloat16,) * 2, (torch.bfloat16, FORMAT)):
    qkv = (3 * torch.randn(batch, tokens, 3 * width)).to(dtype)
    qkv[0, 0, -1] = 1000  # beyond the 8-bit format
    norms = [(1 + 0.1 * torch.randn(width)).to(dtype) for _ in range(2)]
    angles = torch.randn(batch, tokens, size // 2)
    turns = torch.stack([angles.cos(), angles.sin()], -1).flatten(-2)
    results = []
    for write in (_write, launch):
        caches = [torch.full((batch, capacity, heads, size), 7.0).to(cached) for _ in range(2)]
        results.append((write(qkv, *norms, turns, *caches, start, 1e-6), *caches))
    errors = [((b.float() - a.float()).norm() / a.float().norm()).item() for a, b in zip(*results)]
    outside = [torch.cat([x[:, :start], x[:, start + tokens :]], 1).float() for x in results[1][1:]]
    found.append([*errors, all((x == 7).all().item() for x in outside)])
print(json.dumps(found))
"""


def test_the_kernel_under_triton_s_interpreter():
    """The interpreter cuts numbers to fewer bits where a GPU rounds them."""
    pytest.importorskip("triton", reason="needs Triton: an environment with torch for CUDA has it")
    errors = json.loads(python(INTERPRETED))
    for limit, (*of_tensors, slot_only) in zip((1e-6, 0.01, 0.1), errors, strict=True):
        assert max(of_tensors) < limit
        assert slot_only


BUILT = """
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from shotstream.models.cache_write_kernel import constants, write_kernel
names = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float8_e4m3fn: "*fp8e4nv"}
for dtype, cached in ((torch.bfloat16,) * 2, (torch.bfloat16, torch.float8_e4m3fn), (torch.float32,) * 2):
    kinds = dict.fromkeys(("qkv", "norm_q", "norm_k", "query"), names[dtype])
    kinds |= {"turns": "*fp32", "keys": names[cached], "values": names[cached], "eps": "fp32"}
    kinds |= dict.fromkeys(("start", "tokens", "key_stride", "value_stride"), "i32")
    built_for = constants(1536, 128, cached)
    kinds |= dict.fromkeys(built_for, "constexpr")
    signature = {name: kinds[name] for name in write_kernel.arg_names}
    places = {(write_kernel.arg_names.index(name),): value for name, value in built_for.items()}
    built = triton.compile(ASTSource(write_kernel, signature, places), target=GPUTarget("cuda", 90, 32))
    print(len(built.asm["cubin"]), built.metadata.shared)
"""


def test_the_kernel_builds_for_sm_90_without_a_gpu():
    pytest.importorskip("triton", reason="needs Triton: an environment with torch for CUDA has it")
    sizes = [line.split() for line in python(BUILT).splitlines()]
    assert len(sizes) == 3
    assert all(int(cubin) > 1000 for cubin, _ in sizes)


def python(code: str) -> str:
    """What a process of its own prints: the interpreter is chosen when Triton is imported."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    folder = Path(__file__).parents[2]
    # Triton reads a kernel's source from its file
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
