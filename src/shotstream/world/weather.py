"""Rain and snow: few large drops and flakes that fall slowly for ever, and what they leave on the ground.

A drop falls 4 lines in a third of a second (one latent frame), a flake 1.5: faster ones are lost in a small
autoencoder. They fall behind the cast, so that no face is hidden.
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin

import skia

from shotstream.world.pen import Colour, Light, Pen, mix, oval
from shotstream.world.places import PALETTES, SNOW_WHITE

PERIOD = 72.0
"""In lines: after falling so far, drops and flakes are where they were."""
RAIN_SPEED, SNOW_SPEED = 12.0, 4.5
"""Lines in a second."""
LIGHT: dict[str, Light] = {"day": (1, 1, 1), "sunset": (1.0, 0.94, 0.9), "night": (0.72, 0.78, 0.96)}
"""Drops and flakes shine a little at night."""
DROP: Colour = (128, 184, 255)
PUDDLE: Colour = (150, 180, 220)


def draw_falling(pen: Pen, weather: str, seconds: float) -> None:
    """Draws the drops or flakes of a moment."""
    if weather == "rain":
        fallen = RAIN_SPEED * seconds % PERIOD
        with pen.moved(-0.25 * fallen, fallen):
            pen.fill(_drops(round(pen.half_width)), DROP)
    elif weather == "snowfall":
        fallen = SNOW_SPEED * seconds % PERIOD
        with pen.moved(1.5 * sin(2 * pi * SNOW_SPEED * seconds / PERIOD * 5), fallen):
            pen.fill(_flakes(round(pen.half_width)), (255, 255, 255))


def draw_on_ground(pen: Pen, weather: str, place: str) -> None:
    """Draws puddles, or patches of snow."""
    half, ground = pen.half_width, PALETTES[place].ground
    if weather == "rain":
        for x, y in ((-0.42, 53), (0.5, 51), (0.1, 61)):
            pen.fill(oval(x * half, y, 8, 2.2), mix(ground, PUDDLE, 0.75))
    elif weather == "snowfall":
        for x, y, wide in ((-0.75, 48, 13), (-0.2, 62, 17), (0.25, 47, 11), (0.8, 58, 15)):
            pen.fill(oval(x * half, y, wide, 2.6), mix(ground, SNOW_WHITE, 0.85))


def _spots(half: int) -> list[tuple[float, float]]:
    """Evenly strewn points over one period and, again, the one above; wide enough for a moving camera."""
    count = round(2 * (half + 30) * PERIOD / 270)
    points = []
    for number in range(count):
        x = (number + 0.5) / count * 2 * (half + 30) - half - 24
        y = number * 0.618034 % 1 * PERIOD
        points += [(x, y - 0.2 * PERIOD), (x + 0.25 * PERIOD, y - 1.2 * PERIOD)]
    return points


@lru_cache(maxsize=16)
def _drops(half: int) -> skia.Path:
    path = skia.Path()
    for x, y in _spots(half):
        corners = ((0, 0), (0.9, 4.6), (-0.8, 6.6), (-2.6, 5.0))
        path.addPoly([skia.Point(x + right, y + down) for right, down in corners], True)
    return path


@lru_cache(maxsize=16)
def _flakes(half: int) -> skia.Path:
    path = skia.Path()
    for number, (x, y) in enumerate(_spots(half)):
        # straight above each other, one period apart
        x -= 0.25 * PERIOD * (number % 2)
        size = 1.6 if number // 2 % 3 else 2.2
        turns = [2 * pi * corner / 8 for corner in range(8)]
        path.addPoly([skia.Point(x + size * cos(turn), y + size * sin(turn)) for turn in turns], True)
    return path
