"""The one shape in which films are judged."""

from __future__ import annotations

import numpy as np


def check_frames(frames: np.ndarray, least: int = 1) -> None:
    """Refuse anything but pictures.

    Args:
        frames: Meant to be uint8 [T, H, W, 3].
        least: The fewest frames that will do.

    Raises:
        ValueError: If the type, the shape or the number of frames is another.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(
            f"Frames must be uint8 [T, H, W, 3], but these are {frames.dtype} {list(frames.shape)}."
        )
    if len(frames) < least:
        raise ValueError(f"{len(frames)} frames are too few to measure this; give at least {least}.")
