"""Parts of pictures that are learnt from, and which frames a latent stands for.

Legend: h and w latent height and width, T frames, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Crop:
    """A rectangle, in latents."""

    rows: slice
    columns: slice
    ratio: int
    """Pixels of a latent in each direction."""

    def of_latents(self, latents: Tensor) -> Tensor:
        """Cut it out of latents `[..., h, w]`."""
        return latents[..., self.rows, self.columns]

    def of_frames(self, frames: Tensor) -> Tensor:
        """Cut it out of frames `uint8 [T, H, W, 3]`."""
        rows, columns = (
            slice(self.ratio * part.start, self.ratio * part.stop) for part in (self.rows, self.columns)
        )
        return frames[:, rows, columns]


def draw_crop(pixels: tuple[int, int], latents: Tensor, ratio: int, generator: torch.Generator) -> Crop:
    """Draw a crop, more often in the middle of the width, where the cast stands.

    Args:
        pixels: Its height and width; it is not larger than the picture.
        latents: What it is cut out of, `[..., h, w]`.
        ratio: Pixels of a latent in each direction.
        generator: On the CPU.
    """
    height, width = latents.shape[-2:]
    rows, columns = min(pixels[0] // ratio, height), min(pixels[1] // ratio, width)
    top = int(torch.randint(height - rows + 1, (), generator=generator))
    middle = (width - columns) / 2
    left = middle + float(torch.randn((), generator=generator)) * width / 8
    left = round(min(max(left, 0), 2 * middle))
    return Crop(slice(top, top + rows), slice(left, left + columns), ratio)


def frames_of(first: int, last: int, ratio: int) -> slice:
    """Frames of a shot that its latents from `first` to before `last` stand for; the first one has one.

    Args:
        first: Number of a latent.
        last: Number of the latent after them.
        ratio: Frames of every other latent.
    """
    return slice(ratio * (first - 1) + 1 if first else 0, ratio * (last - 1) + 1)
