"""Pictures of what a run has learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from shotstream.media.sheet import contact_sheet
from shotstream.streaming.chunk import to_pictures


def picture_grid(rows: Sequence[Sequence[Tensor]], scale: int = 2) -> np.ndarray:
    """Lay pictures `[3, H, W]` in [-1, 1] out as a contact sheet `uint8`."""

    return contact_sheet([list(to_pictures(torch.stack(list(row)))) for row in rows], scale=scale)
