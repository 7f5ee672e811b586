"""Eyes, brows and mouths: what tells a feeling. In the frame of a head, whose origin is the neck.

Eyes lie at a height of -26, the mouth around -4. A robot shows all of it as light on its screen.
"""

from __future__ import annotations

from shotstream.world.cast_palette import DARK, GLOW, ROSE, WHITE
from shotstream.world.motion import Pose
from shotstream.world.pen import Colour, Pen, blob, box, curve, oval, shared

EYE = 14.0
"""From the middle to an eye."""
TEAR: Colour = (96, 196, 255)
MOUTH: Colour = (150, 34, 52)


def draw_eyes(pen: Pen, kind: str, feeling: str, pose: Pose) -> None:
    """Draws two eyes: open, blinking, or asleep."""
    line = GLOW if kind == "robot" else DARK
    large = 1.25 if feeling == "surprised" else 1.0
    for x in (-EYE, EYE):
        if not pose.eyes_open:
            bend = 5 if pose.asleep else 2
            pen.stroke(curve((x - 7, -26), (x, -26 + bend * 2), (x + 7, -26)), 4, line)
        elif kind == "robot":
            pen.fill(oval(x + 3 * pose.gaze, -25, 6.5 * large, 6.5 * large), line)
        else:
            pen.outlined(oval(x, -26, 8.0 * large, 9.0 * large), WHITE)
            looks, small = x + 2.5 * pose.gaze, 0.85 if feeling == "surprised" else 1.0
            pen.fill(oval(looks, -25, 5.5 * small, 6.5 * small), DARK)
            pen.fill(oval(looks - 1.6, -27.5, 2.0, 2.2), WHITE)


def draw_brows(pen: Pen, kind: str, feeling: str) -> None:
    """Draws brows of who is sad or surprised, and the tear of the sad one."""
    line = GLOW if kind == "robot" else DARK
    high = -35 if kind == "robot" else -40
    for side in (-1, 1):
        if feeling == "sad":
            pen.stroke(curve((side * 6, high), (side * 14, high + 2), (side * 22, high + 7)), 4, line)
        elif feeling == "surprised":
            pen.stroke(curve((side * 7, high - 1), (side * 14, high - 7), (side * 21, high - 1)), 4, line)
    if feeling == "sad":
        drop = blob((20, -19), (26.5, -7), (25, -3), (15, -3), (13.5, -7))
        pen.outlined(drop, TEAR)


def draw_cheeks(pen: Pen, kind: str, feeling: str) -> None:
    """Draws the rosy cheeks of who is happy."""
    if feeling == "happy" and kind != "robot":
        for side in (-1, 1):
            pen.veil(oval(side * 23, -12, 6.5, 5), (255, 90, 120), 0.6)


def draw_mouth(pen: Pen, kind: str, feeling: str, height: float) -> None:
    """Draws a mouth whose middle is at a height: a small smile, a laugh, an arc downwards, or a round one."""
    line = GLOW if kind == "robot" else DARK
    inside = GLOW if kind == "robot" else MOUTH
    with pen.moved(0, height):
        if feeling == "happy":
            laugh = shared(oval(0, -4, 11, 11), box(0, -3.5, 30, 20))
            if kind == "robot":
                pen.fill(laugh, inside)
            else:
                pen.outlined(laugh, inside)
                pen.fill(shared(laugh, oval(0, 7, 7, 5)), ROSE)
        elif feeling == "sad":
            pen.stroke(curve((-9, 4), (0, -7), (9, 4)), 4, line)
        elif feeling == "surprised":
            if kind == "robot":
                pen.fill(oval(0, 0.5, 6, 6), inside)
            else:
                pen.outlined(oval(0, 1, 5.5, 6.5), inside)
        else:
            pen.stroke(curve((-7, -2), (0, 4.5), (7, -2)), 3.2, line)
