"""Portraits: a character by itself on a plain ground, as a person would make a reference picture."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np

from shotstream.world.motion import pose
from shotstream.world.sampler import Character

GROUNDS: dict[str, tuple[int, int, int]] = {
    "paper": (246, 243, 236),
    "cream": (250, 236, 206),
    "mint": (214, 238, 222),
    "sky": (210, 228, 246),
    "lilac": (230, 220, 242),
    "rose": (248, 222, 222),
    "grey": (216, 216, 220),
}
"""Plain pale grounds."""
SCALE, FEET, OUTLINE = 0.44, 61.0, 1.1


def draw_portrait(
    character: Character,
    *,
    height: int,
    width: int,
    ground: str = "paper",
    feeling: str = "calm",
    seed: int = 0,
) -> np.ndarray:
    """Draws a character standing on a plain ground, framed like a medium shot.

    Args:
        character: Who.
        height: Pixels from top to bottom.
        width: Pixels from left to right.
        ground: One of `GROUNDS`.
        feeling: One of `vocabulary.FEELINGS`.
        seed: Varies place, size and pose a little; 0 stands upright in the middle.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ImportError: If skia is missing, with the line that installs it.
        ValueError: If there is no such ground.
    """
    from shotstream.world.figures import draw_figure
    from shotstream.world.pen import Pen, box, mix, oval

    if ground not in GROUNDS:
        raise ValueError(f"there is no ground {ground!r}; use one of {', '.join(GROUNDS)}")
    random = Random(seed)
    vary = (lambda most: random.uniform(-most, most)) if seed else (lambda most: 0.0)
    scale = SCALE * (1 + vary(0.05))
    stand = replace(pose("stands", 0.4 + vary(0.4), 0.0), lean=vary(3), head_turn=vary(4), eyes_open=True)
    pen = Pen(height, width)
    pen.fill(box(0, 0, 4 * pen.half_width, 64), GROUNDS[ground])
    with pen.moved(vary(5), FEET + vary(0.6), scale=(scale, scale)):
        pen.fill(oval(0, 1, 38, 8), mix(GROUNDS[ground], (40, 40, 80), 0.2))
        pen.outline = OUTLINE / scale
        draw_figure(pen, character, stand, feeling=feeling)
    return pen.picture()
