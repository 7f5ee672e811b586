"""How the cast moves: a pose for every moment of every action, cyclic and gentle.

In a third of a second (one latent frame) no limb turns by more than 30 degrees and no body moves by more than
6 lines: faster motion is lost in a small autoencoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

CYCLE_SECONDS = 1.375
"""Two cycles in a shot of 33 frames at 12 frames per second."""


@dataclass(frozen=True)
class Pose:
    """Where the parts of a figure are; turns in degrees, clockwise as seen."""

    shift: float = 0.0
    """To the right, in lines of a picture 64 lines high."""
    lift: float = 0.0
    """Upwards, in lines of a picture 64 lines high."""
    lean: float = 0.0
    head_turn: float = 0.0
    left_arm: float = 24.0
    """Raised outwards from hanging; so is the right one, mirrored. Left is the left of the picture."""
    right_arm: float = 24.0
    left_leg: float = 0.0
    right_leg: float = 0.0
    stretch: float = 1.0
    """Height against the resting height."""
    gaze: float = 0.0
    """Where the eyes look, from -1 (left) to 1 (right)."""
    seat: float = 0.0
    """How far the figure has sat down, from 0 (stands) to 1."""
    eyes_open: bool = True
    asleep: bool = False


def pose(action: str, seconds: float, phase: float) -> Pose:
    """The pose of an action at a moment.

    Args:
        action: One of `vocabulary.ACTIONS`.
        seconds: Time since the shot began.
        phase: Part of a cycle that the action is ahead, in [0, 1).
    """
    turns = seconds / CYCLE_SECONDS + phase
    beat, slow = sin(2 * pi * turns), sin(pi * turns)
    eyes_open = (turns % 2) > 0.15
    if action == "walks":
        return Pose(
            shift=8 * sin(pi * turns / 2),
            lift=1.2 * abs(beat),
            lean=4 * cos(pi * turns / 2),
            left_arm=28 + 19 * beat,
            right_arm=28 - 19 * beat,
            left_leg=19 * beat,
            right_leg=19 * beat,
            gaze=cos(pi * turns / 2),
            eyes_open=eyes_open,
        )
    if action == "waves":
        return Pose(right_arm=128 + 17 * beat, head_turn=4 * beat, eyes_open=eyes_open)
    if action == "jumps":
        height = sin(pi * turns) ** 2
        return Pose(
            lift=6.5 * height,
            stretch=0.93 + 0.1 * height,
            left_arm=36 + 38 * height,
            right_arm=36 + 38 * height,
            left_leg=10 * height,
            right_leg=-10 * height,
            eyes_open=eyes_open,
        )
    if action == "dances":
        return Pose(
            shift=2.5 * slow,
            lean=4 * slow,
            head_turn=9 * slow,
            left_arm=95 + 38 * slow,
            right_arm=95 - 38 * slow,
            left_leg=9 * slow,
            right_leg=9 * slow,
            gaze=slow,
        )
    if action == "sits":
        return Pose(
            seat=1.0,
            left_arm=20 + 5 * slow,
            right_arm=20 - 5 * slow,
            left_leg=9 * slow,
            right_leg=9 * slow,
            head_turn=5 * slow,
            gaze=0.6 * slow,
            eyes_open=eyes_open,
        )
    if action == "sleeps":
        return Pose(
            seat=1.0,
            stretch=1 + 0.02 * slow,
            head_turn=9 + 3 * slow,
            left_arm=8,
            right_arm=8,
            eyes_open=False,
            asleep=True,
        )
    return Pose(stretch=1 + 0.012 * slow, head_turn=2 * slow, gaze=0.6 * slow, eyes_open=eyes_open)
