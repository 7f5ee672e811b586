"""How much moves in a shot, for the paper's dynamic degree."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from shotstream.evaluation.frames import check_frames

DYNAMIC_SPEED = 6 / 256 * 8
"""Speed above which a shot counts as dynamic: VBench's 6 pixels of 256 between frames at 8 per second."""

_FASTEST = 0.05
_FARNEBACK = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}


def motion_speed(frames: np.ndarray, fps: float) -> float:
    """Speed of what moves fastest in a shot.

    Dense optical flow (Farneback) between neighbouring frames; of each pair the mean length of the longest
    5 % of the vectors, as in VBench (which uses RAFT's flow); then the mean over the pairs. Flow is known to
    fall short where large plain areas move, and to find some 0.05 pixels a frame where nothing does: compare
    the speeds of models, do not read them as exact.

    Args:
        frames: One shot, uint8 [T, H, W, 3] RGB with T >= 2.
        fps: Frames per second.

    Returns:
        Shorter picture sides per second, at least 0; the same at every size and frame rate.

    Raises:
        ImportError: If OpenCV is missing, with the line that installs it.
        ValueError: If `frames` are no pictures, or fewer than two.
    """
    check_frames(frames, least=2)
    cv2 = _opencv()
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames]
    flows = (cv2.calcOpticalFlowFarneback(old, new, None, **_FARNEBACK) for old, new in pairwise(grey))
    pixels = [_fastest(np.linalg.norm(flow, axis=-1)) for flow in flows]
    return float(np.mean(pixels)) * fps / min(frames.shape[1:3])


def _fastest(lengths: np.ndarray) -> float:
    """Mean of the largest 5 %, at least one of them."""
    count = max(1, round(_FASTEST * lengths.size))
    return float(np.partition(lengths.ravel(), -count)[-count:].mean())


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ImportError('Measuring motion needs OpenCV: pip install "shotstream[evaluate]"') from error
    return cv2
