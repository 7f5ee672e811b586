"""Spoilt shots look spoilt, and what is said of them is no more than a person could say."""

import numpy as np
import pytest
import torch

from shotstream.streaming.chunk import to_pixels
from shotstream.training import spoiling
from shotstream.world.judge import CLEAN, QUESTIONS, SPOILT, UNCLEAR, true_answers
from shotstream.world.sampler import sample_story
from shotstream.world.scene import draw_shot

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def shots():
    stories = [sample_story(seed, shots=1, frames=3) for seed in range(12)]
    frames = torch.stack([to_pixels(draw_shot(story, 0, height=64, width=96)) for story in stories])
    return frames, [true_answers(story.attributes(), 0) for story in stories]


def test_a_drawn_shot_is_clean(shots):
    assert {answers["figures"] for answers in shots[1]} == {CLEAN}


def test_every_answer_about_spoilt_shots_is_one_that_a_judge_can_give(shots):
    frames, truth = shots
    made, answers = spoiling.spoil(frames, truth, torch.Generator().manual_seed(0))
    assert made.shape == frames.shape
    assert made.abs().max() <= 1.0001
    assert all(told["figures"] == SPOILT for told in answers)
    assert all(value in QUESTIONS[name] for told in answers for name, value in told.items())
    assert any(UNCLEAR in told.values() for told in answers)
    assert truth[0]["figures"] == CLEAN  # the true answers were not touched


@pytest.mark.parametrize("way", spoiling._WAYS, ids=lambda way: way.__name__)
def test_every_way_changes_the_picture_alike_in_all_frames(shots, way):
    frames, truth = shots
    still = frames[0, :1].expand(3, -1, -1, -1)  # nothing moves
    other = frames[1, :1].expand(3, -1, -1, -1)
    made, _ = way(still, truth[0], other, truth[1], torch.Generator().manual_seed(1))
    assert (made - still).abs().mean() > 0.01
    torch.testing.assert_close(made[0], made[2], rtol=0, atol=1e-5)


def test_where_two_shots_agree_their_mixture_can_be_told(shots):
    frames, truth = shots
    _, answers = spoiling.mixed(frames[0], truth[0], frames[1], truth[1], torch.Generator().manual_seed(1))
    for name, value in answers.items():
        assert value == (truth[0][name] if truth[0][name] == truth[1][name] else UNCLEAR)
    assert np.unique(list(answers.values())).size > 1
