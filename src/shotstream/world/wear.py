"""What the cast wears and what it holds."""

from __future__ import annotations

from shotstream.world.cast_palette import ACCESSORY_COLOURS, DARK, WHITE
from shotstream.world.motion import Pose
from shotstream.world.pen import Colour, Pen, blob, box, curve, mix, oval, polygon, shared
from shotstream.world.sampler import Character

BALLOON: Colour = (255, 84, 120)
PETAL: Colour = (255, 255, 255)
POLLEN: Colour = (255, 196, 40)
STEM: Colour = (60, 160, 80)
UMBRELLA: tuple[Colour, Colour] = ((255, 206, 64), (255, 250, 236))
SCREEN_EDGE: Colour = (150, 160, 186)
HOLDING = 58.0
"""Degrees by which the arm that holds something is raised."""


def draw_head_wear(pen: Pen, character: Character) -> None:
    """Draws a hat, a crown or a bow, in the frame of the head."""
    if character.accessory == "none":
        return
    tint = ACCESSORY_COLOURS[character.accessory_colour]
    shade = mix(tint, DARK, 0.3) if character.accessory_colour != "black" else mix(tint, WHITE, 0.3)
    if character.accessory == "top hat":
        pen.outlined(box(0, -77, 36, 33, 3), tint)
        pen.fill(box(0, -56, 36, 7), shade)
        pen.outlined(box(0, -51, 60, 8, 4), tint)
    elif character.accessory == "crown":
        pen.outlined(
            polygon((-24, -42), (-29, -70), (-14, -57), (0, -74), (14, -57), (29, -70), (24, -42)), tint
        )
        pen.fill(box(0, -50, 47, 6), shade)
    elif character.accessory == "bow":
        with pen.moved(13, -47, turn=12):
            for side in (-1, 1):
                pen.outlined(
                    blob((0, 0), (side * 14, -17), (side * 27, -14), (side * 27, 14), (side * 14, 17)), tint
                )
            pen.outlined(oval(0, 0, 6.5, 7.5), shade)


def draw_sunglasses(pen: Pen, tint: str, pose: Pose, on_dark: bool) -> None:
    """Draws sunglasses over the eyes; through them only a sleeper's lids are seen.

    `on_dark` draws a pale edge, for a robot's screen.
    """
    frame = ACCESSORY_COLOURS[tint]
    if on_dark:
        for x in (-16, 16):
            pen.fill(box(x, -38.5, 34, 26, 11.5), SCREEN_EDGE)
    pen.outlined(box(0, -35, 64, 8, 3), frame)
    for x in (-16, 16):
        pen.outlined(box(x, -36, 29, 21, 9), frame)
        pen.fill(box(x, -32, 19, 13, 6), DARK)
        if pose.asleep:
            pen.stroke(curve((x - 5, -26), (x, -22), (x + 5, -26)), 3, WHITE)
        else:
            pen.stroke(curve((x - 5, -25), (x - 3, -27), (x - 1, -29)), 3, WHITE)


def draw_scarf(pen: Pen, tint: str) -> None:
    """Draws a scarf over neck and shoulders, below the mouth; in the frame of the figure."""
    colour = ACCESSORY_COLOURS[tint]
    shade = mix(colour, DARK, 0.3) if tint != "black" else mix(colour, WHITE, 0.3)
    pen.outlined(box(-11, -40, 16, 31, 4), colour)
    pen.fill(box(-11, -18, 16, 5), shade)
    pen.outlined(box(0, -48.5, 58, 16.5, 8), colour)


def draw_umbrella(pen: Pen, hand: tuple[float, float]) -> None:
    """Draws an umbrella above the hand that holds it; before the figure, so that no face is hidden."""
    with pen.moved(*hand, turn=-8):
        pen.outlined_stroke(curve((0, 14), (0, -30), (0, -66)), 3.5, (150, 100, 70))
        roof = shared(oval(0, -60, 42, 38), box(0, -110, 110, 50))
        pen.outlined(roof, UMBRELLA[0])
        pen.fill(shared(roof, oval(0, -60, 16, 42)), UMBRELLA[1])


def draw_held(pen: Pen, prop: str, hand: tuple[float, float], sway: float) -> None:
    """Draws a balloon or a flower in a hand; `sway` in degrees."""
    if prop == "none" or prop == "umbrella":
        return
    with pen.moved(*hand, turn=sway):
        if prop == "balloon":
            pen.stroke(curve((0, 0), (-8, -24), (-8, -50)), 2.4, DARK)
            pen.outlined(polygon((-8, -54), (-12, -46), (-4, -46)), BALLOON)
            pen.outlined(oval(-8, -70, 17, 19), BALLOON)
            pen.fill(oval(-14, -77, 4, 5), WHITE)
        else:
            pen.outlined_stroke(curve((2, 10), (0, -6), (-4, -22)), 3.5, STEM)
            with pen.moved(-5, -29):
                for x, y in ((0, -10), (9.5, -3), (6, 8), (-6, 8), (-9.5, -3)):
                    pen.outlined(oval(x, y, 7, 7), PETAL)
                for x, y in ((0, -10), (9.5, -3), (6, 8), (-6, 8), (-9.5, -3)):
                    pen.fill(oval(x, y, 7, 7), PETAL)
                pen.fill(oval(0, 0, 6.5, 6.5), POLLEN)
