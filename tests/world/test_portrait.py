"""Portraits: one character on a plain ground, whole, and every portrait another with another seed."""

import numpy as np
import pytest

from shotstream.world import vocabulary
from shotstream.world.portrait import GROUNDS, draw_portrait
from shotstream.world.sampler import Character

pytestmark = pytest.mark.unit

FOX = Character("fox", "orange", "crown", "turquoise", "spots")


def portrait(character=FOX, **options):
    return draw_portrait(character, height=64, width=96, **options).astype(int)


@pytest.mark.parametrize("ground", GROUNDS)
def test_the_ground_is_plain(ground):
    picture = portrait(ground=ground)
    assert picture.shape == (64, 96, 3)
    assert np.array_equal(picture[:, 0], np.broadcast_to(GROUNDS[ground], (64, 3)))
    assert 0.2 < (picture != picture[0, 0]).any(axis=-1).mean() < 0.6


@pytest.mark.parametrize("kind", vocabulary.KINDS)
@pytest.mark.parametrize("accessory", vocabulary.ACCESSORIES)
def test_nobody_is_cut_off(kind, accessory):
    tint = "none" if accessory == "none" else "black"
    picture = portrait(Character(kind, "blue", accessory, tint, "belly"))
    edges = np.concatenate([picture[0], picture[:, 0], picture[:, -1]])
    assert (edges == GROUNDS["paper"]).all()


def test_a_seed_varies_it_a_little():
    assert np.array_equal(portrait(seed=5), portrait(seed=5))
    assert 0.02 < (np.abs(portrait(seed=5) - portrait(seed=6)).max(axis=-1) > 30).mean() < 0.5


def test_an_unknown_ground_is_explained():
    with pytest.raises(ValueError, match="paper"):
        portrait(ground="lava")
