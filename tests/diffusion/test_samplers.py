from __future__ import annotations

import pytest
import torch

from shotstream.diffusion.samplers import guided, rescaled, sample_few_step, sample_ode
from shotstream.diffusion.schedule import FlowSchedule

pytestmark = pytest.mark.unit


def test_few_steps_noise_each_prediction_for_the_next_step():
    schedule, noises, seen = FlowSchedule(), torch.randn(4, 2, 3, 1, 2, 2), []

    def denoise(x, timestep):
        seen.append((x, timestep))
        return x * 0.5

    x0 = sample_few_step(denoise, lambda step: noises[step], schedule, schedule.student_steps())
    assert torch.equal(x0, seen[-1][0] * 0.5)
    assert torch.equal(seen[0][0], noises[0])
    for step in range(1, 4):
        timestep = schedule.student_steps()[step].expand(2)
        assert torch.equal(seen[step][1], timestep)
        assert torch.equal(seen[step][0], schedule.add_noise(seen[step - 1][0] * 0.5, noises[step], timestep))


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_the_ode_of_a_straight_flow_ends_at_the_data(steps: int):
    x0, noise = torch.randn(2, 1, 3, 1, 2, 2)
    result, _ = sample_ode(lambda x, t: noise - x0, noise, FlowSchedule(), steps)
    torch.testing.assert_close(result, x0, atol=1e-5, rtol=0)


def test_kept_states_lie_on_the_path_before_their_step():
    schedule, (x0, noise) = FlowSchedule(), torch.randn(2, 1, 3, 1, 2, 2)
    _, states = sample_ode(lambda x, t: noise - x0, noise, schedule, 50, keep=(0, 13, 25, 37))
    assert torch.equal(states[0], noise)
    for state, timestep in zip(states, schedule.student_steps(), strict=True):
        torch.testing.assert_close(state, schedule.add_noise(x0, noise, timestep), atol=1e-2, rtol=0)


def test_guidance():
    conditional, unconditional = torch.randn(2, 1, 3)
    torch.testing.assert_close(guided(conditional, unconditional, 1.0), conditional)
    torch.testing.assert_close(guided(conditional, unconditional, 0.0), unconditional)
    torch.testing.assert_close(guided(conditional, unconditional, 3.0), 3 * conditional - 2 * unconditional)


def test_rescaling_brings_the_deviation_back_by_its_share():
    guided_x0 = torch.tensor([-2.0, 2.0, -2.0, 2.0], dtype=torch.float64).view(1, 1, 1, 2, 2)
    told = guided_x0 / 4 + 1  # a quarter of the deviation
    for share, expected in ((0.0, 1.0), (1.0, 0.25), (0.5, 0.625)):
        torch.testing.assert_close(rescaled(guided_x0, told, share), guided_x0 * expected)
