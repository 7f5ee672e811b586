"""Stage 1: the bidirectional next-shot generator (paper section 3.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.next_shot import NextShot, NextShots
from shotstream.diffusion.losses import flow_matching_loss, stratified
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.training.denoiser import Denoiser, sample_sheet
from shotstream.training.fresh_networks import train_self_attention_only
from shotstream.training.settings import Lesson, TeacherSettings
from shotstream.training.stage import Role, step_generator


class TeacherStage:
    """Flow matching on [context, noisy shot], one timestep for all frames, loss on the shot only."""

    name = "teacher"

    def __init__(
        self,
        settings: TeacherSettings,
        denoiser: Denoiser,
        data: NextShots,
        validation: NextShots,
        autoencoder: VideoAutoencoder,
    ):
        steps, batch = sum(lesson.steps for lesson in settings.lessons), max(settings.batches)
        self.settings, self.loop = settings, settings.loop.model_copy(update={"steps": steps, "batch": batch})
        self._denoiser, self._data, self._validation = denoiser, data, validation
        self._autoencoder = autoencoder
        if settings.trained == "self-attention":
            train_self_attention_only(denoiser.transformer)
        self.roles = {self.name: Role(denoiser.transformer, settings.optimiser)}
        self._device = denoiser.transformer.device

    def role(self, step: int) -> str:
        """There is one role."""
        return self.name

    def lesson(self, step: int) -> Lesson:
        """Return the lesson of a step, from 0."""
        for lesson in self.settings.lessons:
            if step < lesson.steps:
                return lesson
            step -= lesson.steps
        return self.settings.lessons[-1]

    def loss(
        self, step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> tuple[Tensor, dict[str, float]]:
        """Weighted flow-matching loss; captions are dropped now and then, for guidance."""
        settings, schedule, device = self.settings, self._denoiser.schedule, self._device
        lesson = self.lesson(step)
        batch = lesson.batch
        shot = self._data.draw(batch, generator, lesson.mixture, batch_slice).to(device)
        dropped = batch_slice.of(torch.rand(batch, generator=generator)) < settings.drop_text
        entry = batch_slice.of((stratified(batch, generator) * len(schedule.timesteps)).long())
        timestep = schedule.timesteps[entry].to(device)
        noise = batch_slice.randn(shot.target.shape, generator, device)
        noisy = schedule.add_noise(shot.target, noise, timestep)

        captions = self._denoiser.captions_or_none(shot, dropped, settings.dropped_text)
        flow = self._denoiser.flow(noisy, timestep, shot, captions)
        weight = schedule.training_weight[entry].to(device) if settings.weight_timesteps else None
        return flow_matching_loss(flow, shot.target, noise, weight), {}

    def sample(self) -> np.ndarray:
        """First and last shots of held-out stories, the true ones beside the teacher's."""

        def make(shot: NextShot, number: int) -> Tensor:
            noise = torch.randn(shot.target.shape, generator=step_generator(2, number))
            return self._denoiser.sample(shot, noise.to(self._device), steps=20, guidance=3.0)[0]

        return sample_sheet(self._validation, self._autoencoder, make, self._device)

    def export(self, folder: Path) -> None:
        """Save the transformer."""
        self._denoiser.transformer.save_pretrained(folder / "transformer")
