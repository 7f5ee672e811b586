"""Text in pictures: titles, credits and subtitles are seen, and what is drawn or patterned is none."""

import random

import cv2
import numpy as np
import pytest

from shotstream.data.films.lettering import LOOK_HEIGHT, lettered_fraction
from shotstream.data.films.settings import FilmSettings

from .drawn_films import credits_on, draw

pytestmark = pytest.mark.unit

MOST = FilmSettings().most_text
WORDS = [
    "director",
    "of",
    "photography",
    "music",
    "the",
    "quiet",
    "village",
    "written",
    "by",
    "Anna",
    "Smith",
]


def looked_at(picture):
    height, width = picture.shape[:2]
    return cv2.resize(picture, (round(width * LOOK_HEIGHT / height), LOOK_HEIGHT))


def lines(chance, count, words):
    said = [" ".join(chance.choices(WORDS, k=words)) for _ in range(count)]
    return [chance.choice([line, line.title(), line.upper()]) for line in said]


@pytest.fixture(scope="module")
def scenes():
    """16 pictures of 4 stories, uint8 [360, 540, 3]."""
    return [shot[4] for seed in range(4) for shot in draw(seed, (5,) * 4, 360, 540)]


def seen(pictures):
    return np.mean([lettered_fraction(looked_at(picture)) > MOST for picture in pictures])


def test_the_drawn_world_has_no_text(scenes):
    assert seen(scenes) == 0


@pytest.mark.parametrize(
    ("kind", "on_scene", "count", "words", "size", "top", "least"),
    [
        ("credits", False, 9, 3, 22, 0.05, 1),
        ("credits over a scene", True, 9, 3, 22, 0.05, 0.85),
        ("titles", False, 2, 2, 44, 0.35, 0.9),
        ("subtitles", True, 2, 5, 20, 0.82, 0.6),
        ("titles over a scene", True, 2, 2, 44, 0.35, 0),
    ],
)
def test_text_is_seen(scenes, kind, on_scene, count, words, size, top, least):
    """Titles over the thick outlines of the drawn world are mostly missed, which docs/own_films.md says."""
    chance = random.Random(0)
    written = [
        credits_on(scene if on_scene else np.zeros_like(scene), lines(chance, count, words), size, top)
        for scene in scenes
    ]
    found = seen(written)
    print(f"\n{kind}: {found:.2f} of {len(written)}")
    assert found >= least


def test_patterns_are_no_text():
    windows = np.full((360, 540, 3), 90, np.uint8)
    windows[20:340] = np.tile(
        np.pad(np.full((20, 12, 3), 220, np.uint8), ((6, 6), (6, 6), (0, 0))), (10, 23, 1)
    )[:320, :540]
    fence = np.zeros((360, 540, 3), np.uint8)
    fence[100:140, ::16] = fence[100:140, 1::16] = fence[100:140, 2::16] = 255
    grass = [
        cv2.resize(
            np.random.default_rng(0).integers(0, 255, (360 // size, 540 // size, 3), np.uint8), (540, 360)
        )
        for size in (1, 2, 4, 8)
    ]
    waves = np.sin(np.arange(540) / 9)[None, :, None] * np.sin(np.arange(360) / 7)[:, None, None] * 127 + 127
    assert seen([windows, fence, *grass, np.repeat(waves, 3, axis=2).astype(np.uint8)]) == 0
