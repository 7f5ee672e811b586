"""The cast: big heads with eyes, one flat colour each, drawn in a frame where a figure is 100 high.

The origin lies between the feet and y grows downwards, so the top of every head is at -100; ears and hats
reach higher. Kinds differ in silhouette: pointed ears, long ears, round ears, a square head with an antenna.
"""

from __future__ import annotations

from shotstream.world.motion import Pose
from shotstream.world.pen import Colour, Pen, box, curve, mix, oval, polygon
from shotstream.world.sampler import Character

COLOURS: dict[str, Colour] = {
    "red": (226, 44, 48),
    "orange": (252, 138, 20),
    "yellow": (255, 216, 40),
    "green": (30, 150, 66),
    "blue": (40, 92, 232),
    "purple": (138, 62, 200),
}
ACCESSORY_COLOURS: dict[str, Colour] = {
    "white": (252, 252, 252),
    "black": (32, 30, 40),
    "pink": (255, 128, 196),
    "turquoise": (70, 226, 220),
}
CREAM: Colour = (255, 242, 216)
DARK: Colour = (30, 26, 36)
WHITE: Colour = (255, 255, 255)
NECK = -52.0


def draw_figure(pen: Pen, character: Character, pose: Pose) -> None:
    """Draws a character, feet at the origin of the pen's frame; the caller has applied shift and lift."""
    colour = COLOURS[character.colour]
    limb = mix(colour, DARK, 0.2)
    with pen.moved(0, 0, turn=pose.lean, scale=(1, pose.stretch)):
        _draw_legs(pen, limb, pose)
        _draw_tail(pen, character.kind, limb)
        body = box(0, -58, 46, 50, 6 if character.kind == "robot" else 20)
        pen.fill(body, colour)
        with pen.clipped(body):
            _draw_body_pattern(pen, character.pattern, colour)
        with pen.moved(0, NECK, turn=pose.head_turn):
            _draw_head(pen, character, colour, pose)
        if character.accessory == "scarf":
            _draw_scarf(pen, ACCESSORY_COLOURS[character.accessory_colour])
        _draw_arm(pen, limb, -1, pose.left_arm)
        _draw_arm(pen, limb, 1, pose.right_arm)


def _draw_legs(pen: Pen, colour: Colour, pose: Pose) -> None:
    for side, turn in ((-1, pose.left_leg), (1, pose.right_leg)):
        with pen.moved(side * 11, -16, turn=turn):
            pen.fill(box(0, -4, 17, 20, 7), colour)


def _draw_arm(pen: Pen, colour: Colour, side: int, raised: float) -> None:
    with pen.moved(side * 20, -46, turn=-side * raised):
        pen.stroke(curve((0, 0), (0, 10), (0, 20)), 12, colour)
        pen.fill(oval(0, 23, 8.5, 8.5), colour)


def _draw_tail(pen: Pen, kind: str, colour: Colour) -> None:
    if kind == "cat":
        pen.stroke(curve((-18, -16), (-44, -10), (-40, -36)), 9, colour)
    elif kind == "rabbit":
        pen.fill(oval(-24, -16, 9, 9), CREAM)


def _draw_body_pattern(pen: Pen, pattern: str, colour: Colour) -> None:
    if pattern == "belly":
        pen.fill(oval(0, -24, 15, 19), CREAM)
    elif pattern == "stripes":
        for y in (-44, -24):
            pen.fill(box(0, y, 60, 10), mix(colour, DARK, 0.62))
    elif pattern == "spots":
        for x, y in ((-12, -40), (11, -30), (-9, -17)):
            pen.fill(oval(x, y, 8, 8), CREAM)
    else:
        pen.fill(polygon((-4, -60), (30, -60), (30, 0), (6, 0)), mix(colour, DARK, 0.62))


def _draw_head(pen: Pen, character: Character, colour: Colour, pose: Pose) -> None:
    """In a frame whose origin is the neck: the head's middle is at -22, its top at -48."""
    tint = ACCESSORY_COLOURS[character.accessory_colour]
    _draw_ears(pen, character, colour)
    head = box(0, -46, 62, 47, 10) if character.kind == "robot" else oval(0, -23, 33, 25)
    pen.fill(head, colour)
    with pen.clipped(head):
        _draw_head_pattern(pen, character.pattern, colour)
    _draw_muzzle(pen, character.kind)
    if character.accessory == "sunglasses":
        _draw_sunglasses(pen, tint)
    else:
        _draw_eyes(pen, character.kind, pose)
    if character.accessory == "top hat":
        pen.fill(box(0, -74, 34, 32, 2), tint)
        pen.fill(box(0, -49, 58, 9, 4), tint)
    elif character.accessory == "crown":
        pen.fill(polygon((-24, -40), (-28, -68), (-13, -55), (0, -72), (13, -55), (28, -68), (24, -40)), tint)


def _draw_ears(pen: Pen, character: Character, colour: Colour) -> None:
    dark = mix(colour, DARK, 0.62) if character.pattern == "patch" else colour
    inner = mix(colour, WHITE, 0.6)
    for side, fur in ((-1, colour), (1, dark)):
        if character.kind == "cat":
            pen.fill(polygon((side * 32, -64), (side * 34, -24), (side * 4, -44)), fur)
            pen.fill(polygon((side * 28, -55), (side * 29, -36), (side * 14, -43)), inner)
        elif character.kind == "rabbit":
            with pen.moved(side * 19, -38, turn=side * 12):
                pen.fill(oval(0, -18, 9, 25), fur)
                pen.fill(oval(0, -18, 4.5, 17), inner)
        elif character.kind == "bear":
            pen.fill(oval(side * 26, -43, 13, 13), fur)
            pen.fill(oval(side * 26, -43, 7, 7), inner)
        else:
            pen.fill(box(side * 33, -32, 12, 20, 4), mix(colour, DARK, 0.2))
    if character.kind == "robot":
        pen.fill(box(0, -62, 6, 20), mix(colour, DARK, 0.2))
        pen.fill(oval(0, -63, 7.5, 7.5), mix(colour, WHITE, 0.6))


def _draw_head_pattern(pen: Pen, pattern: str, colour: Colour) -> None:
    dark = mix(colour, DARK, 0.62)
    if pattern == "stripes":
        pen.fill(box(0, -50, 9, 16, 4), dark)
        for side in (-1, 1):
            for y in (-32, -17):
                pen.fill(box(side * 34, y, 20, 8, 4), dark)
    elif pattern == "spots":
        for x, y in ((-22, -36), (4, -41), (26, -22)):
            pen.fill(oval(x, y, 7, 7), CREAM)
    elif pattern == "patch":
        pen.fill(polygon((2, -60), (40, -60), (40, -8), (18, -6)), dark)


def _draw_muzzle(pen: Pen, kind: str) -> None:
    if kind == "robot":
        pen.fill(box(0, -34, 50, 20, 7), DARK)
        pen.fill(box(0, -9, 26, 6, 3), DARK)
        return
    pen.fill(oval(0, -10, 16 if kind == "bear" else 12, 10), CREAM)
    if kind == "bear":
        pen.fill(oval(0, -14, 8, 5.5), DARK)
    elif kind == "rabbit":
        pen.fill(oval(0, -14, 5, 4), (240, 110, 140))
        pen.fill(box(0, -8, 8, 8, 2), WHITE)
    else:
        pen.fill(polygon((-6, -16), (6, -16), (0, -9)), (240, 110, 140))


def _draw_eyes(pen: Pen, kind: str, pose: Pose) -> None:
    glow: Colour = (130, 255, 240)
    for x in (-14, 14):
        if not pose.eyes_open:
            pen.fill(box(x, -26, 14, 5, 2.5), glow if kind == "robot" else DARK)
        elif kind == "robot":
            pen.fill(oval(x + 3 * pose.gaze, -24, 7, 7), glow)
        else:
            pen.fill(oval(x, -26, 8.5, 9.5), WHITE)
            pen.fill(oval(x + 3 * pose.gaze, -25, 5.5, 6.5), DARK)


def _draw_sunglasses(pen: Pen, tint: Colour) -> None:
    pen.fill(box(0, -36, 64, 9, 3), tint)
    for x in (-16, 16):
        pen.fill(box(x, -36, 28, 21, 9), tint)
        pen.fill(box(x, -31, 17, 11, 5), DARK)


def _draw_scarf(pen: Pen, tint: Colour) -> None:
    pen.fill(box(0, -59, 54, 15, 7), tint)
    pen.fill(box(-12, -52, 15, 30, 4), tint)
