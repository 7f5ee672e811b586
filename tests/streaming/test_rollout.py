from __future__ import annotations

import pytest
import torch
from torch import Tensor

from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.streaming.rollout import ShotRollout

pytestmark = pytest.mark.unit


def noise_at(step: int) -> Tensor:
    return torch.randn(2, 2, 4, 2, 4, generator=torch.Generator().manual_seed(step))


def open_rollout(pipeline: ShotStreamPipeline, captions: Tensor, **cache: int) -> ShotRollout:
    transformer = pipeline.transformer
    storage = transformer.new_cache(batch=2, tokens_per_frame=2, **cache)
    rollout = ShotRollout(transformer, pipeline.scheduler, storage, captions, shot_index=2)
    context = torch.randn(2, 3, 4, 2, 4, generator=torch.Generator().manual_seed(9))
    index = torch.tensor([0, 1, 1])
    rollout.fill_context(context, captions.expand(2, 2, -1, -1), index, index)
    return rollout


@pytest.fixture
def captions() -> Tensor:
    return torch.randn(2, 1, 5, 16, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("steps", [1, 2])
def test_only_the_last_executed_step_records_a_gradient(pipeline, captions, steps: int) -> None:
    """Its gradient is that of one pass whose input and cache are constants."""
    rollout = open_rollout(pipeline, captions)
    rollout.add(rollout.denoise(noise_at))
    x0 = rollout.denoise(noise_at, steps)
    weight = pipeline.transformer.proj_out.weight
    (gradient,) = torch.autograd.grad(x0.square().sum(), weight)

    timesteps = pipeline.scheduler.student_steps()
    x = noise_at(0)
    if steps == 2:
        with torch.no_grad():
            x = pipeline.scheduler.add_noise(rollout.denoise(noise_at, 1), noise_at(1), timesteps[1])
    timestep = timesteps[steps - 1].expand(2)
    flow = pipeline.transformer(x, timestep, captions, shot_index=2, cache=rollout.cache).sample
    expected = pipeline.scheduler.to_x0(x, flow, timestep)
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), weight)
    assert torch.allclose(x0, expected, atol=1e-6)
    assert torch.allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-5)


def test_gradients_of_all_chunks_can_be_had_at_once(pipeline, captions) -> None:
    """Later chunks overwrite the cache, not what the graphs of earlier ones have saved."""
    rollout = open_rollout(pipeline, captions)
    chunks = []
    for _ in range(4):
        chunks.append(rollout.denoise(noise_at))
        rollout.add(chunks[-1])
    weight = pipeline.transformer.blocks[0].attn1.to_k.weight
    (gradient,) = torch.autograd.grad(sum(chunk.square().mean() for chunk in chunks), weight)
    assert gradient.abs().sum() > 0


@torch.no_grad()
@pytest.mark.parametrize("early", [False, True])
def test_redirecting_to_the_same_caption_changes_nothing(pipeline, captions, early: bool) -> None:
    """While nothing has left the window, passing it again gives the same cache."""
    plain, redirected = open_rollout(pipeline, captions), open_rollout(pipeline, captions)
    for rollout in (plain, redirected):
        rollout.add(rollout.denoise(noise_at))
        rollout.add(rollout.denoise(noise_at))
        if early:
            rollout.commit()
        if rollout is redirected:
            rollout.redirect(captions)
    assert torch.equal(plain.denoise(noise_at), redirected.denoise(noise_at))


@torch.no_grad()
@pytest.mark.parametrize("sink_chunks", [0, 1])
def test_the_window_is_what_the_cache_holds(make_pipeline, captions, sink_chunks: int) -> None:
    """With one layer a chunk's keys depend on itself alone, so a redirection restores even a slid window."""
    pipeline = make_pipeline(num_layers=1)
    rollout = open_rollout(pipeline, captions, sink_chunks=sink_chunks)
    for _ in range(6):
        rollout.add(rollout.denoise(noise_at))
    x0 = rollout.denoise(noise_at)
    assert len(rollout.window) == 2
    rollout.redirect(captions)
    assert torch.allclose(rollout.denoise(noise_at), x0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("sink_chunks", "passes"), [(0, 2), (1, 2), (2, 3)])
def test_a_redirection_passes_only_what_the_next_chunk_sees(
    pipeline, captions, monkeypatch, sink_chunks: int, passes: int
) -> None:
    """The sink and the newest chunks; a newest chunk that is not seen is passed all the same."""
    rollout = open_rollout(pipeline, captions, sink_chunks=sink_chunks)
    for _ in range(5):
        rollout.add(rollout.denoise(noise_at))
    position, passed = rollout.cache.first_frame, []
    monkeypatch.setattr(ShotRollout, "clean_pass", _counted(ShotRollout.clean_pass, passed))
    rollout.redirect(captions)
    rollout.commit()
    assert len(passed) == passes
    assert rollout.cache.first_frame == position + rollout.cache.chunk_frames
    rollout.redirect(captions)  # once more: the same chunks
    rollout.commit()
    assert len(passed) == 2 * passes
    assert all(torch.equal(*pair) for pair in zip(passed[:passes], passed[passes:], strict=True))


def _counted(clean_pass, passed: list):
    def count(self, x0):
        passed.append(x0)
        clean_pass(self, x0)

    return count


@torch.no_grad()
def test_a_clean_pass_that_failed_is_made_again(pipeline, captions, monkeypatch) -> None:
    plain, disturbed = open_rollout(pipeline, captions), open_rollout(pipeline, captions)
    for rollout in (plain, disturbed):
        rollout.add(rollout.denoise(noise_at))
    with monkeypatch.context() as patch:
        patch.setattr(disturbed, "_flow", None)
        with pytest.raises(TypeError):
            disturbed.commit()
    disturbed.commit()
    assert torch.equal(plain.denoise(noise_at), disturbed.denoise(noise_at))


@torch.no_grad()
def test_a_restored_rollout_goes_on_exactly(pipeline, captions) -> None:
    rollout, again = open_rollout(pipeline, captions), open_rollout(pipeline, captions)
    rollout.add(rollout.denoise(noise_at))
    state = rollout.state()
    expected = rollout.denoise(noise_at)
    again.restore(state)
    assert torch.equal(again.denoise(noise_at), expected)
