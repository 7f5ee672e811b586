"""Streaming a shot through the dual cache agrees with the published rollout, step by step."""

from __future__ import annotations

import re
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from shotstream.diffusion.samplers import sample_few_step

from .conftest import Golden, assert_close

pytestmark = pytest.mark.law


@cache
@torch.no_grad()
def stream(golden: Golden) -> SimpleNamespace:
    """Run the recorded rollout with our own parts and remember what the recording remembers."""
    model, facts, tensors, schedule = golden.transformer, golden.facts, golden.tensors, golden.schedule
    context, noise, renoise = tensors["context_latents"], tensors["noise"], tensors["rollout.renoise"]
    batch, context_frames = context.shape[:2]
    chunk_frames, shot = facts["frames_per_chunk"], facts["target_shot_index"]
    tokens = (
        context.shape[3] * context.shape[4] // (model.config["patch_size"][1] * model.config["patch_size"][2])
    )
    story_cache = model.new_cache(batch=batch, tokens_per_frame=tokens)
    captions = model.encode_captions(golden.text("text_per_shot"))
    zero = torch.zeros(batch)

    def passed(x: Tensor, timestep: Tensor, index: Tensor) -> Tensor:
        return model(x, timestep, captions, shot_index=index, caption_index=index, cache=story_cache).sample

    story_cache.fill_context(context_frames)
    context_flow = passed(context, zero, torch.tensor(facts["context_shot_index"]))
    context_cache = [
        tuple(part.clone() for part in story_cache.stored(layer))
        for layer in range(model.config["num_layers"])
    ]
    index = torch.full((chunk_frames,), shot)
    flows: list[list[Tensor]] = []
    chunks = []
    for chunk in range(facts["chunks"]):
        own_noise = noise[:, chunk * chunk_frames : (chunk + 1) * chunk_frames]
        flows.append([])

        def denoise(x: Tensor, timestep: Tensor, flows=flows[-1]) -> Tensor:
            flows.append(passed(x, timestep, index))
            return schedule.to_x0(x, flows[-1], timestep)

        def noise_at(step: int, chunk=chunk, own_noise=own_noise) -> Tensor:
            return own_noise if step == 0 else renoise[chunk, step - 1]

        story_cache.begin_chunk()
        chunks.append(sample_few_step(denoise, noise_at, schedule, tensors["denoising_steps"]))
        passed(chunks[-1], zero, index)
        story_cache.commit()
    return SimpleNamespace(
        context_flow=context_flow,
        context_cache=context_cache,
        flows=flows,
        x0=torch.cat(chunks, 1),
        local_keys=story_cache.stored(model.config["num_layers"] - 1)[0][:, context_frames * tokens :],
    )


def test_context_pass(golden: Golden):
    assert_close(stream(golden).context_flow, golden.tensors["rollout.context_flow"])


def test_context_cache_of_every_layer(golden: Golden):
    for layer, (keys, values) in enumerate(stream(golden).context_cache):
        assert_close(keys, golden.tensors[f"rollout.context_cache.{layer}.k"])
        assert_close(values, golden.tensors[f"rollout.context_cache.{layer}.v"])


def test_every_recorded_step(golden: Golden):
    recorded = [name for name in golden.tensors if name.startswith("rollout.chunk")]
    assert recorded
    for name in recorded:
        chunk, step = map(int, re.findall(r"\d+", name))
        assert_close(stream(golden).flows[chunk][step], golden.tensors[name])


def test_final_latents(golden: Golden):
    assert_close(stream(golden).x0, golden.tensors["rollout.x0"])


def test_local_cache_of_the_last_layer(golden: Golden):
    assert_close(stream(golden).local_keys, golden.tensors["rollout.local_cache.last_layer.k"])
