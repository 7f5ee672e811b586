"""Small pictures of shots, side by side, for reports."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from shotstream.media.files import write_bytes
from shotstream.media.pictures import pillow

HEIGHT = 72


def write_strip(path: Path, shots: Sequence[np.ndarray]) -> None:
    """Write the first, middle and last picture of each shot side by side as JPEG.

    Args:
        path: The file.
        shots: Pictures of each shot, uint8 [P, H, W, 3].
    """
    write_bytes(path, strip([shot[[0, len(shot) // 2, -1]] for shot in shots]))


def strip(rows: Sequence[np.ndarray]) -> bytes:
    """Lay out pictures, a group a shot, with a gap between shots.

    Args:
        rows: uint8 [n, H, W, 3] each.

    Returns:
        JPEG.
    """
    images = [[_small(picture) for picture in row] for row in rows]
    width = sum(image.width for row in images for image in row) + 6 * (len(images) - 1)
    paper = pillow().new("RGB", (width, HEIGHT), (24, 24, 28))
    left = 0
    for row in images:
        for image in row:
            paper.paste(image, (left, 0))
            left += image.width
        left += 6
    stream = BytesIO()
    paper.save(stream, format="JPEG", quality=80)
    return stream.getvalue()


def _small(picture: np.ndarray) -> Any:
    image = pillow().fromarray(np.ascontiguousarray(picture))
    return image.resize((max(1, round(image.width * HEIGHT / image.height)), HEIGHT))
