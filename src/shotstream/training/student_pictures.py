"""After inter-shot training: the student's last step learns from the pictures that are drawn of it.

Distribution matching compares latents, and its teacher is no surer of a moving face than the student is.
Here the student ends chunks *again*, noised to its last step: those of drawn shots, whose pictures are known,
and those of its *own* shots. The decoder draws them, and a discriminator asks that they look drawn (as in
the second edition of distribution matching, arXiv 2405.14867, but on pictures). Pictures are not compared
pixel by pixel, or a blur would be best: patches of a drawn shot may lie two pixels elsewhere, and have the
edges that were drawn.

Legend: B batch, F latent frames of a shot, n of a chunk, C channels, h and w latent height and width, T
frames.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.latent_table import LatentTable
from shotstream.data.next_shot import BatchChoice, NextShot, NextShots
from shotstream.data.shards import Shards
from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.streaming.chunk import to_pixels
from shotstream.training.denoiser import Denoiser, rollout_sheet
from shotstream.training.discriminator import Adversary
from shotstream.training.interpolation import interpolated
from shotstream.training.picture_crops import Crop, draw_crop, frames_of
from shotstream.training.picture_losses import (
    coarse_loss,
    energy_loss,
    grain_loss,
    shift_tolerant_loss,
)
from shotstream.training.settings import StudentPicturesSettings
from shotstream.training.stage import Role
from shotstream.training.student_latents import told_again, told_latents


@dataclass(frozen=True)
class _Batch:
    """A chunk of every shot, and what is known of it."""

    shot: NextShot
    told: Tensor
    """The shots as the student told them [B, F, C, h, w]."""
    again: Tensor
    """Which of them it told again from drawn ones, bool [B]."""
    given: Tensor
    """Clean latents that are noised [B, n, C, h, w]: as drawn, or as it told them."""
    frames: Tensor
    """As drawn [B, T, 3, H, W] in [-1, 1], of the chunk and, if there is one, of the latent before it."""
    shown: slice
    """Which of the frames are the chunk's."""
    first: int
    """Number of the chunk's first latent."""
    crop: Crop


class StudentPicturesStage:
    """Two roles in turns: the student, and the discriminator, which begins alone."""

    name = "student-pictures"

    def __init__(
        self,
        settings: StudentPicturesSettings,
        student: Denoiser,
        autoencoder: TinyVideoAutoencoder,
        drawn: Shards,
        data: NextShots,
        made: Shards,
        validation: NextShots,
    ):
        """Set the stage.

        Args:
            settings: Its settings.
            student: Who learns; its caption encoder does not.
            autoencoder: Draws what the student makes; it stays as it is.
            drawn: Drawn stories, from ``write_frames``.
            data: The same stories, encoded.
            made: The same stories, told by the student, from ``write_student_latents``.
            validation: Held-out stories, for samples.

        Raises:
            ValueError: If chunks are of one latent: the first would have too few frames to be looked at.
        """
        if student.transformer.config["chunk_frames"] < 2:
            raise ValueError(
                "student-pictures needs chunks of at least two latents: teacher.network.chunk_frames=2."
            )
        self.settings, self.loop = settings, settings.loop
        self._student, self._autoencoder = student, autoencoder
        self._drawn, self._data, self._made, self._validation = drawn, data, made, validation
        self._device = student.transformer.device
        self._before = deepcopy(student.transformer).requires_grad_(False)
        for frozen in (autoencoder, student.text.text_encoder):
            frozen.requires_grad_(False)
        self._adversary = Adversary(settings.adversary, autoencoder.temporal_ratio, self._device)
        self.roles = {
            "student": Role(student.transformer, settings.optimiser),
            "discriminator": Role(self._adversary.network, settings.adversary.optimiser, averaged=False),
        }

    def role(self, step: int) -> str:
        """The discriminator goes first."""
        return "discriminator" if self._adversary.learns(step) else "student"

    def loss(
        self, step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss of the student, or of the discriminator, on a new batch."""
        batch = self._draw(generator, batch_slice)
        learns = self.role(step) == "student"
        with torch.set_grad_enabled(learns):
            told = batch.told[:, : batch.first]
            chunk = self._student.remake(batch.shot, told, batch.given, generator, batch_slice).float()
            frames = self._decode(told, chunk, batch.crop)
        if not learns:
            return self._adversary.loss(step, batch.frames, frames)
        return self._student_loss(batch, chunk, frames)

    def _student_loss(self, batch: _Batch, chunk: Tensor, frames: Tensor) -> tuple[Tensor, dict[str, float]]:
        settings, again, own, shown = self.settings, batch.again, ~batch.again, batch.shown
        loss = settings.latent_weight * (chunk - batch.given).square().mean()
        figures = {}
        if again.any():
            made, drawn = frames[again], batch.frames[again]
            near = shift_tolerant_loss(made[:, shown], drawn[:, shown])
            loss = loss + settings.again_weight * near + settings.energy_weight * energy_loss(made, drawn)
            figures["again"] = float(near.detach())
        if own.any():
            told, first = batch.told[own], batch.first
            with torch.no_grad():
                before = self._decode(told[:, :first], told[:, first : first + chunk.shape[1]], batch.crop)
                before = before[:, shown]
            made = frames[own, shown]
            loss = loss + settings.own_weight * coarse_loss(made, before)
            loss = loss + settings.energy_weight * grain_loss(made, before)
        seeming = self._adversary.seeming_drawn(batch.frames, frames)
        return loss + settings.adversary.weight * seeming, figures | {"seeming": float(seeming.detach())}

    def _decode(self, told: Tensor, chunk: Tensor, crop: Crop) -> Tensor:
        """Decode a chunk after what was told before it; that one's last latent is shown, too."""
        start, ratio = max(told.shape[1] - 1, 0), self._autoencoder.temporal_ratio
        before = crop.of_latents(told)
        pasts: list[Tensor] = []
        if start:
            with torch.no_grad():
                _, pasts = self._autoencoder.decode(before[:, :start])
        latents = torch.cat([before[:, start:], crop.of_latents(chunk)], dim=1)
        frames, _ = self._autoencoder.decode(latents, pasts)
        return frames[:, 0 if start else ratio - 1 :].float()

    @cached_property
    def _told(self) -> LatentTable:
        return told_latents(self._made, self._data, self._device)

    @cached_property
    def _stories(self) -> tuple[list[int], list[int]]:
        """Those told again, and the student's own."""
        return told_again(self._made)

    def _draw(self, generator: torch.Generator, batch_slice: BatchSlice) -> _Batch:
        """Draw the same chunk of random shots, every second one told again; all have the same crop."""

        def below(limit: int) -> int:
            return int(torch.randint(limit, (), generator=generator))

        data, count, length = self._data, self.loop.batch, self._student.transformer.config["chunk_frames"]
        first = length * below(data.latent_frames // length)
        remembers = float(torch.rand((), generator=generator)) < self.settings.remembered
        remembered = remembers and data.shots > 1
        numbers = [stories[below(len(stories))] for stories in (self._stories[i % 2] for i in range(count))]
        shots = [1 + below(data.shots - 1) if remembered else 0 for _ in range(count)]
        rows = batch_slice.rows(count)
        shot = data.make(BatchChoice(numbers, shots, remembered=remembered).rows(rows)).to(self._device)
        stories, own = torch.tensor(numbers[rows]), torch.tensor(shots[rows])
        places = torch.arange(data.latent_frames).expand(len(own), -1)
        told = self._told.take(stories, own[:, None].expand_as(places), places)
        again = (torch.arange(count) % 2 == 0)[rows].to(self._device)
        chosen = torch.where(again.view(-1, 1, 1, 1, 1), shot.target, told)[:, first : first + length]
        ratio = self._autoencoder.spatial_ratio
        crop = draw_crop(self.settings.crop, told, ratio, generator)
        frame_ratio = self._autoencoder.temporal_ratio
        seen = frames_of(max(first - 1, 0), first + length, frame_ratio)
        shown = slice(frames_of(first, first + length, frame_ratio).start - seen.start, None)
        frames = [
            crop.of_frames(self._drawn.tensor(story, str(number))[seen])
            for story, number in zip(stories.tolist(), own.tolist(), strict=True)
        ]
        pictures = to_pixels(torch.stack(frames).to(self._device))
        return _Batch(shot, told, again, chosen, pictures, shown, first, crop)

    def sample(self) -> np.ndarray:
        """First, middle and last frames of held-out shots, drawn and told."""
        return rollout_sheet(self._student, self._validation, self._autoencoder)

    def export(self, folder: Path) -> None:
        """Save the student, on the way from what it was to what it has learnt."""
        part = self.settings.learnt_part
        network = interpolated(self._before, self._student.transformer, part)
        network.save_pretrained(folder / "transformer")
