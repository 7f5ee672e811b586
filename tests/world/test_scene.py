"""Drawn shots: deterministic, a function of seconds, and everything a story says is really to be seen."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotstream.world import vocabulary
from shotstream.world.sampler import Character, sample_story
from shotstream.world.scene import draw_shot
from tests.world.one_shot import SIZE, STORY, changed_share, picture, with_hero, with_shot

pytestmark = pytest.mark.law


def test_a_shot_is_frames_of_bytes_and_always_the_same():
    story = sample_story(3, frames=4)
    frames = draw_shot(story, 1, height=48, width=80)
    assert frames.shape == (4, 48, 80, 3)
    assert frames.dtype == np.uint8
    assert np.array_equal(frames, draw_shot(story, 1, height=48, width=80))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_motion_is_a_function_of_seconds(seed, frames):
    long = sample_story(seed, shots=1, frames=frames + 3)
    short = with_shot(long, frames=frames)
    drawn = draw_shot(long, 0, height=32, width=48)
    assert np.array_equal(drawn[:frames], draw_shot(short, 0, height=32, width=48))
    assert np.array_equal(drawn[::2], draw_shot(long, 0, height=32, width=48, fps=6)[: len(drawn[::2])])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_a_larger_picture_shows_the_same(seed):
    story = sample_story(seed, shots=1, frames=1)
    small = picture(story)
    large = draw_shot(story, 0, height=128, width=192)[0].reshape(64, 2, 96, 2, 3).mean(axis=(1, 3))
    assert np.abs(large - small).mean() < 3


@pytest.mark.parametrize("framing", vocabulary.FRAMINGS)
@pytest.mark.parametrize("name", ["kind", "colour", "accessory", "accessory_colour", "pattern"])
def test_what_a_character_is_can_be_seen_in_every_framing(framing, name):
    tables = {
        "kind": vocabulary.KINDS,
        "colour": vocabulary.COLOURS,
        "accessory": vocabulary.ACCESSORIES,
        "accessory_colour": vocabulary.ACCESSORY_COLOURS,
        "pattern": vocabulary.PATTERNS,
    }
    told = [with_hero(with_shot(framing=framing), **{name: value}) for value in tables[name]]
    for index, one in enumerate(told):
        assert all(changed_share(one, other) > 0.006 for other in told[:index])


@pytest.mark.parametrize("framing", vocabulary.FRAMINGS)
@pytest.mark.parametrize("place", vocabulary.PLACES)
def test_landmark_and_side_can_be_seen_in_every_framing(framing, place):
    first, second = vocabulary.LANDMARKS[place]
    story = replace(with_shot(framing=framing), place=place, landmark=first)
    assert changed_share(story, replace(story, landmark=second)) > 0.01
    for side in ("right", "both"):
        assert changed_share(story, replace(story, side=side)) > 0.02


def test_places_and_times_have_their_own_palettes():
    told = [
        replace(STORY, place=place, time=time) for place in vocabulary.PLACES for time in vocabulary.TIMES
    ]
    told = [replace(story, landmark=vocabulary.LANDMARKS[story.place][0]) for story in told]
    for index, one in enumerate(told):
        for other in told[:index]:
            dark = one.time == other.time == "night"  # two fifths of the light are left
            assert changed_share(one, other, clearly=12 if dark else 30) > 0.2


def test_a_closer_framing_shows_a_larger_figure():
    def size(framing):
        red, green = with_shot(framing=framing), with_hero(with_shot(framing=framing), colour="green")
        return changed_share(red, green)

    assert 1.4 * size("wide") < size("medium") < size("close-up") / 1.4


@pytest.mark.parametrize("framing", vocabulary.FRAMINGS)
@pytest.mark.parametrize("action", vocabulary.ACTIONS)
def test_actions_move_and_differ(framing, action):
    def clip(name):
        return draw_shot(with_shot(framing=framing, action=name, frames=17), 0, **SIZE).astype(int)

    moving = clip(action)
    change = np.abs(np.diff(moving, axis=0)).mean()
    assert change > 0
    if action != "stands":
        assert change > 1.5 * np.abs(np.diff(clip("stands"), axis=0)).mean()
    for other in vocabulary.ACTIONS:
        assert other == action or np.abs(moving - clip(other)).mean() > 1


@pytest.mark.parametrize("camera", ["pan", "push-in"])
def test_a_moving_camera_moves_the_landmark(camera):
    first, last = draw_shot(with_shot(camera=camera, frames=33), 0, **SIZE)[[0, -1]].astype(int)
    corner = np.abs(first - last)[:, :24].max(axis=-1)
    assert (corner > 30).mean() > 0.05
    still = draw_shot(with_shot(frames=33), 0, **SIZE)
    assert np.array_equal(still[0, :, :16], still[-1, :, :16])


def test_only_the_subjects_of_a_shot_are_drawn():
    pair = replace(STORY, cast=(STORY.cast[0], Character("bear", "blue", "scarf", "pink", "spots")))
    alone = with_shot(pair, subjects=(1,))
    assert changed_share(alone, replace(alone, cast=(pair.cast[1], pair.cast[1]))) == 0
    assert changed_share(alone, with_shot(pair, subjects=(0, 1))) > 0.1


def test_without_skia_one_line_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "shotstream.world.pen", raising=False)
    monkeypatch.setitem(sys.modules, "skia", None)
    with pytest.raises(ImportError, match=r'pip install "shotstream\[world\]"'):
        draw_shot(STORY, 0, **SIZE)
