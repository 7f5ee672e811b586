"""Where stories play: six places, each with its own palette, lit by three times of day and under three skies.

A place is drawn back to front in layers that the camera moves by different amounts: sky, far shapes, ground
with its landmark. Colours are pale, so that the saturated cast stands out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shotstream.world.pen import Colour, Light, Pen, box, curve, joined, mix, oval, polygon

if TYPE_CHECKING:
    import skia

HORIZON = 41.0
"""Height of the ground's far edge, in lines from the top of a picture 64 lines high."""
LANDMARK_FEET = 46.0
SNOW_WHITE: Colour = (246, 249, 255)
WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Palette:
    """A place's colours by day."""

    sky: Colour
    far: Colour
    near: Colour
    ground: Colour
    trim: Colour


PALETTES = {
    "meadow": Palette((150, 212, 252), (150, 208, 158), (176, 222, 140), (168, 224, 96), (255, 250, 210)),
    "beach": Palette((160, 234, 250), (60, 184, 214), (110, 208, 226), (250, 232, 186), (255, 255, 255)),
    "city": Palette((226, 214, 240), (188, 182, 212), (160, 156, 190), (150, 150, 164), (236, 234, 240)),
    "forest": Palette((206, 226, 190), (150, 186, 140), (112, 86, 66), (120, 140, 84), (64, 112, 78)),
    "snow": Palette((190, 212, 244), (142, 172, 222), (214, 226, 246), SNOW_WHITE, (160, 190, 226)),
    "castle": Palette((198, 222, 250), (238, 210, 190), (222, 186, 176), (248, 230, 206), (128, 128, 206)),
}
_CLOUDED: dict[tuple[str, str], Colour] = {
    ("rain", "day"): (150, 166, 190),
    ("rain", "sunset"): (166, 126, 150),
    ("rain", "night"): (44, 50, 84),
    ("snowfall", "day"): (206, 212, 228),
    ("snowfall", "sunset"): (226, 180, 190),
    ("snowfall", "night"): (78, 84, 124),
}
"""What a sky full of clouds is tinted with."""
SCENE_LIGHT: dict[str, Light] = {"day": (1, 1, 1), "sunset": (1.0, 0.84, 0.74), "night": (0.36, 0.40, 0.60)}
FIGURE_LIGHT: dict[str, Light] = {"day": (1, 1, 1), "sunset": (1.0, 0.93, 0.86), "night": (0.90, 0.90, 0.98)}


def draw_sky(pen: Pen, place: str, time: str, weather: str = "clear") -> None:
    """Fills the picture with the sky of a place at a time; with sun, moon and stars, or clouded."""
    sky = PALETTES[place].sky
    half = pen.half_width
    high = 20 if place == "forest" else 10  # below the leaves
    clear = weather == "clear"
    if time == "sunset":
        colours = [mix(sky, (126, 88, 176), 0.75), mix(sky, (255, 150, 70), 0.8)]
    elif time == "night":
        colours = [mix(sky, (26, 30, 84), 0.88), mix(sky, (70, 80, 150), 0.8)]
    else:
        colours = [sky, mix(sky, WHITE, 0.45)]
    if not clear:
        grey = _CLOUDED[weather, time]
        colours = [mix(colour, grey, 0.6) for colour in colours]
    pen.gradient(0, 50, colours)
    if not clear:
        _draw_clouds(pen, mix(_CLOUDED[weather, time], WHITE, 0.1 if time == "night" else 0.35), half)
    elif time == "sunset":
        pen.fill(oval(0.32 * half, 31, 15, 15), mix(colours[1], (255, 214, 140), 0.5))
        pen.fill(oval(0.32 * half, 31, 11, 11), (255, 226, 150))
    elif time == "night":
        for x, y in ((-0.85, 7), (-0.5, 15), (-0.2, 5), (0.12, 13), (0.8, 16)):
            pen.fill(oval(x * half, y, 1.4, 1.4), (255, 250, 200))
        pen.fill(oval(0.46 * half, high, 6.5, 6.5), (255, 246, 196))
    else:
        pen.fill(oval(0.46 * half, high, 8, 8), mix(sky, (255, 240, 170), 0.6))
        pen.fill(oval(0.46 * half, high, 5.5, 5.5), (255, 226, 96))
        for x, y in ((-0.4, 10), (0.8, 15)) if place != "forest" else ():
            pen.fill(_cloud(x * half, y, 1.0), WHITE)


def _draw_clouds(pen: Pen, colour: Colour, half: float) -> None:
    for x, y, size in ((-0.95, 6, 1.7), (-0.35, 4, 2.0), (0.25, 6, 1.6), (0.85, 4, 2.0)):
        pen.fill(_cloud(x * half, y, size), mix(colour, (90, 90, 120), 0.1 if size > 1.8 else 0.0))


def _cloud(x: float, y: float, size: float) -> skia.Path:
    """Three heaps on a flat bottom."""
    base = box(x, y, 20 * size, 6 * size, 3 * size)
    heaps = joined(
        oval(x + size, y + 0.5 * size, 5.5 * size, 5 * size),
        oval(x - 5 * size, y + 2 * size, 3.5 * size, 3 * size),
    )
    return joined(base, heaps)


def draw_far(pen: Pen, place: str) -> None:
    """Draws what stands far behind: hills, the sea, a skyline, a wall of trunks, mountains."""
    palette, half = PALETTES[place], pen.half_width
    if place == "meadow":
        pen.fill(oval(-0.7 * half, 48, 0.8 * half, 17), palette.far)
        pen.fill(oval(0.6 * half, 50, 0.9 * half, 16), palette.near)
    elif place == "beach":
        pen.fill(box(0, 28, 4 * half, 20), palette.far)
        pen.fill(box(0, 36, 4 * half, 8), palette.near)
    elif place == "city":
        heights = (20, 13, 24, 16, 21, 12, 19, 15, 23, 14, 20)
        for index, height in enumerate(heights):
            colour = palette.far if index % 2 else palette.near
            pen.fill(box((index - 5) * 0.27 * half, 44 - height, 0.28 * half, height + 2), colour)
    elif place == "forest":
        pen.fill(box(0, 26, 4 * half, 20), palette.far)
        for x in (-1.25, -0.92, -0.45, -0.12, 0.3, 0.62, 1.05, 1.35):
            pen.fill(box(x * half, 0, 6, 46), palette.near)
        for x in (-1.2, -0.75, -0.3, 0.1, 0.5, 0.95, 1.3):
            pen.fill(oval(x * half, 2, 0.3 * half, 11), palette.trim)
    elif place == "castle":
        _castle(pen, palette, half)
    else:
        for x, top in ((-0.9, 16), (-0.15, 20), (0.65, 13)):
            _mountain(pen, x * half, top, palette)


def _mountain(pen: Pen, x: float, top: float, palette: Palette) -> None:
    slope = 0.9
    pen.fill(polygon((x, top), (x - 34 * slope, top + 34), (x + 34 * slope, top + 34)), palette.far)
    pen.fill(polygon((x, top), (x - 9 * slope, top + 9), (x + 9 * slope, top + 9)), SNOW_WHITE)


def _castle(pen: Pen, palette: Palette, half: float) -> None:
    """A wall with battlements between three towers with pointed roofs."""
    pen.fill(box(0, 24, 4 * half, 20), palette.far)
    for step in range(-9, 10):
        pen.fill(box(step * 7.0, 21, 4, 4), palette.far)
    pen.fill(box(0, 30, 11, 14, 5), mix(palette.near, (90, 70, 80), 0.45))
    for x, top in ((-1.12, 14), (-0.36, 10), (0.36, 10), (1.12, 14)):
        pen.fill(box(x * half, top, 11, 34), palette.near)
        pen.fill(polygon((x * half - 8, top), (x * half, top - 12), (x * half + 8, top)), palette.trim)
        pen.glow(box(x * half, top + 6, 3.4, 6, 1.7), (255, 222, 140))


def draw_ground(pen: Pen, place: str) -> None:
    """Draws the ground that the cast stands on."""
    palette, half = PALETTES[place], pen.half_width
    if place == "city":
        pen.fill(box(0, HORIZON, 4 * half, 60), palette.trim)
        pen.fill(box(0, HORIZON + 8, 4 * half, 60), palette.ground)
        return
    pen.fill(oval(0, HORIZON + 40, 3 * half, 40), palette.ground)
    if place == "meadow":
        for x, y in ((-0.8, 57), (-0.45, 50), (0.4, 51), (0.75, 58)):
            pen.fill(oval(x * half, y, 2.2, 2.0), palette.trim)
        for x, y in ((-0.62, 60), (-0.2, 48), (0.2, 61), (0.58, 47), (0.95, 52), (-0.97, 49)):
            _tuft(pen, x * half, y, mix(palette.ground, (70, 150, 70), 0.5))
    elif place == "castle":
        for x, y in ((-0.85, 52), (-0.4, 57), (0.1, 49), (0.5, 56), (0.92, 50)):
            pen.fill(box(x * half, y, 9, 3, 1.5), mix(palette.ground, (150, 130, 120), 0.3))
    elif place == "beach":
        for x, y in ((-0.5, 50), (0.35, 57), (0.8, 50), (-0.9, 59)):
            pen.fill(oval(x * half, y, 3.4, 1.3), mix(palette.ground, (190, 150, 100), 0.35))
    elif place == "snow":
        for x, y in ((-0.6, 53), (0.55, 57)):
            pen.fill(oval(x * half, y, 12, 2.2), mix(palette.ground, palette.trim, 0.4))
    elif place == "forest":
        for x, y in ((-0.65, 54), (0.6, 58)):
            pen.fill(oval(x * half, y, 11, 2.4), mix(palette.ground, palette.trim, 0.5))


def _tuft(pen: Pen, x: float, y: float, colour: Colour) -> None:
    pen.fill(
        polygon(
            (x - 2.6, y - 3),
            (x - 1, y),
            (x, y - 4),
            (x + 1, y),
            (x + 2.6, y - 3),
            (x + 1.4, y + 1),
            (x - 1.4, y + 1),
        ),
        colour,
    )


def draw_landmarks(pen: Pen, landmark: str, side: str) -> None:
    """Draws the landmark (one of `vocabulary.LANDMARKS`) at the left, the right, or both sides."""
    for where, x in (("left", -0.7), ("right", 0.7)):
        if side in (where, "both"):
            with pen.moved(x * pen.half_width, LANDMARK_FEET):
                _LANDMARKS[landmark](pen)


def draw_shadow(pen: Pen, place: str) -> None:
    """Darkens the ground under a figure, in the figure's frame."""
    pen.fill(oval(0, 1, 38, 8), mix(PALETTES[place].ground, (40, 40, 80), 0.25))


def _tree(pen: Pen) -> None:
    pen.fill(box(0, -16, 6, 17, 1), (136, 92, 60))
    pen.fill(oval(0, -24, 12, 12), (72, 158, 84))
    pen.fill(oval(-2, -29, 7, 6), (104, 184, 100))


def _windmill(pen: Pen) -> None:
    pen.fill(polygon((-5, -26), (5, -26), (8, 1), (-8, 1)), (246, 238, 226))
    pen.fill(polygon((-7, -26), (0, -33), (7, -26)), (196, 84, 70))
    for turn in (35, 125, 215, 305):
        with pen.moved(0, -25, turn=turn):
            pen.fill(box(0, -14, 5, 13, 1), (140, 104, 84))


def _palm(pen: Pen) -> None:
    pen.stroke(curve((-1, 0), (-4, -14), (2, -26)), 4.5, (160, 110, 70))
    for end in ((-12, -22), (14, -20), (-9, -34), (13, -33)):
        pen.stroke(curve((2, -27), (end[0] * 0.6, -36), end), 4.5, (52, 150, 90))


def _lighthouse(pen: Pen) -> None:
    pen.fill(polygon((-5, -26), (5, -26), (8, 1), (-8, 1)), (250, 246, 240))
    pen.fill(polygon((-6, -18), (6, -18), (7, -10), (-7, -10)), (214, 70, 66))
    pen.glow(box(0, -32, 8, 7), (255, 222, 110))
    pen.fill(polygon((-7, -32), (0, -38), (7, -32)), (214, 70, 66))


def _clock_tower(pen: Pen) -> None:
    pen.fill(box(0, -32, 14, 33), (214, 196, 160))
    pen.fill(polygon((-9, -32), (0, -42), (9, -32)), (92, 110, 130))
    pen.fill(oval(0, -24, 5, 5), (252, 252, 246))
    pen.fill(box(0, -9, 6, 10, 3), (92, 80, 80))


def _brick_house(pen: Pen) -> None:
    pen.fill(box(0, -20, 22, 21), (190, 98, 78))
    pen.fill(polygon((-14, -20), (0, -32), (14, -20)), (106, 66, 62))
    for x in (-5.5, 5.5):
        pen.glow(box(x, -16, 6, 7), (255, 232, 150))


def _mushroom(pen: Pen) -> None:
    pen.fill(box(0, -18, 9, 19, 4), (248, 236, 214))
    with pen.clipped(box(0, -34, 40, 19)):
        pen.fill(oval(0, -15, 14, 17), (206, 74, 84))
    for x, y in ((-7, -19), (1, -25), (8, -18)):
        pen.fill(oval(x, y, 2.6, 2.6), (255, 246, 232))


def _tent(pen: Pen) -> None:
    pen.fill(polygon((0, -28), (-16, 1), (16, 1)), (236, 168, 74))
    pen.fill(polygon((0, -16), (-6, 1), (6, 1)), (112, 74, 58))


def _fir(pen: Pen) -> None:
    pen.fill(box(0, -6, 5, 7), (120, 84, 64))
    for y, width in ((-5, 13), (-15, 11), (-24, 8)):
        pen.fill(polygon((0, y - 12), (-width, y), (width, y)), (54, 120, 104))
    pen.fill(polygon((0, -36), (-4.5, -29), (4.5, -29)), SNOW_WHITE)


def _cabin(pen: Pen) -> None:
    pen.fill(box(0, -18, 22, 19), (146, 98, 68))
    pen.fill(polygon((-15, -17), (0, -30), (15, -17)), (170, 72, 70))
    pen.fill(polygon((-6, -25), (0, -31), (6, -25)), SNOW_WHITE)
    pen.glow(box(-5, -13, 6, 6), (255, 226, 130))
    pen.fill(box(5, -12, 6, 13), (96, 62, 48))


def _fountain(pen: Pen) -> None:
    pen.fill(box(0, -24, 5, 22), (178, 172, 184))
    for side in (-1, 1):
        pen.stroke(curve((0, -27), (side * 9, -30), (side * 10, -12)), 2.6, (110, 196, 240))
    pen.fill(box(0, -20, 17, 4, 2), (196, 190, 202))
    pen.fill(box(0, -9, 28, 10, 3), (178, 172, 184))
    pen.fill(box(0, -9, 24, 4, 2), (110, 196, 240))


def _banner(pen: Pen) -> None:
    pen.fill(box(0, -36, 3, 37, 1), (136, 100, 76))
    pen.fill(oval(0, -36, 2.6, 2.6), (255, 214, 96))
    pen.fill(polygon((1.5, -34), (16, -34), (11, -28), (16, -20), (1.5, -20)), (206, 70, 84))
    pen.fill(polygon((1.5, -29.5), (12.5, -29.5), (11.5, -25), (1.5, -25)), (255, 232, 180))
    pen.fill(box(0, -3, 10, 4, 1.5), (150, 142, 150))


_LANDMARKS: dict[str, Callable[[Pen], None]] = {
    "tree": _tree,
    "windmill": _windmill,
    "palm": _palm,
    "lighthouse": _lighthouse,
    "clock tower": _clock_tower,
    "brick house": _brick_house,
    "mushroom": _mushroom,
    "tent": _tent,
    "fir": _fir,
    "cabin": _cabin,
    "fountain": _fountain,
    "banner": _banner,
}
