"""Pictures of what a run has learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from shotstream.media.sheet import contact_sheet


def picture_grid(rows: Sequence[Sequence[Tensor]], scale: int = 2) -> np.ndarray:
    """Lay pictures `[3, H, W]` in [-1, 1] out as a contact sheet `uint8`."""

    def picture(pixels: Tensor) -> np.ndarray:
        return ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().byte().movedim(0, -1).numpy()

    return contact_sheet([[picture(pixels) for pixels in row] for row in rows], scale=scale)
