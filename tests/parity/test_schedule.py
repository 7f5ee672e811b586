"""The schedule's tables agree with the published ones."""

from __future__ import annotations

import pytest

from .conftest import Golden, assert_close

pytestmark = pytest.mark.law


@pytest.mark.parametrize("name", ["sigmas", "timesteps", "training_weight"])
def test_training_tables(golden: Golden, name: str):
    assert_close(getattr(golden.schedule, name), golden.tensors[f"scheduler.{name}"])


def test_steps_of_the_student(golden: Golden):
    assert_close(golden.schedule.student_steps(), golden.tensors["denoising_steps"])


def test_fifty_steps_of_the_teacher(golden: Golden):
    timesteps = golden.schedule.ode_timesteps(50)
    assert_close(timesteps, golden.tensors["scheduler50.timesteps"])
    assert_close(
        golden.schedule.sigma(timesteps.new_tensor([1000.0])), golden.tensors["scheduler50.sigmas"][:1]
    )
    assert_close(timesteps / 1000, golden.tensors["scheduler50.sigmas"])
