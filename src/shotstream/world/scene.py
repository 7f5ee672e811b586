"""A shot of a story as pixels: the camera looks at the layers of a place and at the cast in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import cos, pi
from typing import TYPE_CHECKING

import numpy as np

from shotstream.world.motion import Pose, pose
from shotstream.world.sampler import WorldShot, WorldStory

if TYPE_CHECKING:
    from shotstream.world.pen import Pen

CAMERA_SECONDS = 2.75
"""A camera move takes this long, and then goes back."""
DISTANCE = 53.0
"""From the middle to each of two characters, in figure units (a figure is 100 high)."""


@dataclass(frozen=True)
class Framing:
    """How large figures are and where they stand in a picture of 64 lines."""

    scale: float
    """Lines per figure unit."""
    feet: float
    """Lines from the top of the picture to the ground under the feet."""
    background: float
    """Size of ground and landmarks against a wide shot."""
    outline: float
    """Width of the line around figures, in lines."""


FRAMINGS = {
    "wide": Framing(0.37, 59, 1.0, 0.9),
    "medium": Framing(0.49, 66, 1.12, 1.1),
    "close-up": Framing(0.80, 97, 1.3, 1.4),
}
PAIR = replace(FRAMINGS["medium"], scale=0.45, feet=65)
"""A medium shot of two."""
SKY, FAR, GROUND = 0.1, 0.4, 0.8
"""How much of the camera's move and zoom each layer of the background follows; figures follow all of it."""
AIM = 38.0
"""The height that a zoom keeps, in lines from the top of the picture."""


def draw_shot(
    story: WorldStory, index: int, *, height: int, width: int, fps: float = 12, cast: bool = True
) -> np.ndarray:
    """Draws one shot of a story.

    Args:
        story: The story.
        index: Which shot, from 0.
        height: Pixels from top to bottom; everything scales with it.
        width: Pixels from left to right; a wider picture shows more of the place.
        fps: Frames per second; motion is a function of seconds.
        cast: Whether the cast is drawn; a place without it shows by the difference where figures are.

    Returns:
        uint8 [T, H, W, 3] with the shot's number of frames.

    Raises:
        ImportError: If skia is missing, with the line that installs it.
    """
    from shotstream.world.pen import Pen

    pen = Pen(height, width)
    shot = story.shots[index]
    frames = np.empty((shot.frames, height, width, 3), np.uint8)  # [T, H, W, 3]
    backdrop: np.ndarray | None = None
    for number in range(shot.frames):
        camera = _aim(story, shot, number / fps)
        if backdrop is not None:
            pen.bring_back(backdrop)
        else:
            _draw_place(pen, story, camera)
            backdrop = pen.keep() if shot.camera == "still" else None
        _draw_falling(pen, story, camera, number / fps)
        if cast:
            _draw_cast(pen, story, shot, camera, number / fps)
        frames[number] = pen.picture()
    return frames


@dataclass(frozen=True)
class _Camera:
    """Where the camera is at a moment."""

    framing: Framing
    x: float
    """Of the background, in lines to the right."""
    pan: float
    """The part of x that figures see too."""
    zoom: float

    @contextmanager
    def layer(self, pen: Pen, depth: float) -> Iterator[None]:
        """Moves the pen into a layer of the background that follows a share `depth` of the camera."""
        scale = 1 + (self.zoom * self.framing.background - 1) * depth
        with pen.moved(-self.x * depth, AIM * (1 - scale), scale=(scale, scale)):
            yield

    @contextmanager
    def figure(self, pen: Pen, x: float) -> Iterator[None]:
        """Moves the pen to the feet of a figure that stands at x (figure units), 100 units high."""
        scale = self.framing.scale * self.zoom
        feet = AIM + (self.framing.feet - AIM) * self.zoom
        with pen.moved(x * scale - self.pan, feet, scale=(scale, scale)):
            yield


def _aim(story: WorldStory, shot: WorldShot, seconds: float) -> _Camera:
    move = -cos(pi * seconds / CAMERA_SECONDS)
    pan = 5 * move if shot.camera == "pan" else 0.0
    zoom = 1.1 + 0.1 * move if shot.camera == "push-in" else 1.0
    alone = len(shot.subjects) < len(story.cast)
    stand = 9.0 * (2 * shot.subjects[0] - 1) if alone else 0.0
    pair = len(shot.subjects) == 2 and shot.framing == "medium"
    return _Camera(PAIR if pair else FRAMINGS[shot.framing], pan + stand, pan, zoom)


def _draw_place(pen: Pen, story: WorldStory, camera: _Camera) -> None:
    from shotstream.world import places, weather

    pen.light = (1.0, 1.0, 1.0)
    with camera.layer(pen, SKY):
        places.draw_sky(pen, story.place, story.time, story.weather)
    pen.light = places.SCENE_LIGHT[story.time]
    with camera.layer(pen, FAR):
        places.draw_far(pen, story.place)
    with camera.layer(pen, GROUND):
        places.draw_ground(pen, story.place)
        weather.draw_on_ground(pen, story.weather, story.place)
        places.draw_landmarks(pen, story.landmark, story.side)


def _draw_falling(pen: Pen, story: WorldStory, camera: _Camera, seconds: float) -> None:
    from shotstream.world import weather

    pen.light = weather.LIGHT[story.time]
    with camera.layer(pen, GROUND):
        weather.draw_falling(pen, story.weather, seconds)


def _draw_cast(pen: Pen, story: WorldStory, shot: WorldShot, camera: _Camera, seconds: float) -> None:
    """Draws the subjects side by side, each on a shadow; two of them look at each other."""
    from shotstream.world import figures, places, wear

    for order, index in enumerate(shot.subjects):
        moment = pose(shot.action, seconds, shot.phase + 0.5 * order)
        if len(shot.subjects) == 2:  # nobody walks out of the picture
            moment = replace(moment, shift=0.4 * moment.shift)
        if len(story.cast) == 2:
            moment = replace(moment, gaze=1.0 - 2.0 * index)
        if shot.framing == "close-up":  # the camera looks lower at who sits
            moment = replace(moment, seat=0.3 * moment.seat)
        if shot.prop != "none":  # the hand keeps still, more or less
            moment = replace(moment, left_arm=wear.HOLDING + 0.1 * (moment.left_arm - Pose.left_arm))
        x = DISTANCE * (2 * order - 1) if len(shot.subjects) == 2 else 0.0
        shift, lift = moment.shift / camera.framing.scale, moment.lift / camera.framing.scale
        with camera.figure(pen, x + shift):
            pen.light = places.SCENE_LIGHT[story.time]
            places.draw_shadow(pen, story.place)
            pen.light = places.FIGURE_LIGHT[story.time]
            pen.outline = camera.framing.outline / camera.framing.scale
            with pen.moved(0, -lift):
                figures.draw_figure(pen, story.cast[index], moment, feeling=shot.feeling, prop=shot.prop)
