from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotstream.diffusion.schedule import FlowSchedule, shifted_sigma

pytestmark = pytest.mark.unit

timesteps = st.floats(1, 1000)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 2, 3, 4, 2, 2, generator=generator)
    return x0, noise


@given(st.lists(timesteps, min_size=6, max_size=6), st.sampled_from([1.0, 3.0, 8.0]))
def test_the_true_flow_leads_back_to_the_data(times: list[float], shift: float):
    schedule, (x0, noise) = FlowSchedule(shift=shift), pair()
    timestep = torch.tensor(times).view(2, 3)
    x_t = schedule.add_noise(x0, noise, timestep)
    torch.testing.assert_close(schedule.to_x0(x_t, noise - x0, timestep), x0, atol=1e-5, rtol=0)


@given(timesteps)
def test_x0_and_flow_are_inverse(time: float):
    schedule, (x_t, x0) = FlowSchedule(), pair()
    timestep = torch.tensor([time, 1000.0])
    flow = schedule.to_flow(x_t, x0, timestep)
    torch.testing.assert_close(schedule.to_x0(x_t, flow, timestep), x0, atol=1e-4, rtol=1e-4)


@given(timesteps)
def test_sigma_is_that_of_the_nearest_timestep(time: float):
    schedule = FlowSchedule()
    found = schedule.sigma(torch.tensor(time))
    nearest = min(schedule.timesteps.tolist(), key=lambda t: abs(t - time))
    assert abs(1000 * float(found) - time) <= abs(nearest - time) + 1e-3


def test_one_timestep_or_one_per_frame():
    schedule, (x0, noise) = FlowSchedule(), pair()
    for shape in ((), (2,), (2, 3)):
        noisy = schedule.add_noise(x0, noise, torch.full(shape, 700.0))
        torch.testing.assert_close(noisy, schedule.add_noise(x0, noise, torch.full((2, 3), 700.0)))


def test_pure_noise_at_the_start():
    x0, noise = pair()
    assert torch.equal(FlowSchedule().add_noise(x0, noise, torch.tensor(1000.0)), noise)


def test_conversions_keep_the_dtype():
    x0, noise = (x.bfloat16() for x in pair())
    schedule, timestep = FlowSchedule(), torch.tensor(500.0)
    for convert in (schedule.add_noise, schedule.to_x0, schedule.to_flow):
        assert convert(x0, noise, timestep).dtype == torch.bfloat16


@given(st.floats(0, 1), st.floats(1, 12))
def test_the_warp_keeps_ends_and_leans_to_noise(u: float, shift: float):
    sigma = float(shifted_sigma(torch.tensor(u, dtype=torch.float64), shift))
    assert u - 1e-12 <= sigma <= 1 + 1e-12
    assert float(shifted_sigma(torch.tensor(0.0), shift)) == 0


def test_saved_as_a_scheduler_and_loaded_again(tmp_path):
    FlowSchedule(shift=3.0, student_timesteps=(1000, 500)).save_pretrained(tmp_path)
    assert (tmp_path / "scheduler_config.json").exists()
    loaded = FlowSchedule.from_pretrained(tmp_path)
    assert torch.equal(
        loaded.student_steps(), FlowSchedule(shift=3.0, student_timesteps=(1000, 500)).student_steps()
    )


@pytest.mark.parametrize("step", [0, 1001])
def test_a_student_step_outside_the_table_is_named(step: int):
    with pytest.raises(ValueError, match=f"{step} is outside 1..1000"):
        FlowSchedule(student_timesteps=(1000, step))
