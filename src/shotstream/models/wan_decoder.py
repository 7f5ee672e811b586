"""The decoder of diffusers' ``AutoencoderKLWan`` as a function of tensors alone, which compiles as a whole.

diffusers keeps what each causal convolution remembers in a list of tensors, marks and None, and decodes
latent frames one by one. Here every convolution remembers exactly two frames: zeros before the shot, which is
what it is padded with. So any number of latent frames can be decoded in one call, in one graph.

Legend: B batch, F latent frames, C latent channels, h and w latent height and width, T pixel frames; c, n and
t are channels and frames inside the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as functional
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

REMEMBERED = 2
"""Frames that a causal convolution, three frames deep, sees before its own."""
LAYOUT = torch.channels_last_3d
"""How all that goes in and is remembered lies in memory: graphs are compiled for that."""


class _Memory:
    """What the convolutions remember, read and left in the order in which they run.

    Args:
        pasts: Of every convolution, ``[B, c, 2, ...]``; empty before a shot.
    """

    def __init__(self, pasts: list[Tensor]) -> None:
        self._pasts: Iterator[Tensor] | None = iter(pasts) if pasts else None
        self.left: list[Tensor] = []

    def extend(self, x: Tensor) -> Tensor:
        """Put the two frames before in front of ``x [B, c, t, h, w]``, and remember the last two of all."""
        before = _zeros_before(x) if self._pasts is None else next(self._pasts)
        joined = torch.cat([before, x], dim=2)
        self.left.append(joined[:, :, -REMEMBERED:].clone(memory_format=LAYOUT))
        return joined

    def begin(self, x: Tensor) -> None:
        """Leave zeros for a convolution that the first frame of a shot passes by."""
        self.left.append(_zeros_before(x).clone(memory_format=LAYOUT))


def _zeros_before(x: Tensor) -> Tensor:
    """What is seen before the first frame of a shot ``[B, c, 2, h, w]``."""
    return torch.zeros_like(x[:, :, :1]).expand(-1, -1, REMEMBERED, -1, -1)


class WanDecoder(nn.Module):
    """Decodes the next latent frames of a shot, given what the frames before left.

    Args:
        vae: Whose weights are used; they stay its own.

    Raises:
        ValueError: If it is not of Wan 2.1's form.
    """

    def __init__(self, vae: AutoencoderKLWan) -> None:
        super().__init__()
        if vae.config["is_residual"] or vae.config["patch_size"] not in (None, 1):
            raise ValueError(
                "this AutoencoderKLWan is not Wan 2.1's but Wan 2.2's, which ShotStream cannot use"
            )
        self.parts = (vae.post_quant_conv, vae.decoder)
        """In a tuple, so that they do not count as modules of this one."""

    def forward(self, z: Tensor, pasts: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Decode.

        Args:
            z: Latents as the autoencoder makes them ``[B, C, F, h, w]``; a shot begins with one frame.
            pasts: What the call before left; empty at the beginning of a shot.

        Returns:
            Pixels ``[B, 3, T, 8 h, 8 w]``, T = 1 at the beginning of a shot and 4 F later, and what the next
            call needs.
        """
        post_quant_conv, decoder = self.parts
        memory = _Memory(pasts)
        x = _convolve(decoder.conv_in, post_quant_conv(z), memory)
        middle = decoder.mid_block
        x = _run_block(middle.resnets[0], x, memory)
        for attention, block in zip(middle.attentions, middle.resnets[1:], strict=True):
            x = _run_block(block, x if attention is None else attention(x), memory)
        for level in decoder.up_blocks:
            x = _run_level(level, x, memory, first=not pasts)
        x = _convolve(decoder.conv_out, decoder.nonlinearity(decoder.norm_out(x)), memory)
        return x.clamp(-1, 1), memory.left


def _convolve(layer: nn.Conv3d, x: Tensor, memory: _Memory) -> Tensor:
    """Apply a causal convolution, three frames deep, to ``x [B, c, t, h, w]``."""
    _, rows, columns = layer.kernel_size
    padding = (0, rows // 2, columns // 2)
    return functional.conv3d(memory.extend(x), layer.weight, layer.bias, padding=padding)


def _run_block(block: Any, x: Tensor, memory: _Memory) -> Tensor:
    """Run a ``WanResidualBlock``."""
    hidden = _convolve(block.conv1, block.nonlinearity(block.norm1(x)), memory)
    hidden = _convolve(block.conv2, block.nonlinearity(block.norm2(hidden)), memory)
    return hidden + block.conv_shortcut(x)


def _run_level(level: Any, x: Tensor, memory: _Memory, first: bool) -> Tensor:
    """Run a ``WanUpBlock``."""
    for block in level.resnets:
        x = _run_block(block, x, memory)
    for upsampler in level.upsamplers or ():
        x = _enlarge(upsampler, x, memory, first)
    return x


def _enlarge(upsampler: Any, x: Tensor, memory: _Memory, first: bool) -> Tensor:
    """Run a ``WanResample``: two frames of each, if the level does so, but of the first; then its size."""
    if upsampler.mode == "upsample3d":
        if first:
            memory.begin(x)
        else:
            pairs = _convolve(upsampler.time_conv, x, memory).unflatten(1, (2, -1))  # [B, 2, c, t, h, w]
            x = pairs.permute(0, 2, 3, 1, 4, 5).flatten(2, 3)  # [B, c, 2 t, h, w]
    frames = upsampler.resample(x.transpose(1, 2).flatten(0, 1))
    return frames.unflatten(0, (x.shape[0], -1)).transpose(1, 2)
