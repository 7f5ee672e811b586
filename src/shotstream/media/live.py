"""Chunks as H.264 for browsers: every chunk a closed group of pictures, so that it depends on no other.

A chunk is whole before it is encoded, so nothing waits for a later frame. There are no B-frames: the order of
decoding is the order of showing, and the n-th access unit is the n-th frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shotstream.media.video import PictureMaker, check_frame, frame_rate, pyav

CODEC = "avc1.640028"
"""Profile (High) and level (4.0) of every chunk, as browsers ask for them (RFC 6381)."""

_X264 = {
    "preset": "veryfast",
    "tune": "zerolatency",
    "crf": "18",
    "profile": "high",
    "level": "4.0",
    "bf": "0",
    "g": "100000",  # the first frame is the only keyframe
    "sc_threshold": "0",
}
_SLICES = 4  # as many threads, and never more: so bytes do not depend on the number of cores
_SLICED_HEIGHT = 256  # pixels from which slices are worth their bytes


def encode_chunk(frames: np.ndarray, fps: float) -> list[bytes]:
    """Encode a chunk for browsers: BT.709 in limited range, hardly to be told from the frames.

    The same frames always give the same bytes, whatever the number of cores.

    Args:
        frames: ``uint8 [T, H, W, 3]``, T at least 1; odd sizes are padded by repeating the edge.
        fps: Frames per second.

    Returns:
        One H.264 access unit in Annex B per frame; the first is a keyframe with its parameter sets before it.

    Raises:
        ImportError: If PyAV is not installed.
        ValueError: If there are no frames, or they or `fps` make no sense.
    """
    if not len(frames):
        raise ValueError("A chunk has no frames, so there is nothing to encode; give at least one.")
    check_frame(frames[0])
    pictures = PictureMaker()
    codec = _encoder(pictures, frames[0], fps)
    packets = []
    for number, frame in enumerate(frames):
        picture = pictures.make(frame)
        picture.pts = number
        packets += codec.encode(picture)
    packets += codec.encode(None)
    return [bytes(packet) for packet in packets]


def decode_chunk(units: Sequence[bytes]) -> np.ndarray:
    """Decode a chunk, or its beginning: frame n needs the units 0..n and no others.

    Args:
        units: H.264 access units as `encode_chunk` made them, from the first one on.

    Returns:
        Frames, ``uint8 [T, H, W, 3]``, one per unit; H and W are even.

    Raises:
        ImportError: If PyAV is not installed.
        ValueError: If the units are damaged or do not begin with a keyframe.
    """
    av = pyav()
    codec = av.CodecContext.create("h264", "r")
    codec.thread_count = 1
    try:
        pictures = [picture for unit in units for picture in codec.decode(av.Packet(unit))]
        pictures += codec.decode(None)
    except av.FFmpegError as error:
        raise ValueError(f"A chunk of {len(units)} frames cannot be decoded ({error}).") from error
    if not units or len(pictures) != len(units):
        raise ValueError(
            f"A chunk has {len(pictures)} frames in {len(units)} units; give all, from its keyframe on."
        )
    return np.stack([picture.to_ndarray(format="rgb24") for picture in pictures])


def _encoder(pictures: PictureMaker, frame: np.ndarray, fps: float) -> Any:
    codec = pyav().CodecContext.create("libx264", "w")
    codec.framerate = frame_rate(fps)
    codec.time_base = 1 / codec.framerate
    codec.thread_count = _SLICES if frame.shape[0] >= _SLICED_HEIGHT else 1
    codec.options = _X264
    pictures.describe(codec, frame)
    return codec
