"""A story that is told again from any number of its latents is the same story, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shotstream.story import Story

pytestmark = pytest.mark.law

LENGTHS = (2, 3, 1, 2)
STORY = Story.model_validate(
    {"setting": "a red fox", "seed": 4, "shots": [{"prompt": "runs", "chunks": chunks} for chunks in LENGTHS]}
)


@pytest.fixture(scope="module")
def told(pipeline):
    return list(pipeline.stream(STORY))


@pytest.mark.parametrize("count", range(sum(LENGTHS) + 1))
def test_any_number_of_chunks_may_be_known(pipeline, told, count, monkeypatch):
    known = [chunk for chunk in told[:count]]
    denoised = []
    scheduler = type(pipeline.scheduler)
    steps = scheduler.student_steps
    monkeypatch.setattr(scheduler, "student_steps", lambda *words: denoised.append(1) or steps(*words))
    again = list(
        pipeline.stream(STORY, known=lambda shot: [chunk.latents for chunk in known if chunk.shot == shot])
    )
    assert len(denoised) == len(told) - count
    for chunk, other in zip(told, again, strict=True):
        assert np.array_equal(chunk.frames, other.frames)
        assert torch.equal(chunk.latents, other.latents)
        for name in ("shot", "take", "seed", "index", "first_frame", "last", "prompt", "fps"):
            assert getattr(chunk, name) == getattr(other, name), name


@pytest.mark.parametrize("count", [1, 4, 5, 6, 7])
def test_a_redirect_past_the_window_rounds_alike_where_latents_are_known(pipeline, count):
    """The window was full when the shot was redirected: the cache's positions must go on as they did."""
    story = Story.model_validate(
        {
            "setting": "a red fox",
            "seed": 4,
            "shots": [
                {
                    "prompt": "runs",
                    "chunks": 8,
                    "redirects": [{"chunk": 2, "prompt": "sleeps"}, {"chunk": 5, "prompt": "a cat runs"}],
                }
            ],
        }
    )
    told = list(pipeline.stream(story))
    again = list(pipeline.stream(story, known=lambda shot: [chunk.latents for chunk in told[:count]]))
    for chunk, other in zip(told, again, strict=True):
        assert torch.equal(chunk.latents, other.latents)
        assert np.array_equal(chunk.frames, other.frames)


def test_latents_of_another_model_are_refused(pipeline, told):
    wrong = [told[0].latents[:, :, :2]]
    with pytest.raises(ValueError, match="are no chunk of this story"):
        list(pipeline.stream(STORY, known=lambda shot: wrong))
