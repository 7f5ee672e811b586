"""Frames of video files as a viewer sees them: upright, with square pixels, at their own times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shotstream.media.video import pyav

HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""Transfer functions of H.273 whose pictures look flat without tone mapping, which is not done here."""
EARLY = 0.1
"""A frame that is due less than this part of a frame later is taken as due now: time bases round."""


class FilmError(ValueError):
    """A video file cannot be used; the message says why."""


@dataclass(frozen=True)
class FilmFacts:
    """What a video file says of itself; sizes are of the picture as it is shown."""

    codec: str
    height: int
    width: int
    fps: float
    """Mean frame rate."""
    pixel_format: str
    rotation: int
    """Degrees that the stored picture is turned by."""
    interlaced: bool
    hdr: str
    """Name of the transfer function of a high dynamic range; empty for others."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open the container and the video stream of a file.

    Raises:
        FilmError: If it has none that can be read.
    """
    av = pyav()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise FilmError(f"{path} has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield container, stream
    except av.FFmpegError as error:
        raise FilmError(f"{path} cannot be read as a video ({error})") from error


def probe(path: Path) -> FilmFacts:
    """Read what a file says of itself, and its first frame.

    Raises:
        FilmError: If it holds no frame that can be read.
    """
    with opened(path) as (container, stream):
        frame = next(container.decode(stream), None)
        rate = stream.average_rate or stream.guessed_rate
        if frame is None or not rate:
            raise FilmError(f"{path} is a video without frames or without a frame rate")
        height, width = shown_size(frame, stream)
        return FilmFacts(
            codec=stream.codec_context.name,
            height=height,
            width=width,
            fps=float(rate),
            pixel_format=frame.format.name,
            rotation=int(frame.rotation) % 360,
            interlaced=bool(frame.interlaced_frame),
            hdr=HDR_TRANSFERS.get(int(frame.color_trc or 0), ""),
        )


def frames_of(path: Path, start: float = 0.0) -> Iterator[tuple[float, Any, Any]]:
    """Decode a file from the last keyframe before a time on.

    A frame without a time of its own is one frame later than that before it.

    Args:
        path: The file.
        start: Seconds.

    Yields:
        Seconds, frame and stream; the rest of a file that is damaged in the middle is left out.

    Raises:
        FilmError: If nothing of it can be read.
    """
    with opened(path) as (container, stream):
        if start > 0:
            container.seek(math.floor(start / stream.time_base), stream=stream, backward=True)
        gap = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        seconds, any_frames = -gap, False
        try:
            for frame in container.decode(stream):
                own = None if frame.pts is None else float(frame.pts * frame.time_base)
                seconds = seconds + gap if own is None or own <= seconds else own
                any_frames = True
                yield seconds, frame, stream
        except pyav().FFmpegError:
            if not any_frames:
                raise


def shown_size(frame: Any, stream: Any) -> tuple[int, int]:
    """Height and width of a frame in square pixels, upright."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1
    height, width = frame.height, max(1, round(frame.width * float(aspect)))
    return (width, height) if int(frame.rotation) % 180 else (height, width)


def picture_of(frame: Any, height: int, width: int) -> np.ndarray:
    """Turn a frame into a picture of a size, upright.

    Returns:
        uint8 [height, width, 3] RGB.
    """
    turns = round(float(frame.rotation) / 90) % 4
    stored = (width, height) if turns % 2 else (height, width)
    picture = frame.to_ndarray(format="rgb24", height=stored[0], width=stored[1], interpolation="AREA")
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def grid_frames(start: float, end: float, fps: float) -> int:
    """Number of frames of a shot from `start` to before `end` seconds, shown `fps` times a second."""
    return max(0, math.ceil((end - start) * fps - EARLY))


def read_shot(path: Path, start: float, end: float, fps: float, wanted: set[int]) -> dict[int, Any]:
    """Read frames of a shot as they are shown at a steady rate.

    Frame k is the one on the screen at ``start + k / fps``; so a film of another rate, or of a varying one,
    keeps its pace.

    Args:
        path: The file.
        start: Of the shot, seconds.
        end: Of the shot, seconds; its frames are never taken from what is there or later.
        fps: Frames per second.
        wanted: Numbers of frames, from 0.

    Returns:
        Pictures by number, uint8 [H, W, 3] upright with square pixels, in the file's size.

    Raises:
        FilmError: If the file has no frame for them.
    """
    missing, found, shown = sorted(wanted), {}, None
    reach = end - EARLY / fps
    for seconds, frame, stream in frames_of(path, start):
        while missing and shown is not None and start + (missing[0] + EARLY) / fps < seconds:
            found[missing.pop(0)] = shown
        if not missing or seconds >= reach:
            break
        if seconds >= start - EARLY / fps:
            shown = _Kept(frame, stream)
    for number in missing:
        found[number] = shown
    if any(kept is None for kept in found.values()):
        raise FilmError(f"{path} has no frames at {start:.2f} s")
    return {number: kept.picture for number, kept in found.items()}


class _Kept:
    """A decoded frame, made a picture once and only if it is asked for."""

    def __init__(self, frame: Any, stream: Any):
        self._frame, self._size = frame, shown_size(frame, stream)
        self._picture: np.ndarray | None = None

    @property
    def picture(self) -> np.ndarray:
        if self._picture is None:
            self._picture = picture_of(self._frame, *self._size)
        return self._picture
