"""Pictures to be uploaded."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 48), **options) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, format=kind, **options)
    return file.getvalue()
