"""The public tiny decoder of Wan 2.1's latents (TAEHV, weights ``taew2_1``).

Written from the names and shapes of its weights, which are kept: what is saved here is a file in that layout.
Legend: B batch, F latent frames, C latent channels, n features of a level, h and w latent height and width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from shotstream.models.autoencoder_tiny import Remembering, Stack, TinyDecoderSession

_BOUND = 3.0  # latents are squeezed into +-3 standard deviations
_GROWTH = (1, 2, 2)  # frames out of each frame, after the first, second and third level
_WIDTH_NAMES = ("decoder.1.weight", "decoder.8.weight", "decoder.14.weight", "decoder.20.weight")


class SoftClamp(nn.Module):
    """Squeeze latents smoothly into the range that the decoder knows."""

    def forward(self, x: Tensor) -> Tensor:
        """Map any `x` into (-3, 3)."""
        return torch.tanh(x / _BOUND) * _BOUND


class PairBlock(Remembering):
    """Residual block over a time step and the one before; it remembers its input ``[B, n, h, w]``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor, frames: int, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map `x [B*frames, n, h, w]` given the last time step before it (zeros if None)."""
        steps = x.unflatten(0, (-1, frames))  # [B, frames, n, h, w]
        first = torch.zeros_like(steps[:, 0]) if past is None else past
        before = torch.cat([first[:, None], steps[:, :-1]], dim=1).flatten(0, 1)
        return F.relu(self.conv(torch.cat([x, before], dim=1)) + x), steps[:, -1].clone()


class GrowUp(nn.Module):
    """Make `growth` frames out of each, and twice the height and width.

    The published network enlarges first; a 1x1 convolution commutes with repeating cells, and costs a quarter
    of that when it comes first.
    """

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.growth = growth
        self.conv = nn.Conv2d(width, width * growth, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B*F, n, h, w]`` to ``[B*F*growth, n, 2h, 2w]``."""
        frames = self.conv(x).unflatten(1, (self.growth, -1)).flatten(0, 1)
        return F.interpolate(frames, scale_factor=2.0)


class TinyWanDecoder(ModelMixin, ConfigMixin):
    """Decodes Wan 2.1's latents quickly and roughly, to be watched while a story is told.

    Args:
        latent_channels: C.
        widths: Features n of the three levels, and of the pictures before they become colours.
    """

    spatial_ratio = 8
    temporal_ratio = 4

    @register_to_config
    def __init__(self, latent_channels: int = 16, widths: Sequence[int] = (256, 128, 64, 64)) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            SoftClamp(),
            nn.Conv2d(latent_channels, widths[0], 3, padding=1),
            nn.ReLU(inplace=True),
        ]
        for (width, next_width), growth in zip(pairwise(widths), _GROWTH, strict=True):
            layers += [PairBlock(width) for _ in range(3)]
            layers += [
                nn.Identity(),
                GrowUp(width, growth),
            ]  # the first holds the place of "enlarge" in names
            layers.append(nn.Conv2d(width, next_width, 3, padding=1, bias=False))
        self.decoder = Stack(*layers, nn.ReLU(inplace=True), nn.Conv2d(widths[-1], 3, 3, padding=1))

    @apply_forward_hook
    def decode(self, latents: Tensor, pasts: Sequence[Tensor] = ()) -> tuple[Tensor, list[Tensor]]:
        """Decode normalised latents ``[B, F, C, h, w]`` to all their frames ``[B, 4F, 3, H, W]`` in [-1, 1].

        Of the first latent of a shot only the last of its four frames counts.

        Returns:
            The frames, and what each block remembers (to be given as `pasts` next time).
        """
        x = latents.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        levels, left = self.decoder(x, latents.shape[1], pasts or [None] * self.decoder.memory_blocks)
        return levels.clamp(0, 1).mul(2).sub(1).unflatten(0, (latents.shape[0], -1)), left

    def open_decoder(self) -> TinyDecoderSession:
        """Open a streaming decoder for one shot."""
        for values in self.decoder.parameters():  # loading leaves them to be converted at every call
            if values.ndim == 4 and not values.is_contiguous(memory_format=torch.channels_last):
                values.data = values.data.contiguous(memory_format=torch.channels_last)
        return TinyDecoderSession(self)


def tiny_decoder_sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Read the config of a `TinyWanDecoder` off its weights.

    Raises:
        KeyError: With the name of a weight that is needed and missing.
    """
    return {
        "latent_channels": weights["decoder.1.weight"].shape[1],
        "widths": tuple(weights[name].shape[0] for name in _WIDTH_NAMES),
    }
