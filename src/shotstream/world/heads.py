"""Heads of the cast: ears, patterns, muzzles. In a frame whose origin is the neck and whose top is at -48.

Kinds differ in silhouette: pointed ears, long ears, round ears, a square head with an antenna, a face that
tapers to a snout between cheek tufts, a wide face with tufts and eye discs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shotstream.world import faces
from shotstream.world.cast_palette import (
    COLOURS,
    DARK,
    ROSE,
    WHITE,
    dark_mark,
    inner_ear,
    limb_tone,
    pale_mark,
)
from shotstream.world.motion import Pose
from shotstream.world.pen import OUTLINE, Colour, Pen, blob, box, crescent, mix, oval, polygon, shared
from shotstream.world.sampler import Character
from shotstream.world.wear import draw_head_wear, draw_sunglasses

if TYPE_CHECKING:
    import skia

BEAK: Colour = (255, 170, 40)
_MOUTH_HEIGHT = {"robot": -12.0, "fox": -2.0, "owl": -3.0}


def draw_head(pen: Pen, character: Character, feeling: str, pose: Pose) -> None:
    """Draws a head with all that is on it."""
    kind, colour = character.kind, COLOURS[character.colour]
    _draw_ears(pen, character)
    head = _head_shape(kind)
    pen.outlined(head, colour)
    for mark, tint in _pattern(character):
        pen.fill(shared(head, mark), tint)
    pen.veil(crescent(head, -5, -4), OUTLINE, 0.2)
    _draw_muzzle(pen, character)
    faces.draw_cheeks(pen, kind, feeling)
    if character.accessory != "sunglasses":
        faces.draw_eyes(pen, kind, feeling, pose)
    faces.draw_mouth(pen, kind, feeling, _MOUTH_HEIGHT.get(kind, -4.0))
    if kind == "owl":
        pen.outlined(blob((-8, -22), (8, -22), (5, -14), (0, -5), (-5, -14)), BEAK)
    if character.accessory == "sunglasses":
        draw_sunglasses(pen, character.accessory_colour, pose, on_dark=kind == "robot")
    faces.draw_brows(pen, kind, feeling)
    draw_head_wear(pen, character)


def _head_shape(kind: str) -> skia.Path:
    if kind == "robot":
        return box(0, -48, 64, 50, 12)
    if kind == "fox":
        return blob(
            (-34, -44), (0, -53), (34, -44), (40, -12), (22, 1), (10, 9), (-10, 9), (-22, 1), (-40, -12)
        )
    return oval(0, -23, 36 if kind == "owl" else 33, 25)


def _draw_ears(pen: Pen, character: Character) -> None:
    colour = COLOURS[character.colour]
    dark = dark_mark(character.colour) if character.pattern == "patch" else colour
    inner = inner_ear(character.colour)
    for side, fur in ((-1, colour), (1, dark)):
        if character.kind == "cat":
            pen.outlined(polygon((side * 32, -64), (side * 34, -24), (side * 4, -44)), fur)
            pen.fill(polygon((side * 28, -55), (side * 29, -36), (side * 14, -43)), inner)
        elif character.kind == "rabbit":
            with pen.moved(side * 18, -38, turn=side * 12):
                pen.outlined(oval(0, -18, 9.5, 24), fur)
                pen.fill(oval(0, -18, 4.5, 16), inner)
        elif character.kind == "bear":
            pen.outlined(oval(side * 26, -43, 13, 13), fur)
            pen.fill(oval(side * 26, -43, 7, 7), inner)
        elif character.kind == "fox":
            pen.outlined(polygon((side * 34, -76), (side * 38, -30), (side * 2, -44)), fur)
            pen.fill(polygon((side * 31, -64), (side * 33, -40), (side * 16, -44)), DARK)
            pen.outlined(polygon((side * 30, -28), (side * 50, -8), (side * 16, -1)), WHITE)
        elif character.kind == "owl":
            pen.outlined(polygon((side * 44, -60), (side * 34, -22), (side * 12, -42)), fur)
        else:
            pen.outlined(box(side * 34, -32, 12, 20, 4), limb_tone(character.colour))
    if character.kind == "robot":
        pen.outlined(box(0, -62, 5, 20), limb_tone(character.colour))
        pen.outlined(oval(0, -64, 7.5, 7.5), mix(colour, WHITE, 0.6))


def _pattern(character: Character) -> list[tuple[skia.Path, Colour]]:
    """Marks and their colours: on forehead and sides, where neither hat nor face covers all of it."""
    dark, pale = dark_mark(character.colour), pale_mark(character.colour)
    if character.pattern == "belly" and character.kind == "robot":  # above and below its screen
        return [(box(0, -52, 32, 14), pale), (box(0, -6, 32, 14), pale)]
    if character.pattern == "belly":
        return [(blob((-13, -54), (13, -54), (6, -24), (0, -14), (-6, -24)), pale)]
    if character.pattern == "stripes":
        sides = [(box(side * 36, y, 22, 8, 4), dark) for side in (-1, 1) for y in (-33, -18)]
        return [(box(0, -52, 9, 20, 4), dark), *sides]
    if character.pattern == "spots":
        return [(oval(x, y, 7, 7), pale) for x, y in ((-25, -33), (3, -41), (28, -25), (-25, -8))]
    return [(polygon((1, -60), (50, -60), (50, 10), (20, 4)), dark)]


def _draw_muzzle(pen: Pen, character: Character) -> None:
    kind, pale = character.kind, pale_mark(character.colour)
    if kind == "robot":
        pen.outlined(box(0, -40, 47, 35, 9), DARK)
    elif kind == "owl":
        for side in (-1, 1):
            pen.fill(oval(side * 15, -24, 17, 17), pale)
    elif kind == "fox":
        pen.fill(blob((-9, -22), (9, -22), (15, -4), (9, 8), (-9, 8), (-15, -4)), pale)
        pen.fill(oval(0, -13, 6.5, 5), DARK)
    else:
        pen.fill(oval(0, -7, 19 if kind == "bear" else 16, 11), pale)
        if kind == "bear":
            pen.fill(oval(0, -14, 8, 5.5), DARK)
        elif kind == "rabbit":
            pen.fill(oval(0, -14, 5, 4), ROSE)
        else:
            pen.fill(polygon((-6, -17), (6, -17), (0, -10)), ROSE)
