"""The laws of the dual cache."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from shotstream.models.transformer import CausalWanTransformer3DModel

from ..models.conftest import tiny_transformer

pytestmark = pytest.mark.law

C, TEXT = 4, 12
CLEAN = 0.0


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Teller:
    """Tells shots of random latents through a model and its cache; captions are one per shot."""

    def __init__(self, model: CausalWanTransformer3DModel, batch: int, height: int, width: int, **cache):
        self.model, self.batch = model, batch
        self.tokens = height * width // 4
        self.cache = model.new_cache(batch=batch, tokens_per_frame=self.tokens, **cache)
        self.captions = model.encode_captions(random(batch, 3, 5, TEXT, seed=1))

    @torch.no_grad()
    def run(self, latents: Tensor, timestep: float, index: Tensor) -> Tensor:
        time = torch.full((self.batch,), timestep)
        arguments = {"shot_index": index, "caption_index": index, "cache": self.cache}
        return self.model(latents, time, self.captions, **arguments).sample

    def context(self, latents: Tensor, index: Tensor) -> None:
        self.cache.fill_context(latents.shape[1])
        if latents.shape[1]:
            self.run(latents, CLEAN, index)

    def chunk(self, noisy: Tensor, clean: Tensor, timestep: float) -> Tensor:
        """Denoise once, then commit the clean chunk; return the denoising pass's flow."""
        index = torch.full((clean.shape[1],), 2)
        self.cache.begin_chunk(clean.shape[1])
        self.run(noisy + 1, 1000.0, index)  # an earlier step, whose keys and values must leave no trace
        flow = self.run(noisy, timestep, index)
        self.run(clean, CLEAN, index)
        self.cache.commit()
        return flow

    @torch.no_grad()
    def uncached(
        self, latents: Tensor, timestep: Tensor, index: Tensor, context: int, first: int = 0
    ) -> Tensor:
        return self.model(
            latents,
            timestep.expand(self.batch, -1),
            self.captions,
            shot_index=index,
            caption_index=index,
            context_frames=context,
            first_frame=first,
        ).sample


sizes = {
    "batch": st.integers(1, 2),
    "heads": st.integers(1, 3),
    "context": st.integers(0, 6),
    "chunk_frames": st.integers(1, 3),
    "height": st.sampled_from([2, 4]),
    "width": st.sampled_from([2, 6]),
}


def split_index(context: int, frames: int) -> Tensor:
    """Half of the context belongs to shot 0, the rest to shot 1; the running shot is shot 2."""
    return torch.tensor([0] * (context // 2) + [1] * (context - context // 2) + [2] * frames)


@settings(max_examples=30, deadline=None)
@given(chunks=st.integers(1, 4), shots=st.integers(1, 2), **sizes)
def test_streaming_through_the_cache_is_one_block_causal_forward(
    chunks: int, shots: int, batch: int, heads: int, context: int, chunk_frames: int, height: int, width: int
):
    model = tiny_transformer(num_attention_heads=heads, chunk_frames=chunk_frames, window_chunks=chunks)
    teller = Teller(model, batch, height, width)
    frames = chunks * chunk_frames
    for shot in range(shots):
        before, clean, noise = (
            random(batch, count, C, height, width, seed=10 * shot + seed)
            for seed, count in ((2, context), (3, frames), (4, frames))
        )
        index = split_index(context, frames)
        teller.cache.open_shot()
        teller.context(before, index[:context])
        for number in range(chunks):
            own = slice(number * chunk_frames, (number + 1) * chunk_frames)
            flow = teller.chunk(noise[:, own], clean[:, own], 700.0)
            whole = torch.cat([before, clean], 1)[:, : context + own.stop].clone()
            whole[:, context + own.start :] = noise[:, own]
            timestep = torch.zeros(whole.shape[1])
            timestep[context + own.start :] = 700.0
            expected = teller.uncached(whole, timestep, index[: whole.shape[1]], context)
            torch.testing.assert_close(flow, expected[:, context + own.start :], atol=1e-5, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    window=st.integers(1, 3),
    sink=st.integers(0, 2),
    lengths=st.lists(st.integers(1, 3), min_size=1, max_size=8),
    **sizes,
)
def test_sliding_equals_attending_to_what_is_left_at_trained_distances(
    window: int,
    sink: int,
    lengths: list[int],
    batch: int,
    heads: int,
    context: int,
    chunk_frames: int,
    height,
    width,
):
    """One layer: deeper ones remember chunks that have left. Chunks may be of any length."""
    sink = min(sink, window - 1)
    model = tiny_transformer(
        num_layers=1,
        num_attention_heads=heads,
        chunk_frames=chunk_frames,
        window_chunks=window,
        sink_chunks=sink,
    )
    teller = Teller(model, batch, height, width)
    before = random(batch, context, C, height, width, seed=2)
    teller.context(before, split_index(context, 0))
    kept: list[Tensor] = []
    for number, length in enumerate(min(length, chunk_frames) for length in lengths):
        noise, clean = random(2, batch, length, C, height, width, seed=3 + number)
        position = teller.cache.first_frame
        flow = teller.chunk(noise, clean, 700.0)
        while sum(chunk.shape[1] for chunk in kept) + length > window * chunk_frames:
            del kept[sink]
        left = torch.cat([before, *kept], 1)
        whole = torch.cat([left, noise], 1)
        timestep = torch.tensor([0.0] * left.shape[1] + [700.0] * length)
        index = split_index(context, whole.shape[1] - context)
        # Bidirectional will do: in one layer, keys do not depend on what their own frames saw.
        expected = model(
            whole,
            timestep.expand(batch, -1),
            teller.captions,
            shot_index=index,
            caption_index=index,
            first_frame=position - left.shape[1],
        ).sample
        torch.testing.assert_close(flow, expected[:, left.shape[1] :], atol=1e-4, rtol=1e-4)
        kept.append(clean)
        assert teller.cache.local_frames == sum(chunk.shape[1] for chunk in kept)


def told(window: int = 2, sink: int = 1, chunks: int = 4) -> Teller:
    model = tiny_transformer(window_chunks=window, sink_chunks=sink)
    teller = Teller(model, 1, 2, 4)
    teller.context(random(1, 6, C, 2, 4, seed=2), split_index(6, 0))
    for number in range(chunks):
        teller.chunk(*random(2, 1, 3, C, 2, 4, seed=number), 700.0)
    return teller


def test_nothing_is_allocated_after_the_first_shot():
    teller = told(chunks=0)
    keys, values = (part.untyped_storage().data_ptr() for part in teller.cache.stored(0))
    for shot in range(2):
        teller.cache.open_shot()
        teller.context(random(1, 6, C, 2, 4, seed=shot), split_index(6, 0))
        for number in range(5):
            teller.chunk(*random(2, 1, 3, C, 2, 4, seed=number), 700.0)
            stored = teller.cache.stored(0)
            assert [part.untyped_storage().data_ptr() for part in stored] == [keys, values]


@given(before=st.integers(0, 5), after=st.integers(1, 4), running=st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_restored_state_goes_on_bit_for_bit(before: int, after: int, running: bool):
    teller, other = told(chunks=before), told(chunks=1)
    if running:
        teller.cache.begin_chunk()
        teller.run(random(1, 3, C, 2, 4, seed=50), 700.0, torch.full((3,), 2))
    state = teller.cache.state_dict()
    state["layout"] = json.loads(json.dumps(state["layout"]))
    other.cache.load_state_dict(state)
    for number in range(after):
        noise, clean = random(2, 1, 3, C, 2, 4, seed=100 + number)
        assert torch.equal(teller.chunk(noise, clean, 700.0), other.chunk(noise, clean, 700.0))


@given(chunks=st.integers(1, 5), sink=st.integers(0, 1))
@settings(max_examples=10, deadline=None)
def test_a_window_made_again_after_clear_local_changes_nothing(chunks: int, sink: int):
    """With one layer, so that chunks which have left do not matter."""
    model = tiny_transformer(num_layers=1, window_chunks=3, sink_chunks=sink)
    teller = Teller(model, 1, 2, 4)
    teller.context(random(1, 6, C, 2, 4, seed=2), split_index(6, 0))
    clean = [random(1, 3, C, 2, 4, seed=number) for number in range(chunks + 1)]
    for chunk in clean[:chunks]:
        teller.chunk(chunk, chunk, 700.0)
    state, position = teller.cache.state_dict(), teller.cache.first_frame
    expected = teller.chunk(clean[-1], clean[-1], 700.0)

    teller.cache.load_state_dict(state)
    teller.cache.clear_local()
    window = [*clean[: min(sink, chunks)], *clean[max(min(sink, chunks), chunks - 3 + sink) : chunks]]
    for chunk in window:
        teller.chunk(chunk, chunk, 700.0)
    assert teller.cache.first_frame == position
    torch.testing.assert_close(teller.chunk(clean[-1], clean[-1], 700.0), expected, atol=1e-5, rtol=1e-5)


def test_gradients_flow_through_the_running_chunk_only():
    teller, index = told(chunks=2), torch.full((3,), 2)
    teller.cache.begin_chunk()
    stored = [part.clone() for part in teller.cache.stored(1)]
    noise = random(1, 3, C, 2, 4, seed=9)
    expected = teller.run(noise, 700.0, index)
    for part, before in zip(teller.cache.stored(1), stored, strict=True):
        part.copy_(before)
    own = noise.clone().requires_grad_()
    flow = teller.model(
        own, torch.tensor([700.0]), teller.captions, shot_index=index, caption_index=index, cache=teller.cache
    ).sample
    torch.testing.assert_close(flow, expected, atol=1e-6, rtol=1e-5)
    for part, before in zip(teller.cache.stored(1), stored, strict=True):
        assert torch.equal(part, before)
    teller.run(noise + 1, 0.0, index)  # a later pass writes where the graph has read
    flow.square().sum().backward()
    assert own.grad is not None
    assert own.grad.abs().max() > 0


def test_checkpointed_gradients_do_not_depend_on_later_chunks():
    gradients = []
    for checkpointing in (False, True):
        teller, index = told(window=4, sink=0, chunks=1), torch.full((3,), 2)
        if checkpointing:
            teller.model.enable_gradient_checkpointing()
        losses = []
        for number in range(2):
            teller.cache.begin_chunk()
            noise, clean = random(2, 1, 3, C, 2, 4, seed=number)
            arguments = {"shot_index": index, "caption_index": index, "cache": teller.cache}
            losses.append(
                teller.model(noise, torch.tensor([700.0]), random(1, 3, 5, TEXT, seed=1), **arguments).sample
            )
            teller.run(clean, CLEAN, index)
            teller.cache.commit()
        torch.cat(losses).square().sum().backward()
        gradients.append([p.grad for p in teller.model.parameters()])
    torch.testing.assert_close(*gradients)


def test_the_phases_are_guarded():
    teller, index = told(chunks=1), torch.full((3,), 2)
    chunk = random(1, 3, C, 2, 4, seed=1)
    with pytest.raises(ValueError, match="open_shot"):
        teller.cache.fill_context(2)
    with pytest.raises(ValueError, match="expects a pass over 0 latent frames"):
        teller.run(chunk, 0.0, index)
    teller.cache.begin_chunk()
    with pytest.raises(ValueError, match="no written chunk"):
        teller.cache.commit()
    with pytest.raises(ValueError, match=r"outside 1\.\.3"):
        teller.cache.begin_chunk(4)
    teller.cache.open_shot()
    with pytest.raises(ValueError, match="7 context frames do not fit"):
        teller.cache.fill_context(7)
    teller.cache.fill_context(3)
    with pytest.raises(ValueError, match="no_grad"):
        teller.model(chunk, torch.zeros(1), teller.captions, caption_index=index, cache=teller.cache)
    with pytest.raises(ValueError, match="allocate a cache"):
        teller.run(random(1, 3, C, 4, 4, seed=1), 0.0, index)
    with pytest.raises(ValueError, match="does not fit storage"):
        teller.cache.load_state_dict(Teller(teller.model, 1, 4, 4).cache.state_dict())
    with pytest.raises(ValueError, match="leaves no room"):
        teller.model.new_cache(batch=1, tokens_per_frame=2, window_chunks=1, sink_chunks=1)


def test_bfloat16_rounding_does_not_pile_up_over_a_long_shot():
    model = tiny_transformer(num_layers=1, window_chunks=2)
    teller = Teller(model, 1, 2, 4, dtype=torch.bfloat16)
    teller.context(random(1, 6, C, 2, 4, seed=2), split_index(6, 0))
    tokens = 6 * teller.tokens
    before = teller.cache.stored(0)[0][:, :tokens].float().norm(dim=-1)
    for number in range(60):
        teller.chunk(*random(2, 1, 3, C, 2, 4, seed=number), 700.0)
    after = teller.cache.stored(0)[0][:, :tokens].float().norm(dim=-1)
    torch.testing.assert_close(after, before, rtol=1e-2, atol=0)


def test_compiled_blocks_serve_every_chunk_with_two_graphs():
    """One graph for the context pass and one for chunks, however long the shot; and no graph breaks."""
    teller, counter = told(chunks=0), CompileCounter()
    for block in teller.model.blocks:
        block.compile(backend=counter, fullgraph=True)
    for _ in range(2):
        teller.cache.open_shot()
        teller.context(random(1, 6, C, 2, 4, seed=2), split_index(6, 0))
        for number in range(4):
            teller.chunk(*random(2, 1, 3, C, 2, 4, seed=number), 700.0)
    assert counter.frame_count == 2
