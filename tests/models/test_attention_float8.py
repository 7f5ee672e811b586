"""8-bit attention: attention but for rounding, wherever values lie and whatever their mean is."""

from __future__ import annotations

from math import nan

import pytest
import torch
from torch._dynamo.utils import counters
from torch.library import opcheck
from torch.nn.functional import rms_norm, scaled_dot_product_attention

from shotstream.machine.attention_choice import use_float8_attention
from shotstream.models.attention_float8 import _attention, attend_float8, centre
from shotstream.models.block import CausalWanBlock
from shotstream.models.cache_layout import CacheSlot
from shotstream.models.float8 import FORMAT

from .conftest import tiny_transformer

pytestmark = pytest.mark.system

LIMIT = 0.07
"""Of the error that rounding may make, that of centred values among it."""


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
    assert relative_error(found, attend(query, key, value)) < LIMIT


def test_centring_by_itself_changes_nothing():
    query, key, value = (part.double() for part in draw(12, 60))
    value = 0.01 * value + torch.linspace(-300, 300, 32).view(2, 16).double()
    centred, unit, mean = centre(value)
    assert centred.mean(1).abs().max() < 1e-6
    assert centred.abs().amax(1).flatten().tolist() == pytest.approx([256.0] * 32)
    restored = attend(query, key, centred) * unit + mean
    torch.testing.assert_close(restored, attend(query, key, value), atol=1e-9, rtol=1e-12)


def test_the_mean_of_values_costs_no_precision():
    query, key, value = draw(12, 60)
    mean = 16 * value.float()[:, :1].sign()
    shifted = 2 * value.float().round().clamp(-1, 1) + mean  # exact in 8 bits
    spread = attend(query, key, shifted) - mean
    found = attend_float8(query.float(), key, shifted.to(FORMAT)) - mean
    assert relative_error(found, spread) < LIMIT


@pytest.mark.parametrize("size", [2.0**-6, 1.0, 100.0])
def test_the_size_of_values_costs_no_precision(size: float):
    query, key, value = draw(12, 60)
    value = (value.float().sign() * size).to(FORMAT)  # means of these are far smaller than they are
    assert relative_error(attend_float8(query, key, value), attend(query, key, value)) < LIMIT


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
    given = (query.to(FORMAT), key, value)
    opcheck(_attention, given, test_utils=("test_faketensor",))


class Shots:
    """Passes of a tiny model that attends in 8 bits, through a cache of two chunks."""

    def __init__(self, poison: float = 0.0) -> None:
        torch.manual_seed(0)
        self._model = tiny_transformer(window_chunks=2, chunk_frames=1)
        use_float8_attention(self._model)
        self.cache = self._model.new_cache(batch=1, tokens_per_frame=4, context_frames=2, dtype=FORMAT)
        for part in (self.cache._keys, self.cache._values):
            part.copy_(torch.full(part.shape, poison).to(FORMAT))
        self._captions = self._model.encode_captions(torch.randn(1, 1, 5, 12))

    @torch.no_grad()
    def run(self, seed: int, frames: int) -> torch.Tensor:
        latents = torch.randn(1, frames, 4, 4, 4, generator=torch.Generator().manual_seed(seed))
        given = {"shot_index": 1, "cache": self.cache}
        return self._model(latents, torch.full((1,), 500.0), self._captions, **given).sample

    def open(self) -> None:
        self.cache.open_shot()
        self.cache.fill_context(2)
        self.run(1, 2)

    def chunks(self, *seeds: int) -> torch.Tensor:
        flows = []
        for seed in seeds:
            self.cache.begin_chunk()
            flows.append(self.run(seed, 1))
            self.cache.commit()
        return torch.cat(flows, 1)


def test_what_was_never_written_is_not_read():
    shots = [Shots(poison) for poison in (0.0, nan)]
    for one in shots:
        one.open()
    flows = [one.chunks(2, 3) for one in shots]
    assert torch.equal(*flows)


def test_a_window_that_slides_goes_on_bit_for_bit_from_its_state():
    told, restored = Shots(), Shots(nan)
    told.open()
    told.chunks(2, 3, 4)  # the window has slid, keys of the context are turned
    state = told.cache.state_dict()
    expected = told.chunks(5, 6)
    restored.cache.load_state_dict(state)
    assert torch.equal(restored.chunks(5, 6), expected)


def test_means_follow_the_window():
    """A shot after another one is as it is alone: nothing of the former's values is left in its means."""
    alone, after = Shots(), Shots()
    after.open()
    after.chunks(7, 8, 9)
    for one in (alone, after):
        one.open()
    assert torch.equal(alone.chunks(2, 3, 4), after.chunks(2, 3, 4))


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
