"""The cast: big heads with eyes, one colour each, drawn in a frame where a figure is 100 high.

The origin lies between the feet and y grows downwards, so the top of every head is at -100; ears and hats
reach higher. Every part has a dark outline and a side in the shade.
"""

from __future__ import annotations

from math import cos, radians, sin
from typing import TYPE_CHECKING

from shotstream.world.cast_palette import COLOURS, WHITE, dark_mark, limb_tone, pale_mark
from shotstream.world.heads import BEAK, draw_head
from shotstream.world.motion import Pose
from shotstream.world.pen import (
    OUTLINE,
    Colour,
    Pen,
    blob,
    box,
    crescent,
    curve,
    joined,
    mix,
    oval,
    polygon,
    shared,
)
from shotstream.world.sampler import Character
from shotstream.world.wear import draw_held, draw_scarf, draw_umbrella

if TYPE_CHECKING:
    import skia

NECK = -52.0
SHOULDER = (20.0, -46.0)
REACH = 24.0
"""From a shoulder to the middle of the hand."""
SEAT = 10.0
"""By how much lower who sits is."""


def draw_figure(
    pen: Pen, character: Character, pose: Pose, *, feeling: str = "calm", prop: str = "none"
) -> None:
    """Draws a character, feet at the origin of the pen's frame; the caller has applied shift and lift.

    Args:
        pen: Draws; its `outline` is set.
        character: Who.
        pose: Its limbs; who holds something has the left arm as `wear.HOLDING` says.
        feeling: One of `vocabulary.FEELINGS`.
        prop: One of `vocabulary.PROPS`, in the left hand.
    """
    limb = BEAK if character.kind == "owl" else limb_tone(character.colour)
    hand = _left_hand(pose)
    with pen.moved(0, SEAT * pose.seat, turn=pose.lean, scale=(1, pose.stretch)):
        if prop == "umbrella":
            draw_umbrella(pen, hand)
        _draw_tail(pen, character)
        if not pose.seat:
            _draw_legs(pen, limb, pose)
        _draw_body(pen, character)
        if pose.seat:
            _draw_seated_legs(pen, limb, pose)
        with pen.moved(0, NECK, turn=pose.head_turn):
            draw_head(pen, character, feeling, pose)
        draw_held(pen, prop, hand, 0.3 * (pose.head_turn + pose.lean))
        for side, raised in ((-1, pose.left_arm), (1, pose.right_arm)):
            _draw_arm(pen, character, side, raised)
        if character.accessory == "scarf":
            draw_scarf(pen, character.accessory_colour)
        if pose.asleep:
            _draw_zzz(pen, pose)


def _left_hand(pose: Pose) -> tuple[float, float]:
    turn = radians(pose.left_arm)
    return -SHOULDER[0] - REACH * sin(turn), SHOULDER[1] + REACH * cos(turn)


def _draw_legs(pen: Pen, colour: Colour, pose: Pose) -> None:
    for side, turn in ((-1, pose.left_leg), (1, pose.right_leg)):
        with pen.moved(side * 11, -16, turn=turn):
            pen.outlined(box(0, -4, 17, 20, 7), colour)


def _draw_seated_legs(pen: Pen, colour: Colour, pose: Pose) -> None:
    """Legs towards the viewer: two soles."""
    for side, turn in ((-1, pose.left_leg), (1, pose.right_leg)):
        with pen.moved(side * 20, -18, turn=turn):
            pen.outlined(oval(0, 0, 10.5, 12), colour)
            pen.fill(oval(0, 2, 5.5, 6.5), mix(colour, WHITE, 0.55))


def _draw_arm(pen: Pen, character: Character, side: int, raised: float) -> None:
    limb = limb_tone(character.colour)
    wide = 5 if character.kind == "owl" else 0
    with pen.moved(side * (SHOULDER[0] + wide), SHOULDER[1], turn=-side * raised, scale=(side, 1)):
        if character.kind == "owl":
            pen.outlined(blob((-10, -8), (8, -8), (9, 16), (0, 44), (-12, 16)), limb)
        else:
            pen.outlined(joined(box(0, -6, 13, 30, 6.5), oval(0, 23, 8.5, 8.5)), limb)


def _draw_tail(pen: Pen, character: Character) -> None:
    limb = limb_tone(character.colour)
    if character.kind == "cat":
        pen.outlined_stroke(curve((-18, -16), (-44, -10), (-40, -36)), 9, limb)
    elif character.kind == "rabbit":
        pen.outlined(oval(-25, -16, 10, 10), WHITE)
    elif character.kind == "fox":
        tail = blob((-12, -8), (-36, -2), (-66, -14), (-66, -48), (-52, -66), (-42, -44), (-30, -24))
        pen.outlined(tail, limb)
        pen.fill(shared(tail, box(-56, -70, 50, 28)), WHITE)


def _draw_body(pen: Pen, character: Character) -> None:
    if character.kind == "owl":
        body = oval(0, -32, 29, 29)
    else:
        body = box(0, -58, 46, 50, 7 if character.kind == "robot" else 20)
    pen.outlined(body, COLOURS[character.colour])
    for mark, tint in _body_pattern(character):
        pen.fill(shared(body, mark), tint)
    pen.veil(crescent(body, -6, -3), OUTLINE, 0.2)


def _body_pattern(character: Character) -> list[tuple[skia.Path, Colour]]:
    """The marks of a pattern, and their colours."""
    dark, pale = dark_mark(character.colour), pale_mark(character.colour)
    if character.pattern == "belly":
        return [(oval(0, -24, 15, 19), pale)]
    if character.pattern == "stripes":
        return [(box(0, y, 60, 10), dark) for y in (-44, -24)]
    if character.pattern == "spots":
        return [(oval(x, y, 8, 8), pale) for x, y in ((-12, -40), (11, -30), (-9, -17))]
    return [(polygon((-4, -60), (30, -60), (30, 0), (6, 0)), dark)]


def _draw_zzz(pen: Pen, pose: Pose) -> None:
    """Draws three letters that rise from the head."""
    rise = 12 * (pose.stretch - 1) / 0.02 / 4
    for x, y, size in ((42, -88, 4.5), (51, -103, 5.5), (43, -120, 6.5)):
        z = polygon(
            (x - size, y - size),
            (x + size, y - size),
            (x - size, y + size),
            (x + size, y + size),
            (x - size, y + size),
            (x + size, y - size),
        )
        with pen.moved(0, -rise):
            pen.outlined_stroke(z, 3.4, WHITE)
