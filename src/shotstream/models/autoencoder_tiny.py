"""A light causal video autoencoder: 2D convolutions that remember the previous time step.

1 + 4k frames <-> 1 + k latents at an eighth of the height and width, in the class of the public "tiny
autoencoders for video". A latent is made from a *group* of frames (four; the first frame of a clip, repeated,
forms the first group), so nothing ever looks ahead and a still is simply a clip of one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from shotstream.models.autoencoder import per_channel

Layout = Literal["convolutions", "shuffles"]


class Remembering(nn.Module):
    """A layer that also sees the time step before: ``(x, frames, past) -> (output, what it leaves)``."""


class MemoryBlock(Remembering):
    """Residual block whose first convolution sees this time step and the one before.

    A convolution over the pair is the sum of two, so each time step is convolved once and handed on: what is
    remembered is that half of the result, `[B, C, h, w]`.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv_in = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.conv_out = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            for parameter in self.conv_out.parameters():
                parameter.zero_()

    def forward(self, x: Tensor, frames: int, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map `x [B*frames, C, h, w]` given what the step before left; return it and what this leaves."""
        now, later = self.conv_in(x).chunk(2, dim=1)
        later = later.unflatten(0, (-1, frames))  # [B, frames, C, h, w]
        if past is None:
            past = torch.zeros_like(later[:, 0])
        before = torch.cat([past[:, None], later[:, :-1]], dim=1).flatten(0, 1)
        return x + self.conv_out(F.silu(now + before)), later[:, -1]


class TimeSplit(nn.Module):
    """Turn every time step into two."""

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B*F, channels, h, w]` to `[B*2F, out_channels, h, w]`."""
        return self.conv(x).unflatten(1, (2, -1)).flatten(0, 1)


class Stack(nn.Sequential):
    """Layers in order; what `Remembering` ones saw and leave is in lists kept by the caller."""

    def forward(self, x: Tensor, frames: int, pasts: Sequence[Tensor | None]) -> tuple[Tensor, list[Tensor]]:
        """Run over `x [B*frames, C, h, w]`; return the output and one remembered tensor per such layer."""
        queue, left, batch = list(pasts), [], x.shape[0] // frames
        for layer in self:
            if isinstance(layer, Remembering):
                x, remembered = layer(x, x.shape[0] // batch, queue.pop(0))
                left.append(remembered)
            else:
                x = layer(x)
        return x, left

    @property
    def memory_blocks(self) -> int:
        """How many remembered tensors a run takes and leaves."""
        return sum(isinstance(layer, Remembering) for layer in self)


def _encoder(widths: Sequence[int], blocks: int, latent_channels: int, group: int) -> Stack:
    layers: list[nn.Module] = [
        nn.PixelUnshuffle(2),
        nn.Conv2d(4 * 3 * group, widths[0], 3, padding=1),
        nn.SiLU(),
    ]
    for above, width in pairwise(widths):
        layers.append(nn.Conv2d(above, width, 4, stride=2, padding=1))
        layers += [MemoryBlock(width) for _ in range(blocks)]
    return Stack(*layers, nn.Conv2d(widths[-1], latent_channels, 3, padding=1))


def _decoder(widths: Sequence[int], blocks: int, latent_channels: int) -> Stack:
    """Three steps up in space by two (the last in the pixels), two in time; each as late as it can be."""
    eighth, quarter, half, full = widths
    layers: list[nn.Module] = [nn.Conv2d(latent_channels, eighth, 3, padding=1)]
    layers += [MemoryBlock(eighth) for _ in range(blocks)]
    layers += [nn.Conv2d(eighth, quarter, 1), nn.Upsample(scale_factor=2)]
    layers += [MemoryBlock(quarter) for _ in range(blocks)]
    layers += [TimeSplit(quarter, half), nn.Upsample(scale_factor=2)]
    layers += [MemoryBlock(half) for _ in range(blocks)]
    layers += [TimeSplit(half, full)]
    layers += [MemoryBlock(full) for _ in range(blocks)]
    return Stack(*layers, nn.SiLU(), nn.Conv2d(full, 4 * 3, 3, padding=1), nn.PixelShuffle(2))


def _shuffling_encoder(widths: Sequence[int], blocks: int, latent_channels: int, group: int) -> Stack:
    """Pixels of 4x4 become channels at once, so nothing is computed at the full or half size."""
    quarter, eighth = widths
    layers: list[nn.Module] = [nn.PixelUnshuffle(4), nn.Conv2d(16 * 3 * group, quarter, 1)]
    layers += [MemoryBlock(quarter) for _ in range(blocks)]
    layers += [nn.PixelUnshuffle(2), nn.Conv2d(4 * quarter, eighth, 1)]
    layers += [MemoryBlock(eighth) for _ in range(blocks)]
    return Stack(*layers, nn.Conv2d(eighth, latent_channels, 1))


def _shuffling_decoder(widths: Sequence[int], blocks: int, latent_channels: int) -> Stack:
    """The reverse; the last blocks see two time steps of each latent, so that limbs do not smear."""
    eighth, quarter, split = widths
    layers: list[nn.Module] = [nn.Conv2d(latent_channels, eighth, 1)]
    layers += [MemoryBlock(eighth) for _ in range(blocks)]
    layers += [nn.Conv2d(eighth, 4 * quarter, 1), nn.PixelShuffle(2)]
    layers += [MemoryBlock(quarter) for _ in range(blocks)]
    layers += [TimeSplit(quarter, split)]
    layers += [MemoryBlock(split) for _ in range(blocks)]
    return Stack(*layers, nn.Conv2d(split, 16 * 3 * 2, 3, padding=1), nn.PixelShuffle(4))


class RememberingDecoder(Protocol):
    """A decoder whose memory is kept by the caller."""

    temporal_ratio: int

    def decode(self, latents: Tensor, pasts: Sequence[Tensor] = ()) -> tuple[Tensor, list[Tensor]]:
        """Decode ``[B, F, C, h, w]`` to ``[B, rF, 3, H, W]``; return also what is `pasts` next time."""
        ...


class TinyDecoderSession:
    """Decodes a shot piece by piece, carrying what each memory block remembers (a `StreamingDecoder`)."""

    def __init__(self, autoencoder: RememberingDecoder):
        self._autoencoder = autoencoder
        self._pasts: list[Tensor] = []

    def decode(self, latents: Tensor) -> Tensor:
        """Decode the next latents of the shot.

        Args:
            latents: `[B, F, C, h, w]`, normalised.

        Returns:
            `[B, T, 3, H, W]` in [-1, 1]; T = 1 + 4(F - 1) for the first call of a shot, 4F afterwards.
        """
        first = not self._pasts
        frames, self._pasts = self._autoencoder.decode(latents, self._pasts)
        return frames[:, self._autoencoder.temporal_ratio - 1 :] if first else frames

    def state(self) -> list[Tensor]:
        """What has to be kept to go on from here (copies)."""
        return [past.clone() for past in self._pasts]

    def restore(self, state: Sequence[Tensor]) -> None:
        """Go on from a state."""
        self._pasts = [past.clone() for past in state]


class TinyVideoAutoencoder(ModelMixin, ConfigMixin):
    """The light causal autoencoder (a `VideoAutoencoder`), in one of two layouts.

    "shuffles": pixel shuffles and 1x1 convolutions form a linear path from pixels to latents and back, with
    memory blocks beside it at a quarter and an eighth of the size. It trains and decodes about four times as
    fast as "convolutions", for sharper pictures.

    "convolutions": strided convolutions. Its encoder adds a linear patch path to the network, because a
    principal component basis there is a good start (`start_from_patches`); its decoder has none, because it
    would show as a patch grid.
    """

    spatial_ratio = 8
    temporal_ratio = 4

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        encoder_widths: Sequence[int] = (32, 64, 128),
        decoder_widths: Sequence[int] = (128, 96, 48, 32),
        encoder_blocks: int = 1,
        decoder_blocks: int = 2,
        latents_mean: Sequence[float] = (0.0,),
        latents_std: Sequence[float] = (1.0,),
        layout: Layout = "convolutions",
    ):
        """Build an autoencoder with random weights.

        Args:
            latent_channels: C.
            encoder_widths: channels of the encoder at a half, a quarter, an eighth of the size; with
                "shuffles" only at a quarter and an eighth.
            decoder_widths: channels of the decoder at an eighth and a quarter of the size (one time step per
                latent), at half the size (two), and there again (four); with "shuffles" at an eighth, at a
                quarter, and there again with two time steps per latent.
            encoder_blocks: memory blocks at each level of the encoder.
            decoder_blocks: memory blocks at each level of the decoder.
            latents_mean: per channel (or one for all): subtracted when encoding.
            latents_std: per channel (or one for all): divided by when encoding.
            layout: "convolutions" or "shuffles".

        Raises:
            ValueError: If the numbers of widths do not fit the layout.
        """
        super().__init__()
        group, shuffles = self.temporal_ratio, layout == "shuffles"
        wanted = (2, 3) if shuffles else (3, 4)
        if (len(encoder_widths), len(decoder_widths)) != wanted:
            raise ValueError(
                f"layout {layout!r} takes {wanted[0]} encoder_widths and {wanted[1]} decoder_widths, not "
                f"{list(encoder_widths)} and {list(decoder_widths)}"
            )
        self.patches = None
        if shuffles:
            self.encoder = _shuffling_encoder(encoder_widths, encoder_blocks, latent_channels, group)
            self.decoder = _shuffling_decoder(decoder_widths, decoder_blocks, latent_channels)
            self._start_orthogonal()
            return
        self.patches = nn.Conv2d(3 * group, latent_channels, self.spatial_ratio, stride=self.spatial_ratio)
        self.encoder = _encoder(encoder_widths, encoder_blocks, latent_channels, group)
        with torch.no_grad():
            for parameter in self.encoder[-1].parameters():
                parameter.zero_()
        self.decoder = _decoder(decoder_widths, decoder_blocks, latent_channels)

    def _start_orthogonal(self) -> None:
        """Let signals keep their size along the linear path."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
                nn.init.orthogonal_(layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    @property
    def latent_channels(self) -> int:
        """C."""
        return self.config["latent_channels"]

    @property
    def encoding_parts(self) -> nn.ModuleList:
        """The networks that make latents."""
        return nn.ModuleList([self.encoder] if self.patches is None else [self.patches, self.encoder])

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (
            per_channel(tuple(self.config[name]), latents.device, latents.dtype).view(-1, 1, 1)
            for name in ("latents_mean", "latents_std")
        )
        return mean, std

    @apply_forward_hook
    def encode_clip(self, frames: Tensor) -> Tensor:
        """Encode a clip `[B, 1 + 4k, 3, H, W]` in [-1, 1] to normalised latents `[B, 1 + k, C, h, w]`."""
        group, (_, length, _, height, width) = self.temporal_ratio, frames.shape
        if (length - 1) % group or height % self.spatial_ratio or width % self.spatial_ratio:
            raise ValueError(
                f"A clip of {length} frames of {height}x{width} cannot be encoded: give 1 + {group}k frames "
                f"whose height and width are multiples of {self.spatial_ratio}."
            )
        padded = torch.cat([frames[:, :1].expand(-1, group - 1, -1, -1, -1), frames], dim=1)
        grouped = padded.unflatten(1, (-1, group)).flatten(2, 3).flatten(0, 1)  # [B*F, 4*3, H, W]
        latent_frames = padded.shape[1] // group
        grouped = grouped.contiguous(memory_format=torch.channels_last)
        latents, _ = self.encoder(grouped, latent_frames, [None] * self.encoder.memory_blocks)
        if self.patches is not None:
            latents = self.patches(grouped) + latents
        latents = latents.unflatten(0, (-1, latent_frames))
        mean, std = self._statistics(latents)
        return (latents - mean) / std

    def encode_stills(self, frames: Tensor) -> Tensor:
        """Encode `[B, F, 3, H, W]` in [-1, 1], each frame by itself, to normalised `[B, F, C, h, w]`."""
        return self.encode_clip(frames.flatten(0, 1)[:, None]).view(
            *frames.shape[:2], -1, *self._latent_size(frames)
        )

    def _latent_size(self, frames: Tensor) -> tuple[int, int]:
        return frames.shape[-2] // self.spatial_ratio, frames.shape[-1] // self.spatial_ratio

    @apply_forward_hook
    def decode(self, latents: Tensor, pasts: Sequence[Tensor] = ()) -> tuple[Tensor, list[Tensor]]:
        """Decode normalised latents `[B, F, C, h, w]` to all their frames `[B, 4F, 3, H, W]`.

        The first latent of a clip stands for one frame only: of its four the last counts. Clamped to [-1, 1]
        by nobody: losses want the raw values.

        Returns:
            The frames, and what each memory block remembers (to be given as `pasts` next time).
        """
        mean, std = self._statistics(latents)
        x = (latents * std + mean).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        frames, left = self.decoder(x, latents.shape[1], pasts or [None] * self.decoder.memory_blocks)
        if frames.shape[1] != 3:  # "shuffles" gives two frames of each time step at once
            frames = frames.unflatten(1, (-1, 3)).flatten(0, 1)
        return frames.unflatten(0, (latents.shape[0], -1)), left

    def open_decoder(self) -> TinyDecoderSession:
        """Open a streaming decoder for one shot."""
        return TinyDecoderSession(self)

    @torch.no_grad()
    def start_from_patches(self, frames: Tensor) -> None:
        """Set the patch path to the whitened principal components of 4x8x8 patches of frames.

        Args:
            frames: a sample of groups `[n, 4*3, H, W]` in [-1, 1].
        """
        assert self.patches is not None, "only the layout of convolutions has a patch path"
        ratio = self.spatial_ratio
        patches = F.unfold(frames, ratio, stride=ratio).transpose(1, 2).flatten(0, 1).double()  # [n, 4*3*8*8]
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        basis = vectors[:, -self.latent_channels :].flip(1) / values[-self.latent_channels :].flip(0).sqrt()
        self.patches.weight.copy_(basis.T.view_as(self.patches.weight))
        assert self.patches.bias is not None
        self.patches.bias.copy_(-(mean @ basis))
