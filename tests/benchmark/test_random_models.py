from __future__ import annotations

import pytest
import torch

from shotstream.benchmark.random_models import make_random_pipeline
from shotstream.streaming.pipeline import ShotStreamPipeline

pytestmark = pytest.mark.unit


def sizes(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: values.shape for name, values in module.named_parameters()}


def test_wan_has_its_true_size():
    pipeline = make_random_pipeline("wan-1.3b", torch.device("meta"), torch.bfloat16)
    assert sum(values.numel() for values in pipeline.transformer.parameters()) == 1_418_996_800
    assert sum(values.numel() for values in pipeline.vae.parameters()) == 126_892_531
    assert pipeline.transformer.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    assert pipeline.transformer.blocks[0].scale_shift_table.dtype == torch.float32


def test_mini_has_the_shipped_models_size():
    shipped = ShotStreamPipeline.from_pretrained("mini")
    made = make_random_pipeline("mini", torch.device("meta"), torch.float32)
    assert sizes(made.transformer) == sizes(shipped.transformer)
    assert sizes(made.vae) == sizes(shipped.vae)
    assert made.timing == shipped.timing


def test_weights_are_the_same_every_time():
    one, other = (make_random_pipeline("tiny", torch.device("cpu"), torch.float32) for _ in range(2))
    assert all(map(torch.equal, one.transformer.parameters(), other.transformer.parameters()))


def test_an_unknown_size_is_refused():
    with pytest.raises(ValueError, match="choose one of tiny, mini"):
        make_random_pipeline("huge", torch.device("cpu"), torch.float32)
