"""The stage in which the decoder learns to draw what the student means."""

from __future__ import annotations

import pytest
import torch

from shotstream import ShotStreamPipeline
from shotstream.data.next_shot import BatchChoice
from shotstream.streaming.rollout import ShotRollout
from shotstream.training.discriminator import (
    Discriminator,
    gradient_penalty,
    grouped,
    relativistic_loss,
)
from shotstream.training.picture_losses import coarse_loss, reconstruction_loss, shift_tolerant_loss
from shotstream.training.student_decoder import KINDS
from shotstream.training.workspace import Workspace

from .conftest import tiny_recipe


@pytest.mark.unit
def test_a_patch_may_lie_two_pixels_elsewhere_but_a_blur_is_dear() -> None:
    torch.manual_seed(0)
    drawn = torch.rand(1, 2, 3, 8, 8).sub(0.5).mul(2).repeat_interleave(5, -1).repeat_interleave(5, -2)
    moved = drawn.roll((1, -2), dims=(-2, -1))
    blurred = torch.nn.functional.avg_pool2d(drawn.flatten(0, 1), 5, 1, 2).unflatten(0, (1, 2))
    far = drawn.roll((0, 9), dims=(-2, -1))
    assert shift_tolerant_loss(drawn, drawn) == 0
    assert shift_tolerant_loss(moved, drawn) < 0.1 * shift_tolerant_loss(blurred, drawn)
    assert shift_tolerant_loss(blurred, drawn) < shift_tolerant_loss(far, drawn)
    assert reconstruction_loss(moved, drawn, 0.5) > reconstruction_loss(blurred, drawn, 0.5), "unlike this"


@pytest.mark.unit
def test_a_coarse_look_sees_means_alone() -> None:
    frames = torch.rand(1, 1, 3, 8, 8)
    detail = torch.tensor([0.1, -0.1]).repeat(4)
    assert coarse_loss(frames + detail, frames) < 1e-6
    torch.testing.assert_close(coarse_loss(frames + 0.1, frames), torch.tensor(0.1))


@pytest.mark.unit
def test_a_discriminator_sees_every_frame() -> None:
    numbers = torch.arange(5.0).view(1, 5, 1, 1, 1)
    assert grouped(numbers, 4).flatten().tolist() == [0, 1, 2, 3, 1, 2, 3, 4], (
        "the one that opens a shot, too"
    )
    assert torch.equal(grouped(numbers[:, :4], 4), numbers[:, :4])


@pytest.mark.unit
def test_a_discriminator_learns_to_tell_and_is_held_back() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator()
    optimiser = torch.optim.Adam(discriminator.parameters(), 1e-3)
    first = penalty = torch.zeros(())
    for step in range(30):
        drawn = torch.rand(2, 8, 3, 16, 16).round()
        higher, lower = discriminator(drawn), discriminator(torch.full_like(drawn, 0.5))
        assert higher.shape == (4, 1, 2, 2)
        loss, penalty = relativistic_loss(higher, lower), gradient_penalty(discriminator, drawn)
        first = loss.detach() if step == 0 else first
        optimiser.zero_grad()
        (loss + 1e-4 * penalty).backward()
        optimiser.step()
    assert loss < 0.5 * first
    assert penalty > 0


@pytest.mark.law
def test_a_shot_told_again_ends_as_the_last_step_ends(finished, data) -> None:
    """Its chunks are those that the student would end with, had it come to the true latents a step before."""
    student = finished.student
    shot = data.make(BatchChoice([0, 1], [1, 1]))
    given = shot.target.split(student.transformer.config["chunk_frames"], dim=1)
    again = student.roll_out(shot, torch.Generator().manual_seed(3), again=True)
    assert again.shape == shot.target.shape

    generator, chunks = torch.Generator().manual_seed(3), iter(given)
    last = len(student.schedule.student_steps()) - 1

    def denoise(rollout, noise_at, steps=None, again=None):
        chunk = next(chunks)
        noise = noise_at(0)
        return rollout.denoise_as_it_was(
            lambda step: noise, None, lambda step, timestep, x0: chunk if step == last - 1 else None
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShotRollout, "denoise_as_it_was", ShotRollout.denoise, raising=False)
        patch.setattr(ShotRollout, "denoise", denoise)
        with torch.no_grad():
            expected = student.roll_out(shot, generator)
    torch.testing.assert_close(again, expected)


@pytest.mark.system
def test_it_is_told_from_noise_and_again_and_turns_are_taken(finished) -> None:
    stage = finished.stage("student-decoder")
    assert [stage.role(step) for step in range(5)] == ["discriminator"] * 2 + [
        "decoder",
        "discriminator",
        "decoder",
    ]
    assert set(stage._stories) == set(KINDS)
    made = stage._made
    assert [record["again"] for record in made.records] == [True] * 4, "of fewer stories than a batch"
    assert made.tensor(0, "latents").shape[:2] == (3, 4)
    before = {name: value.clone() for name, value in stage._autoencoder.state_dict().items()}
    loss, _ = stage.loss(2, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(p.grad is None for p in stage._adversary.network.parameters()), "the decoder's step is its own"
    assert any(p.grad is not None for p in stage._autoencoder.decoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in stage._autoencoder.state_dict().items())
    assert stage.sample().ndim == 3


@pytest.mark.system
def test_what_is_exported_lies_between_the_decoder_before_and_what_was_learnt(finished, tmp_path) -> None:
    stage = finished.stage("student-decoder")
    with torch.no_grad():
        for learnt in stage._autoencoder.decoder.parameters():
            learnt += 1
    stage.export(tmp_path)
    exported = type(stage._autoencoder).from_pretrained(tmp_path).state_dict()
    for name, before in stage._before.state_dict().items():
        expected = before + 0.7 if name.startswith("decoder.") else before
        torch.testing.assert_close(exported[name], expected)


@pytest.mark.system
def test_the_model_is_saved_with_this_decoder_and_a_base_can_be_gone_on_from(finished, tmp_path) -> None:
    base = finished.save_pipeline()
    saved = ShotStreamPipeline.from_pretrained(base).vae
    own = finished._autoencoder("student-decoder")
    assert torch.equal(saved.decoder[0].weight, own.half().float().decoder[0].weight)
    workspace = Workspace(tiny_recipe(base=str(base)), tmp_path, torch.device("cpu"))
    workspace.run("student-decoder")
    later = ShotStreamPipeline.from_pretrained(workspace.save_pipeline())
    assert not torch.equal(later.vae.decoder[0].weight, saved.decoder[0].weight)
    for name, value in later.transformer.state_dict().items():
        assert torch.equal(value, ShotStreamPipeline.from_pretrained(base).transformer.state_dict()[name]), (
            name
        )
