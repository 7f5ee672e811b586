"""What a report shows of a shot: first, middle and last frame side by side, as a small JPEG file."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from shotstream.evaluation.metrics import key_frames

_WIDTH = 160  # pixels; wider frames are made smaller


def strip(frames: np.ndarray) -> bytes:
    """Return the strip of a shot, uint8 ``[T, H, W, 3]``, as JPEG.

    Raises:
        ImportError: If Pillow is not installed.
    """
    pillow = _pillow()
    images = [pillow.fromarray(frames[number]) for number in key_frames(len(frames))]
    width = min(_WIDTH, images[0].width)
    height = max(1, round(images[0].height * width / images[0].width))
    paper = pillow.new("RGB", (3 * width, height))
    for number, image in enumerate(images):
        paper.paste(image.resize((width, height)), (number * width, 0))
    stream = BytesIO()
    paper.save(stream, format="JPEG", quality=85, subsampling=0)
    return stream.getvalue()


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Pictures need Pillow: pip install "shotstream[evaluate]"') from error
    return Image
