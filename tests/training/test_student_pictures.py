"""The stage in which the student's last step learns from the pictures that are drawn of it."""

from __future__ import annotations

import pytest
import torch

from shotstream import ShotStreamPipeline
from shotstream.data.batch_slice import BatchSlice
from shotstream.data.next_shot import BatchChoice
from shotstream.training.picture_crops import draw_crop, frames_of
from shotstream.training.picture_losses import energy_loss, grain_loss
from shotstream.training.workspace import STUDENT_STAGES, Workspace

from .conftest import tiny_recipe


@pytest.fixture
def stage(finished):
    return finished.stage("student-pictures")


@pytest.mark.unit
def test_latents_stand_for_frames() -> None:
    frames = list(range(13))
    assert frames[frames_of(0, 1, 4)] == [0]
    assert frames[frames_of(1, 2, 4)] == [1, 2, 3, 4]
    assert frames[frames_of(0, 4, 4)] == frames


@pytest.mark.unit
def test_a_crop_lies_in_the_picture_and_cuts_latents_and_frames_alike() -> None:
    latents = torch.arange(6 * 9.0).view(1, 6, 9)
    frames = latents.repeat_interleave(8, -1).repeat_interleave(8, -2)[..., None].expand(-1, -1, -1, 3)
    generator, lefts = torch.Generator().manual_seed(0), []
    for _ in range(200):
        crop = draw_crop((32, 40), latents, 8, generator)
        cut, shown = crop.of_latents(latents), crop.of_frames(frames)
        assert cut.shape == (1, 4, 5)
        assert torch.equal(shown[:, ::8, ::8, 0], cut)
        lefts.append(crop.columns.start)
    assert set(lefts) == {0, 1, 2, 3, 4}
    assert lefts.count(2) > lefts.count(0), "more often in the middle"
    assert draw_crop((512, 512), latents, 8, generator).of_latents(latents).shape == latents.shape


@pytest.mark.unit
def test_blur_and_grain_are_told_from_what_was_drawn() -> None:
    drawn = torch.zeros(1, 2, 3, 32, 32)
    drawn[..., 8:24, 8:24] = 1
    blurred = torch.nn.functional.avg_pool2d(drawn.flatten(0, 1), 9, 1, 4, count_include_pad=False)
    blurred = blurred.unflatten(0, (1, 2))
    grainy = drawn + 0.1 * torch.rand(drawn.shape, generator=torch.Generator().manual_seed(0))
    assert energy_loss(drawn, drawn) == 0
    assert energy_loss(blurred, drawn) > 0.01
    jumps = drawn.clone()
    jumps[:, 1] = jumps[:, 1].roll(4, -1)
    assert energy_loss(jumps, drawn) > 0.01
    assert energy_loss(grainy, drawn) > 0.01
    assert grain_loss(grainy, drawn) > 0.01
    assert grain_loss(drawn, grainy) < 0.1 * grain_loss(grainy, drawn), "fewer edges than before are no grain"


@pytest.mark.law
def test_a_chunk_is_remade_as_the_whole_shot_is_told_again(finished, data) -> None:
    """After the same chunks, from the same noise, its last step ends it with the same latents."""
    student = finished.student
    shot = data.make(BatchChoice([0, 1], [1, 2]))
    length = student.transformer.config["chunk_frames"]
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        whole = student.roll_out(shot, generator, again=True)
        generator.manual_seed(3)
        for first in range(0, shot.target.shape[1], length):
            chunk = shot.target[:, first : first + length]
            remade = student.remake(shot, whole[:, :first], chunk, generator)
            torch.testing.assert_close(remade, whole[:, first : first + length])


@pytest.mark.system
def test_frames_are_decoded_as_a_viewer_sees_them(stage) -> None:
    """Those of a chunk that the student told, after what it told before, are those of the decoded shot."""
    stage.settings = stage.settings.model_copy(update={"crop": (512, 512)})
    seen = set()
    for seed in range(8):
        batch = stage._draw(torch.Generator().manual_seed(seed), BatchSlice())
        length = batch.given.shape[1]
        told = batch.told[:, batch.first : batch.first + length]
        frames = stage._decode(batch.told[:, : batch.first], told, batch.crop)
        assert frames.shape == batch.frames.shape
        whole = stage._autoencoder.open_decoder().decode(batch.told)
        last = frames_of(0, batch.first + length, 4).stop
        torch.testing.assert_close(frames, whole[:, last - frames.shape[1] : last])
        seen.add(batch.first)
    assert seen == {0, 2}


@pytest.mark.system
def test_half_of_a_batch_is_known_from_drawn_pictures(stage) -> None:
    batch = stage._draw(torch.Generator().manual_seed(0), BatchSlice())
    assert batch.again.tolist() == [True, False]
    own = slice(batch.first, batch.first + batch.given.shape[1])
    assert torch.equal(batch.given[0], batch.shot.target[0, own])
    assert torch.equal(batch.given[1], batch.told[1, own])


@pytest.mark.system
def test_student_and_discriminator_take_turns_and_only_one_learns(stage) -> None:
    roles = [stage.role(step) for step in range(5)]
    assert roles == ["discriminator"] * 2 + ["student", "discriminator", "student"]
    discriminator, student = (stage.roles[name].module for name in ("discriminator", "student"))
    loss, figures = stage.loss(2, torch.Generator().manual_seed(0))
    loss.backward()
    assert set(figures) == {"again", "seeming"}
    assert all(p.grad is None for p in discriminator.parameters())
    assert sum(p.grad is not None for p in student.parameters()) > 5
    assert all(p.grad is None for p in stage._autoencoder.parameters())
    student.zero_grad(set_to_none=True)
    loss, _ = stage.loss(3, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(p.grad is None for p in student.parameters())
    assert any(p.grad is not None for p in discriminator.parameters())


@pytest.mark.system
def test_parts_of_a_batch_are_the_batch(finished) -> None:
    stage = finished.stage("student-pictures")
    whole = stage._draw(torch.Generator().manual_seed(5), BatchSlice())
    halves = [stage._draw(torch.Generator().manual_seed(5), BatchSlice(part, 2)) for part in range(2)]
    for name in ("told", "given", "frames", "again"):
        assert torch.equal(torch.cat([getattr(half, name) for half in halves]), getattr(whole, name)), name


@pytest.mark.system
def test_what_it_learnt_is_the_model_and_what_the_decoder_learns_from(finished, tmp_path) -> None:
    assert STUDENT_STAGES[-1] == "student-pictures"
    own = finished.denoiser("student-pictures").transformer.state_dict()
    former = finished.denoiser("inter-shot").transformer.state_dict()
    assert any(not torch.equal(own[name], former[name]) for name in own)
    saved = ShotStreamPipeline.from_pretrained(finished.save_pipeline()).transformer.state_dict()
    assert all(torch.equal(saved[name], value.half().float()) for name, value in own.items())
    assert (finished.folder / "told-by-inter-shot").is_dir(), "what it learnt from"
    assert (finished.folder / "told-by-student-pictures").is_dir(), "what its decoder learnt from"


@pytest.mark.system
def test_a_base_is_gone_on_from(finished, tmp_path) -> None:
    base = finished.save_pipeline()
    workspace = Workspace(tiny_recipe(base=str(base)), tmp_path, torch.device("cpu"))
    workspace.run("student-pictures")
    assert (tmp_path / "told-by-base").is_dir()
    before = ShotStreamPipeline.from_pretrained(base).transformer.state_dict()
    after = ShotStreamPipeline.from_pretrained(workspace.save_pipeline()).transformer.state_dict()
    assert any(not torch.equal(after[name], before[name]) for name in before)


@pytest.mark.system
def test_what_is_exported_lies_between_the_student_before_and_what_was_learnt(stage, tmp_path) -> None:
    before = {name: value.clone() for name, value in stage._student.transformer.named_parameters()}
    with torch.no_grad():
        for learnt in stage._student.transformer.parameters():
            learnt += 1
    stage.export(tmp_path)
    exported = type(stage._student.transformer).from_pretrained(tmp_path / "transformer")
    for name, value in exported.named_parameters():
        torch.testing.assert_close(value, before[name] + 0.6)
