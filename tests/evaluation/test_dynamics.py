"""Speeds of pictures that are moved by a known number of pixels."""

import sys

import numpy as np
import pytest

from shotstream.evaluation.dynamics import DYNAMIC_SPEED, motion_speed

pytestmark = pytest.mark.unit


def moving(pixels, frames=5, height=64, width=96):
    """A soft texture that moves to the left by `pixels` a frame."""
    x, y = np.meshgrid(np.arange(width + 40), np.arange(height))
    wall = sum(np.sin((a * x + b * y) / 9 + a) for a, b in ((1, 2), (2, -1), (3, 1), (-1, 3)))
    wall = np.uint8(np.round(127 + 31 * wall))
    return np.stack([wall[:, t * pixels : t * pixels + width] for t in range(frames)])[..., None].repeat(
        3, -1
    )


def test_what_stands_still_has_no_speed():
    assert 0 <= motion_speed(moving(0), fps=12) < DYNAMIC_SPEED / 10


@pytest.mark.parametrize("pixels", [1, 3])
def test_speed_is_in_picture_sides_per_second(pixels):
    assert motion_speed(moving(pixels), fps=12) == pytest.approx(pixels * 12 / 64, rel=0.15)
    assert motion_speed(moving(pixels), fps=24) == pytest.approx(pixels * 24 / 64, rel=0.15)


def test_the_fastest_twentieth_counts():
    film = moving(0, frames=3)
    film[:, 16:48, 32:64] = moving(2, frames=3)[:, 16:48, 32:64]  # a sixth of the picture moves
    assert motion_speed(film, fps=12) == pytest.approx(2 * 12 / 64, rel=0.25)


def test_one_frame_does_not_move():
    with pytest.raises(ValueError, match="1 frames are too few to measure this; give at least 2"):
        motion_speed(moving(0, frames=1), fps=12)


def test_a_missing_library_names_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r'pip install "shotstream\[evaluate\]"'):
        motion_speed(moving(0), fps=12)
