"""After the student is done: its decoder learns to draw what it means.

A student of four steps leaves errors in its latents that an encoder never makes, and the decoder, which saw
only an encoder's, shows them as wobbling lines and smeared faces. Here it sees three kinds: true latents;
those that the student makes *again* of drawn shots, whose pictures are known; and those of its *own* shots.
A discriminator asks that all look drawn (as the last part of an autoencoder's training does in latent
diffusion, arXiv 2112.10752, here on the student's latents).

Legend: B batch, F latent frames of a shot, C channels, h and w latent height and width, T frames.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.latent_table import LatentTable
from shotstream.data.next_shot import NextShots
from shotstream.data.shards import Shards
from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.streaming.chunk import to_pixels
from shotstream.training.discriminator import Adversary
from shotstream.training.interpolation import interpolated
from shotstream.training.picture_crops import draw_crop, frames_of
from shotstream.training.picture_losses import coarse_loss, psnr, reconstruction_loss, shift_tolerant_loss
from shotstream.training.progress_pictures import picture_grid
from shotstream.training.settings import StudentDecoderSettings
from shotstream.training.stage import Role
from shotstream.training.student_latents import told_again, told_latents

KINDS = ("true", "again", "own")
"""Of latents; a batch has as many of each."""
WINDOW = 3
"""Latents that are decoded together: one for the decoder to remember, and two that are learnt from."""


@dataclass(frozen=True)
class _Batch:
    latents: Tensor
    """[B, WINDOW, C, h, w]."""
    frames: Tensor
    """Drawn ones [B, T, 3, H, W] in [-1, 1]: of the latents, or of any shot where those are the student's."""
    kinds: Tensor
    """Of each sample, as its place in `KINDS` [B]."""
    opens: bool
    """Whether the windows begin their shots; the first latent then has a frame too."""

    def of(self, kind: str) -> Tensor:
        """Which samples are of a kind, bool [B]."""
        return self.kinds == KINDS.index(kind)


class StudentDecoderStage:
    """Two roles in turns: the decoder, and the discriminator, which begins alone."""

    name = "student-decoder"

    def __init__(
        self,
        settings: StudentDecoderSettings,
        autoencoder: TinyVideoAutoencoder,
        drawn: Shards,
        data: NextShots,
        made: Shards,
    ):
        """Set the stage.

        Args:
            settings: Its settings.
            autoencoder: Whose decoder learns.
            drawn: Drawn stories, from ``write_frames``.
            data: The same stories, encoded.
            made: The same stories, told by the student, from ``write_student_latents``.
        """
        self.settings, self.loop = settings, settings.loop
        self._autoencoder, self._before = autoencoder, deepcopy(autoencoder).requires_grad_(False)
        self._drawn, self._data, self._made = drawn, data, made
        self._device = autoencoder.device
        self._adversary = Adversary(settings.adversary, autoencoder.temporal_ratio, self._device)
        self.roles = {
            "decoder": Role(autoencoder.decoder, settings.optimiser),
            "discriminator": Role(self._adversary.network, settings.adversary.optimiser, averaged=False),
        }

    def role(self, step: int) -> str:
        """The discriminator goes first."""
        return "discriminator" if self._adversary.learns(step) else "decoder"

    def loss(
        self, step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss of the decoder, or of the discriminator, on a new batch."""
        batch = self._draw(generator, batch_slice)
        if self.role(step) == "decoder":
            return self._decoder_loss(batch)
        with torch.no_grad():
            made = self._decode(self._autoencoder, batch.latents, batch.opens)
        return self._adversary.loss(step, batch.frames, made)

    def _decoder_loss(self, batch: _Batch) -> tuple[Tensor, dict[str, float]]:
        settings = self.settings
        made = self._decode(self._autoencoder, batch.latents, batch.opens)
        loss, figures = made.new_zeros(()), {}
        true, again, own = (batch.of(kind) for kind in KINDS)
        if true.any():
            weights = settings.edge_weight, settings.motion_weight, settings.moving_weight
            loss = loss + reconstruction_loss(made[true], batch.frames[true], *weights)
            figures["psnr"] = psnr(made[true].detach(), batch.frames[true])
        if again.any():
            loss = loss + settings.again_weight * shift_tolerant_loss(made[again], batch.frames[again])
        if own.any():
            with torch.no_grad():
                before = self._decode(self._before, batch.latents[own], batch.opens)
            loss = loss + settings.own_weight * coarse_loss(made[own], before)
        seeming = self._adversary.seeming_drawn(batch.frames, made)
        return loss + settings.adversary.weight * seeming, figures

    @staticmethod
    def _decode(autoencoder: TinyVideoAutoencoder, latents: Tensor, opens: bool) -> Tensor:
        """Decode windows [B, WINDOW, C, h, w] to frames [B, T, 3, H, W], as many as are drawn."""
        ratio = autoencoder.temporal_ratio
        frames, _ = autoencoder.decode(latents)
        return frames[:, ratio - 1 if opens else ratio :].float()

    @cached_property
    def _tables(self) -> dict[str, LatentTable]:
        """Latents by kind."""
        made = told_latents(self._made, self._data, self._device)
        return {"true": self._data.clips, "again": made, "own": made}

    @cached_property
    def _stories(self) -> dict[str, list[int]]:
        """Stories by the kind of latents that there are of them."""
        again, own = told_again(self._made)
        return {"true": list(range(len(self._made))), "again": again, "own": own}

    def _draw(self, generator: torch.Generator, batch_slice: BatchSlice) -> _Batch:
        """Cut windows of three latents out of random shots, and of their pictures; all begin alike."""

        def below(limit: int) -> int:
            return int(torch.randint(limit, (), generator=generator))

        length, count = self._data.latent_frames, self.loop.batch
        first = below(length - WINDOW + 1)
        latents, frames = zip(
            *(self._cut(KINDS[i % len(KINDS)], first, below, generator) for i in range(count)), strict=True
        )
        rows = batch_slice.rows(count)
        pictures = to_pixels(torch.stack(frames[rows]).to(self._device))
        kinds = torch.arange(count)[rows] % len(KINDS)
        return _Batch(
            torch.stack(latents[rows]).to(self._device), pictures, kinds.to(self._device), first == 0
        )

    def _cut(
        self, kind: str, first: int, below: Callable[[int], int], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cut a window out of a random shot: latents [WINDOW, C, h, w] and frames `uint8 [T, H, W, 3]`."""
        settings, autoencoder, data = self.settings, self._autoencoder, self._data
        stories = self._stories[kind]
        story, shot = stories[below(len(stories))], below(data.shots)
        places = torch.arange(first, first + WINDOW)
        jumps = kind == "true" and first > 0
        jumps = jumps and float(torch.rand((), generator=generator)) < settings.jump_probability
        if jumps:
            places[0] = below(data.latent_frames)
        shots = torch.full_like(places, shot)
        latents = self._tables[kind].take(torch.tensor([story]), shots[None], places[None])[0]
        if kind == "true":
            strength = settings.latent_noise * torch.rand((), generator=generator)
            latents = latents + (strength * torch.randn(latents.shape, generator=generator)).to(latents)
        crop = draw_crop(settings.crop, latents, autoencoder.spatial_ratio, generator)
        if kind == "own":
            story, shot = below(len(self._made)), below(data.shots)
        seen = frames_of(first + 1 if first else 0, first + WINDOW, autoencoder.temporal_ratio)
        frames = crop.of_frames(self._drawn.tensor(story, str(shot))[seen])
        if jumps:  # what the first frame shows is told by the latent before
            frames = torch.cat([frames[1:2], frames[1:]])
        return crop.of_latents(latents), frames

    @torch.no_grad()
    def sample(self) -> np.ndarray:
        """Frames of the student's own shots, as the decoder drew them before and as it does now."""
        rows = []
        for story in self._stories["own"][:4]:
            places = torch.arange(self._data.latent_frames)
            latents = self._tables["own"].take(
                torch.tensor([story]), torch.zeros_like(places)[None], places[None]
            )
            for autoencoder in (self._before, self._autoencoder):
                frames = autoencoder.open_decoder().decode(latents)[0].clamp(-1, 1)
                rows.append(list(frames[:: max(1, len(frames) // 5)]))
        return picture_grid(rows)

    def export(self, folder: Path) -> None:
        """Save the autoencoder, its decoder on the way from what it was to what it has learnt."""
        interpolated(self._before, self._autoencoder, self.settings.learnt_part).save_pretrained(folder)
