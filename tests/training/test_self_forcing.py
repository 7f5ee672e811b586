"""Self-forcing: who learns when, from what, and through which pass."""

import json

import pytest
import torch
from safetensors.torch import load_file

from shotstream.streaming.chunk import to_pictures, to_pixels
from shotstream.training.loop import train
from shotstream.training.run import RunFolder
from shotstream.training.self_forcing import own_history
from shotstream.training.stage import step_generator

pytestmark = pytest.mark.cpu


@pytest.fixture
def stage(finished):
    return finished.stage("intra-shot")


def test_the_critic_goes_first_and_more_often(stage):
    stage.settings = stage.settings.model_copy(update={"critic_updates": 2})
    assert [stage.role(step) for step in range(6)] == ["critic", "critic", "student"] * 2


@pytest.mark.parametrize(("step", "learns"), [(0, "critic"), (1, "student")])
def test_only_the_role_of_the_step_gets_gradients(stage, step, learns):
    stage.loss(step, step_generator(0, step))[0].backward()
    for name, role in stage.roles.items():
        touched = any(p.grad is not None and p.grad.any() for p in role.module.parameters())
        assert touched == (name == learns), name
    assert all(p.grad is None for p in stage._teacher.transformer.parameters())


def test_a_rollout_with_gradient_gives_the_shots_that_users_see(finished, data):
    student, shot = finished.student, data.pick(torch.tensor([0, 1]), 2)
    with torch.no_grad():
        served = student.roll_out(shot, step_generator(0, 0))
    learnt = student.roll_out(shot, step_generator(0, 0))
    assert learnt.requires_grad
    torch.testing.assert_close(learnt, served, rtol=1e-5, atol=1e-5)


def test_only_the_last_executed_step_of_a_chunk_records_gradients(finished, data):
    student, shot = finished.student, data.pick(torch.tensor([0]), 1)
    inputs = []
    forward = student.transformer.forward

    def noting(latents, *args, **kwargs):
        inputs.append((tuple(latents.shape), torch.is_grad_enabled()))
        return forward(latents, *args, **kwargs)

    student.transformer.forward = noting
    student.roll_out(shot, step_generator(0, 0), steps=3)
    chunk, context = (1, 2, *shot.target.shape[2:]), tuple(shot.context.shape)
    steps = [(chunk, False), (chunk, False), (chunk, True)]
    assert inputs == [(context, False), *steps, (chunk, False), *steps]


def test_own_history_is_what_the_student_told_before(finished, data):
    """The stills of a third shot are those that serving would remember of the first two."""
    student, autoencoder = finished.student, finished.autoencoder
    draw = own_history(data, 2, student, autoencoder)
    step = next(s for s in range(20) if draw(step_generator(1, s)).ids.shape[1] == 3)
    shot = draw(step_generator(1, step))

    generator, told = step_generator(1, step), []
    torch.randint(4, (2,), generator=generator)
    torch.randint(3, (), generator=generator)
    stills = torch.zeros(2, 3, *data.stills.shape[2:])
    for number in range(2):
        earlier = data.pick(shot.stories, number, stills=stills)
        with torch.no_grad():
            frames = autoencoder.open_decoder().decode(student.roll_out(earlier, generator))
        told.append(to_pictures(frames.flatten(0, 1)).reshape(2, 13, 32, 48, 3))
        for place, frame in enumerate(data.positions):
            picture = to_pixels(told[-1][:, frame])[:, None]
            stills[:, number, place] = autoencoder.encode_stills(picture)[:, 0].detach()
    expected = data.pick(shot.stories, 2, stills=stills)
    torch.testing.assert_close(shot.context, expected.context, rtol=0, atol=1e-4)
    assert not torch.equal(shot.context, data.pick(shot.stories, 2).context)  # nor the true ones
    assert torch.equal(shot.ids, data.pick(shot.stories, 2).ids)


def test_only_adapters_learn_and_they_are_merged_on_export(finished, tmp_path):
    stage = finished.stage("inter-shot")
    names = {n for n, p in stage.roles["student"].module.named_parameters() if p.requires_grad}
    assert names
    assert all("lora" in name for name in names)
    stage.export(tmp_path)
    keys = set(load_file(tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"))
    assert keys == set(finished.generator("intra-shot").transformer.state_dict())


def test_every_weight_that_a_rollout_uses_gets_a_gradient_in_bfloat16(finished, data):
    """Casts that were kept from a pass without gradient would leave weights without one."""
    student, shot = finished.student, data.pick(torch.tensor([0, 1]), 2)
    with torch.autocast("cpu", torch.bfloat16):
        student.roll_out(shot, step_generator(0, 0), steps=2).square().mean().backward()
    without = [name for name, p in student.transformer.named_parameters() if p.grad is None]
    assert not without


def test_an_entry_has_the_figures_of_every_role_that_learnt_since_the_last(finished, tmp_path):
    stage = finished.stage("intra-shot")
    stage.loop = stage.loop.model_copy(update={"log_every": 2})
    train(stage, RunFolder(tmp_path, stage.settings))
    entry = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert entry.keys() >= {"critic_loss", "critic_gradient_norm", "student_loss", "student_deviation"}
