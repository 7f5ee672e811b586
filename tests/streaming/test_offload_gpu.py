"""diffusers' ways to keep weights off the GPU give the same frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import shotstream

pytestmark = pytest.mark.gpu

PROMPTS = ["a red fox runs", "sleeps"]


@pytest.fixture(scope="module")
def saved(pipeline, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    pipeline.save_pretrained(folder)
    return folder


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_offloads_on_a_gpu(make_pipeline, saved) -> None:
    expected = make_pipeline().to("cuda")(PROMPTS, num_frames=[13, 5], seed=3).frames
    for way, settings in (
        ("enable_model_cpu_offload", {}),
        ("enable_sequential_cpu_offload", {}),
        ("enable_group_offload", {"onload_device": torch.device("cuda"), "offload_type": "leaf_level"}),
    ):
        pipeline = shotstream.ShotStreamPipeline.from_pretrained(saved, text="cpu")
        getattr(pipeline, way)(**settings)
        frames = pipeline(PROMPTS, num_frames=[13, 5], seed=3).frames
        assert np.abs(frames - expected).max() < 0.02, way
