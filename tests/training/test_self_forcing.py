"""Self-forcing: who learns when, from what, and through which pass."""

import pytest
import torch

from shotstream.training.stage import step_generator

pytestmark = pytest.mark.cpu


@pytest.fixture
def stage(finished):
    return finished._learn_from_own_shots()


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


def test_gradient_flows_through_the_last_executed_step_only(finished, data):
    """The derivative found by autograd is that of the last step alone, its input held fixed."""
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
