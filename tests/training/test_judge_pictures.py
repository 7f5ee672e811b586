"""What the judge learns from beside stories on disk: shots drawn anew, and shots that a model remade."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from shotstream.training.judge import JudgeStage
from shotstream.training.judge_pictures import DETAILS, Remaker, draw_fresh, truth_of_remade
from shotstream.training.settings import JudgeSettings, WorldData
from shotstream.world.judge import CLEAN, SPOILT, Judge, true_answers

pytestmark = pytest.mark.unit

WORLD = WorldData(height=16, width=32, shot_frames=9, shots=2)


@pytest.fixture
def remaker(pipeline) -> Remaker:
    return Remaker(pipeline, pipeline.autoencoder)


def test_a_fresh_shot_is_what_it_says():
    shot = draw_fresh(WORLD, 10_000_003, 1, 5)
    assert shot.frames.shape == (5, 16, 32, 3)
    assert torch.equal(shot.frames, draw_fresh(WORLD, 10_000_003, 1, 5).frames)
    assert shot.attributes["split"] == "train"
    assert shot.attributes["shots"][1]["prompt"] == shot.prompt
    assert not torch.equal(shot.frames, draw_fresh(WORLD, 10_000_004, 1, 5).frames)


def test_the_more_noise_the_less_is_true_of_a_remade_shot():
    truth = true_answers(draw_fresh(WORLD, 10_000_003, 0, 1).attributes, 0)
    assert truth_of_remade(truth, 0.36) == truth
    assert set(truth) - set(truth_of_remade(truth, 0.5)) == {"figures"}
    melted = truth_of_remade(truth, 0.9)
    assert (truth["figures"], melted["figures"]) == (CLEAN, SPOILT)
    assert set(truth) - set(melted) == set(DETAILS)
    assert melted["first kind"] == truth["first kind"]


def test_a_remade_shot_is_near_where_there_is_little_noise(remaker, pipeline):
    frames = torch.rand(2, 9, 3, 16, 32) * 2 - 1
    captions = [("a fox", "a cat runs"), ("a fox", "a cat sleeps")]
    autoencoder = pipeline.autoencoder
    again = autoencoder.open_decoder().decode(autoencoder.encode_clip(frames)).clamp(-1, 1)

    def remade(sigma: float, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return remaker(frames, captions, torch.full((2,), sigma), generator)

    assert remade(0.5).shape == frames.shape
    assert torch.equal(remade(0.5), remade(0.5))
    assert not torch.equal(remade(0.5), remade(0.5, seed=1))
    near, far = ((remade(sigma) - again).abs().mean() for sigma in (0.01, 0.9))
    assert near < far


def test_the_stage_learns_from_fresh_and_remade_shots(pipeline, remaker):
    settings = JudgeSettings(
        height=16,
        width=32,
        fresh=True,
        autoencoded_fraction=0.25,
        remade_fraction=0.5,
        short_probability=0.5,
        short_frames=5,
        shift_pixels=1,
        loop={"batch": 4},  # pyright: ignore[reportArgumentType]
    )
    judge = Judge(16, 32, widths=(8, 8, 8, 8), features=16)
    stage = JudgeStage(settings, judge, None, None, pipeline.autoencoder, WORLD, remaker)  # pyright: ignore[reportArgumentType]
    losses = [stage.loss(0, torch.Generator().manual_seed(seed))[0] for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    assert torch.stack(losses).isfinite().all()
    losses[2].backward()
    assert judge.look[0].weight.grad.abs().sum() > 0


def test_what_does_not_go_together_is_said():
    with pytest.raises(ValidationError, match="which only fresh shots have; set fresh: true"):
        JudgeSettings(remade_fraction=0.5, autoencoded_fraction=0)
    with pytest.raises(ValidationError, match="together are more than the batch"):
        JudgeSettings(fresh=True, remade_fraction=0.6, autoencoded_fraction=0.5)
