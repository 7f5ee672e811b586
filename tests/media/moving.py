"""A small moving scene for tests of video."""

from __future__ import annotations

import numpy as np


def moving(frames: int, height: int = 32, width: int = 64, first: int = 0) -> np.ndarray:
    """A soft background with a red square that moves two pixels a frame, ``uint8 [T, H, W, 3]``."""
    y, x = np.mgrid[0:height, 0:width] / height
    scene = np.empty((frames, height, width, 3), np.uint8)
    for number in range(frames):
        at = 2 * (first + number) % (width - 8)
        scene[number] = np.stack([60 + 40 * x, 80 + 60 * y, 120 + 50 * np.sin(4 * x * y)], axis=-1)
        scene[number, 8:16, at : at + 8] = (220, 40, 40)
    return scene
