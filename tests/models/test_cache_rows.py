from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from shotstream.models.cache import DualCache
from shotstream.models.cache_rows import CacheRows
from shotstream.models.transformer import CausalWanTransformer3DModel

pytestmark = pytest.mark.cpu


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def told(model: CausalWanTransformer3DModel, chunks: int) -> DualCache:
    """The cache of a shot at its next chunk; no context if it is at its first."""
    cache = model.new_cache(batch=1, tokens_per_frame=2, window_chunks=3, sink_chunks=1)
    caption = model.encode_captions(random(1, 1, 5, 12, seed=chunks))
    if chunks:
        cache.fill_context(2)
        model(random(1, 2, 4, 2, 4, seed=chunks), torch.zeros(1), caption, shot_index=0, cache=cache)
    for chunk in range(chunks):
        cache.begin_chunk()
        model(random(1, 3, 4, 2, 4, seed=chunk), torch.zeros(1), caption, shot_index=chunks, cache=cache)
        cache.commit()
    cache.begin_chunk()
    return cache


@torch.no_grad()
def test_a_shared_pass_writes_and_predicts_as_each_alone(transformer) -> None:
    """Shots at their first chunk, in the window and beyond it."""
    places, step = (0, 1, 5), torch.tensor([500.0])
    caches, alone = ([told(transformer, place) for place in places] for _ in range(2))
    latents, text = random(3, 3, 4, 2, 4, seed=7), random(3, 1, 5, 12, seed=8)
    rows = CacheRows(caches)
    assert rows.first_frame == (0, 5, 17)
    flow = transformer(latents, step, text, shot_index=[1, 2, 3], cache=rows).sample
    for row, (cache, other) in enumerate(zip(caches, alone, strict=True)):
        own = slice(row, row + 1)
        expected = transformer(latents[own], step, text[own], shot_index=row + 1, cache=other).sample
        assert torch.allclose(flow[own], expected, atol=1e-5)
        for stored, expected in zip(cache.stored(1), other.stored(1), strict=True):
            assert torch.allclose(stored, expected, atol=1e-5)


@torch.no_grad()
def test_a_shared_pass_compiles_as_one_graph(transformer) -> None:
    counter = CompileCounter()
    for block in transformer.blocks:
        block.compile(backend=counter, fullgraph=True)
    rows = CacheRows([told(transformer, 1), told(transformer, 2)])
    before = counter.frame_count
    text = random(2, 1, 5, 12, seed=8)
    transformer(random(2, 3, 4, 2, 4, seed=7), torch.ones(1), text, shot_index=[1, 2], cache=rows)
    assert counter.frame_count == before + 1


def test_rows_must_fit_one_another(transformer) -> None:
    def cache(batch: int, tokens: int) -> DualCache:
        return transformer.new_cache(batch=batch, tokens_per_frame=tokens)

    for other in (cache(1, 3), cache(2, 2)):
        with pytest.raises(
            ValueError, match=r"cannot share a pass; join those of batch 1 and of one picture"
        ):
            CacheRows([cache(1, 2), other])
    rows = CacheRows([cache(1, 2), cache(1, 2)])
    rows.begin_chunk(3)
    rows.caches[1].begin_chunk(2)
    with pytest.raises(ValueError, match="the cache expects a pass over 0 latent frames but got 3"):
        transformer(torch.zeros(2, 3, 4, 2, 4), torch.ones(1), torch.zeros(2, 1, 5, 12), cache=rows)
