"""Weather, feelings and things in hands: to be seen, and what falls falls gently and for ever."""

from dataclasses import replace

import numpy as np
import pytest

from shotstream.world import vocabulary
from shotstream.world.scene import draw_shot
from shotstream.world.weather import PERIOD, RAIN_SPEED, SNOW_SPEED, draw_falling
from tests.world.one_shot import SIZE, STORY, changed_share, with_hero, with_shot

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("place", vocabulary.PLACES)
@pytest.mark.parametrize("time", vocabulary.TIMES)
def test_every_weather_can_be_seen(place, time):
    story = replace(STORY, place=place, time=time, landmark=vocabulary.LANDMARKS[place][0])
    told = [replace(story, weather=weather) for weather in vocabulary.WEATHER]
    clearly = 12 if time == "night" else 20
    for index, one in enumerate(told):
        assert all(changed_share(one, other, clearly) > 0.04 for other in told[:index])


@pytest.mark.parametrize(("weather", "speed"), [("rain", RAIN_SPEED), ("snowfall", SNOW_SPEED)])
def test_what_falls_repeats_and_is_slow(weather, speed):
    from shotstream.world.pen import Pen, box

    def at(seconds):
        pen = Pen(64, 96)
        pen.fill(box(0, 0, 200, 64), (0, 0, 0))
        draw_falling(pen, weather, seconds)
        return pen.picture().astype(int)

    assert np.abs(at(0.7) - at(0.7 + PERIOD / speed)).max() <= 2
    assert speed / 3 <= 4  # lines in a latent frame
    falls = round(1 / speed * 120) / 120  # about one line
    moved = np.roll(at(0.5), 1, axis=0)[8:-8, 8:-8]
    later = at(0.5 + falls)[8:-8, 8:-8]
    assert np.abs(later - moved).mean() < 0.6 * np.abs(later - np.roll(moved, 6, axis=0)).mean()


def test_a_clear_sky_drops_nothing():
    still = draw_shot(with_shot(frames=9), 0, **SIZE)
    assert np.array_equal(still[0, :, -16:], still[-1, :, -16:])
    rain = draw_shot(replace(with_shot(frames=9), weather="rain"), 0, **SIZE)
    assert not np.array_equal(rain[0, :, -16:], rain[-1, :, -16:])


@pytest.mark.parametrize("framing", vocabulary.FRAMINGS)
@pytest.mark.parametrize("kind", vocabulary.KINDS)
@pytest.mark.parametrize("accessory", ["none", "sunglasses", "scarf"])
def test_feelings_can_be_told_apart(framing, kind, accessory):
    hero = with_hero(
        kind=kind, accessory=accessory, accessory_colour="none" if accessory == "none" else "black"
    )
    told = [with_shot(hero, framing=framing, feeling=feeling) for feeling in vocabulary.FEELINGS]
    least = {"wide": 0.002, "medium": 0.004, "close-up": 0.01}[framing]
    for index, one in enumerate(told):
        assert all(changed_share(one, other) > least for other in told[:index])


@pytest.mark.parametrize("framing", ["wide", "medium"])
def test_what_is_held_can_be_seen_and_hides_no_face(framing):
    told = [with_shot(framing=framing, prop=prop) for prop in vocabulary.PROPS]
    for index, one in enumerate(told):
        assert all(changed_share(one, other) > 0.008 for other in told[:index])
    empty = draw_shot(told[0], 0, **SIZE)[0].astype(int)
    for one in told[1:]:
        face = np.abs(draw_shot(one, 0, **SIZE)[0] - empty)[:, 40:57].max(axis=-1)
        assert (face[:32] > 30).mean() < 0.03
