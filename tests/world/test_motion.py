"""Motion: cyclic, and slow enough for a latent frame."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.world import vocabulary
from shotstream.world.motion import CYCLE_SECONDS, Pose, pose

pytestmark = pytest.mark.unit

actions = st.sampled_from(list(vocabulary.ACTIONS))
moments = st.floats(0, 60)
phases = st.floats(0, 1, exclude_max=True)
DEGREES = ("lean", "head_turn", "left_arm", "right_arm", "left_leg", "right_leg")


@given(actions, moments, phases)
def test_nothing_moves_far_within_a_latent_frame(action, seconds, phase):
    before, after = pose(action, seconds, phase), pose(action, seconds + 1 / 3, phase)
    assert all(abs(getattr(after, name) - getattr(before, name)) <= 30 for name in DEGREES)
    assert abs(after.shift - before.shift) <= 6
    assert abs(after.lift - before.lift) <= 6


@given(actions, moments, phases)
def test_every_action_repeats(action, seconds, phase):
    before, after = pose(action, seconds, phase), pose(action, seconds + 4 * CYCLE_SECONDS, phase)
    numbers = [field.name for field in fields(Pose) if field.name != "eyes_open"]
    assert [getattr(after, name) for name in numbers] == pytest.approx(
        [getattr(before, name) for name in numbers], abs=1e-6
    )


@given(actions, moments, phases)
def test_phase_is_time_ahead(action, seconds, phase):
    ahead, later = pose(action, seconds, phase), pose(action, seconds + phase * CYCLE_SECONDS, 0.0)
    assert ahead.left_arm == pytest.approx(later.left_arm, abs=1e-6)
    assert ahead.lift == pytest.approx(later.lift, abs=1e-6)
    assert ahead.shift == pytest.approx(later.shift, abs=1e-6)
