"""The transformer without a cache agrees with the published implementation."""

from __future__ import annotations

import pytest
import torch

from .conftest import Golden, assert_close

pytestmark = pytest.mark.law


@torch.no_grad()
def test_teacher_with_a_caption_per_shot(golden: Golden):
    timestep = golden.tensors["teacher.timestep"]
    flow = golden.transformer(
        golden.x_t(),
        timestep,
        golden.text("text_per_shot"),
        shot_index=golden.shot_index,
        caption_index=golden.shot_index,
    ).sample
    assert_close(flow, golden.tensors["teacher.flow.per_shot_text"])
    assert_close(
        golden.schedule.to_x0(golden.x_t(), flow, timestep), golden.tensors["teacher.x0.per_shot_text"]
    )


@torch.no_grad()
def test_teacher_with_one_caption(golden: Golden):
    flow = golden.transformer(
        golden.x_t(),
        golden.tensors["teacher.timestep"],
        golden.text("text_single"),
        shot_index=golden.shot_index,
    ).sample
    assert_close(flow, golden.tensors["teacher.flow.single_text"])


@torch.no_grad()
def test_plain_text_to_video(golden: Golden):
    flow = golden.transformer(
        golden.tensors["noise"], golden.tensors["teacher.timestep"], golden.text("text_single")
    ).sample
    assert_close(flow, golden.tensors["teacher.flow.plain_t2v"])


@torch.no_grad()
def test_block_causal_training_forward(golden: Golden):
    timestep = golden.tensors["causal_mask.timesteps"]
    flow = golden.transformer(
        golden.x_t(),
        timestep,
        golden.text("text_per_shot"),
        shot_index=golden.shot_index,
        caption_index=golden.shot_index,
        context_frames=golden.facts["context_frames"],
    ).sample
    assert_close(flow, golden.tensors["causal_mask.flow"])
    assert_close(golden.schedule.to_x0(golden.x_t(), flow, timestep), golden.tensors["causal_mask.x0"])
