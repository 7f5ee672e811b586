"""What the rest of the project asks of a video autoencoder, whichever network is behind it.

Legend: B batch, F latent frames, T pixel frames (T = 1 + 4k gives F = 1 + k), C latent channels,
h and w latent height and width, H and W pixel height and width.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class StreamingDecoder(Protocol):
    """The decoder of one shot: it carries the temporal state from chunk to chunk.

    Decoding a shot in pieces gives what decoding it at once would give.
    """

    def decode(self, latents: Tensor) -> Tensor:
        """Decode the next latent frames of the shot.

        Args:
            latents: Normalised latents ``[B, F, C, h, w]``.

        Returns:
            Pixels ``[B, T, 3, H, W]`` in [-1, 1]; T = 1 + r(F - 1) on the first call and rF later, where
            r is the temporal ratio.
        """
        ...

    def state(self) -> list[Tensor]:
        """Everything the next call depends on; empty before the first. Later calls leave it untouched."""
        ...

    def restore(self, state: list[Tensor]) -> None:
        """Go on exactly from where `state` was taken."""
        ...


@runtime_checkable
class VideoAutoencoder(Protocol):
    """Pixels to normalised latents and back."""

    spatial_ratio: int
    """Pixels per latent cell along height and width."""

    temporal_ratio: int
    """Pixel frames per latent frame, after the first."""

    @property
    def latent_channels(self) -> int:
        """Channels C of a latent frame."""
        ...

    def encode_stills(self, frames: Tensor) -> Tensor:
        """Encode pictures, each by itself: ``[B, F, 3, H, W]`` in [-1, 1] -> ``[B, F, C, h, w]``."""
        ...

    def encode_clip(self, frames: Tensor) -> Tensor:
        """Encode a clip, r the temporal ratio: ``[B, 1 + rk, 3, H, W]`` -> ``[B, 1 + k, C, h, w]``."""
        ...

    def open_decoder(self) -> StreamingDecoder:
        """Open a decoder for one shot."""
        ...


@lru_cache(maxsize=32)
def per_channel(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Put numbers of the latent channels on a device ``[C]``, once: each copy there would wait for it."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device, dtype=dtype)
