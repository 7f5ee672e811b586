from __future__ import annotations

import pytest
import torch
from torch._dynamo.utils import counters
from torch.library import opcheck
from torch.nn.functional import rms_norm, scaled_dot_product_attention

from shotstream.models.attention_float8 import _attention, attend_float8
from shotstream.models.block import CausalWanBlock
from shotstream.models.cache_layout import CacheSlot
from shotstream.models.float8 import FORMAT

pytestmark = pytest.mark.system


def draw(tokens: int, seen: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries in bfloat16; keys and values in 8 bits, the first of two caches that hold more."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, count, 2, 16, generator=generator) for count in (tokens, seen + 5, seen + 5)
    )
    stored = [part.to(FORMAT) for part in (rms_norm(key, (16,)), value)]
    return (rms_norm(query, (16,)).bfloat16(), *(part[:, :seen] for part in stored))


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    wide = [part.double().transpose(1, 2) for part in (query, key, value)]
    return scaled_dot_product_attention(*wide).transpose(1, 2)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found.double() - expected).norm() / expected.norm()).item()


def test_it_is_attention_but_for_rounding():
    query, key, value = draw(12, 60)
    found = attend_float8(query, key, value)
    assert (found.shape, found.dtype) == (query.shape, torch.bfloat16)
    assert found.is_contiguous()
    assert relative_error(found, attend(query, key, value)) < 0.06


@pytest.mark.parametrize("size", [2.0**-6, 1.0, 100.0])
def test_the_size_of_values_costs_no_precision(size: float):
    query, key, value = draw(12, 60)
    value = (value.float().sign() * size).to(FORMAT)  # means of these are far smaller than they are
    assert relative_error(attend_float8(query, key, value), attend(query, key, value)) < 0.06


def test_the_largest_numbers_of_the_format_stay_finite():
    query, key, value = draw(12, 60)
    value = torch.full_like(value, 448)
    found = attend_float8(query * 1000, key, value)
    torch.testing.assert_close(found, torch.full_like(found, 448), atol=0, rtol=0.07)


def test_values_of_zero_give_zero():
    query, key, value = draw(12, 60)
    assert not attend_float8(query, key, torch.zeros_like(value)).any()


def test_compilers_are_told_what_it_gives():
    query, key, value = draw(12, 60)
    given = (query.to(FORMAT), key, value, torch.ones(1, 1, 1, 1))
    opcheck(_attention, given, test_utils=("test_faketensor",))


@torch.no_grad()
def test_a_block_on_an_eight_bit_cache_is_one_graph():
    torch.manual_seed(0)
    torch.compiler.reset()
    counters.clear()
    block = CausalWanBlock(2, 16, 48, True, 1e-6).bfloat16().eval()
    block.attn1.float8 = True
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    caches = [[torch.zeros(1, 18 * 4, 2, 16).to(FORMAT) for _ in range(2)] for _ in range(3)]
    for frames, start in ((6, 0), (3, 6), (3, 9), (3, 12)):
        x = torch.randn(1, frames, 4, 32).bfloat16()
        caption = (torch.randn(1, 1, 5, 2, 16).bfloat16(),) * 2
        turns = torch.ones(1, frames, 4, 1, 8, 2) * 0.5**0.5
        place = (start * 4, (start + frames) * 4, (start + frames) * 4, True)
        given = (x, torch.randn(1, 1, 6, 32), caption, None, turns, None)
        found, expected = (
            run(*given, CacheSlot(*cache, *place))
            for run, cache in zip((compiled, block), caches, strict=False)
        )
        assert relative_error(found, expected.double()) < 0.02
        block.attn1.float8 = False
        wide = block(*given, CacheSlot(*caches[2], *place))
        block.attn1.float8 = True
        assert 0 < relative_error(found, wide.double()) < 0.1
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 2  # the context, and chunks wherever they lie
    torch._dynamo.reset()
