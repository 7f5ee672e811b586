"""Stage 0: the light autoencoder learns to show what it has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.drawn import cut_clips
from shotstream.data.shards import Shards
from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.training.fresh_networks import make_light_autoencoder
from shotstream.training.picture_losses import psnr, reconstruction_loss
from shotstream.training.progress_pictures import picture_grid
from shotstream.training.settings import AutoencoderSettings, DecoderSettings
from shotstream.training.stage import Role, step_generator


def shuffled(latents: Tensor, clips: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Bring the latents of clips into a random order, and the frames with them.

    Args:
        latents: `[B, 1 + k, C, h, w]`, k at least 1.
        clips: their frames `[B, 1 + rk, 3, H, W]`; the first stands for r equal ones.
        generator: on the CPU.

    Returns:
        The latents, and the frames `[B, rk, 3, H, W]` of all but the first of them. Before that one nothing
        came, so that it would be decoded as the first of a shot, which it was not made as. After a jump the
        second frame of a latent stands for the first too: what the first shows is mostly told by the latent
        that came before, and a decoder that has to guess it smears.
    """
    count = latents.shape[1]
    ratio = (clips.shape[1] - 1) // (count - 1)
    order = torch.randperm(count, generator=generator).to(latents.device)
    padded = torch.cat([clips[:, :1].expand(-1, ratio - 1, -1, -1, -1), clips], dim=1)
    groups = padded.unflatten(1, (count, ratio))[:, order[1:]]  # [B, k, r, 3, H, W]
    jumps = (order[1:] != order[:-1] + 1).view(-1, 1, 1, 1)
    first = torch.where(jumps, groups[:, :, 1], groups[:, :, 0])
    return latents[:, order], torch.cat([first[:, :, None], groups[:, :, 1:]], dim=2).flatten(1, 2)


def halve(frames: Tensor) -> Tensor:
    """Shrink frames or latents `[B, T, C, H, W]` to half their height and width, by averaging."""
    return F.avg_pool2d(frames.flatten(0, 1), 2).unflatten(0, frames.shape[:2])


def new_autoencoder(settings: AutoencoderSettings, drawn: Shards) -> TinyVideoAutoencoder:
    """Build an autoencoder; a linear patch path starts from the principal components of drawn frames."""
    autoencoder = make_light_autoencoder(settings)
    if autoencoder.patches is None:
        return autoencoder
    groups = cut_clips(drawn, 64, autoencoder.temporal_ratio, step_generator(settings.loop.seed, 0))
    autoencoder.start_from_patches(groups.flatten(1, 2))
    return autoencoder


class AutoencoderStage:
    """Reconstruct clips, with noise on the latents so that the decoder forgives small errors in them.

    In the decoder stage the encoder stays as it is, so that latents made with it go on being valid.
    """

    def __init__(
        self,
        settings: DecoderSettings,
        autoencoder: TinyVideoAutoencoder,
        drawn: Shards,
        validation: Shards,
    ):
        self.settings, self.loop = settings, settings.loop
        self._drawn, self._validation, self._device = drawn, validation, autoencoder.device
        self.autoencoder = autoencoder
        self._whole = isinstance(settings, AutoencoderSettings)
        self.name = "autoencoder" if self._whole else "decoder"
        module = self.autoencoder if self._whole else self.autoencoder.decoder
        self.roles = {self.name: Role(module, settings.optimiser)}

    def role(self, step: int) -> str:
        """There is one role."""
        return self.name

    def _clips(
        self, drawn: Shards, count: int, generator: torch.Generator, crop: tuple[int, int] | None = None
    ) -> Tensor:
        return cut_clips(drawn, count, self.settings.clip_frames, generator, crop, self._device)

    def _decode(self, latents: Tensor) -> Tensor:
        frames, _ = self.autoencoder.decode(latents)
        return frames[:, self.autoencoder.temporal_ratio - 1 :].float()

    def loss(
        self, step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> tuple[Tensor, dict[str, float]]:
        """Reconstruction loss of random clips; the noise goes by the deviation of the slice's latents."""
        settings = self.settings
        clips = batch_slice.of(self._clips(self._drawn, self.loop.batch, generator, settings.crop))
        with torch.set_grad_enabled(self._whole):
            latents = self.autoencoder.encode_clip(clips)
        strength = batch_slice.of(torch.rand(self.loop.batch, 1, 1, 1, 1, generator=generator)).to(clips)
        spread = latents.float().std(dim=(0, 1, 3, 4), keepdim=True)  # of each channel
        deviation = spread.detach()
        noise = batch_slice.randn(latents.shape, generator, clips.device)
        latents = latents + deviation * settings.latent_noise * strength * noise
        halved = bool(torch.rand((), generator=generator) < settings.half_size_probability)
        if halved:
            latents, clips = halve(latents), halve(clips)
        is_shuffled = bool(torch.rand((), generator=generator) < settings.shuffle_probability)
        if is_shuffled:
            latents, clips = shuffled(latents, clips, generator)
        frames = self._decode(latents)[:, int(is_shuffled) :]
        figures = {} if halved or is_shuffled else {"psnr": psnr(frames.detach(), clips)}
        figures["latent_deviation"] = float(deviation.mean())
        loss = reconstruction_loss(
            frames, clips, settings.edge_weight, settings.motion_weight, settings.moving_weight
        )
        return loss + settings.spread_weight * (spread - 1).square().mean(), figures

    def sample(self) -> np.ndarray:
        """First, middle and last frame of held-out clips above what became of them."""
        clips = self._clips(self._validation, 8, step_generator(1, 0))
        frames = self._decode(self.autoencoder.encode_clip(clips)).clamp(-1, 1)
        picked = [0, self.settings.clip_frames // 2, self.settings.clip_frames - 1]
        return picture_grid(
            [[*clip[picked], *made[picked]] for clip, made in zip(clips, frames, strict=True)]
        )

    def export(self, folder: Path) -> None:
        """Save; a whole autoencoder first puts the statistics of its latents into its config."""
        if self._whole:
            generator = step_generator(self.loop.seed, 0)
            with torch.no_grad():
                clips = (self._clips(self._drawn, 16, generator) for _ in range(16))
                latents = torch.cat([self.autoencoder.encode_clip(clip) for clip in clips])
            mean, std = latents.mean((0, 1, 3, 4)).tolist(), latents.std((0, 1, 3, 4)).tolist()
            self.autoencoder.register_to_config(latents_mean=mean, latents_std=std)
        self.autoencoder.save_pretrained(folder)
