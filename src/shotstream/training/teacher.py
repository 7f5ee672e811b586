"""Stage 1: the bidirectional next-shot generator, with its caption encoder (paper section 3.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..data.next_shot import NextShot, NextShots
from ..diffusion.losses import flow_matching_loss, stratified
from ..models.autoencoder import VideoAutoencoder
from .generator import Generator, sample_sheet
from .settings import TeacherStage
from .stage import Role, step_generator


class LearnNextShot:
    """Flow matching on [context, noisy shot], one timestep for all frames, loss on the shot only."""

    name = "teacher"

    def __init__(
        self,
        settings: TeacherStage,
        generator: Generator,
        data: NextShots,
        validation: NextShots,
        autoencoder: VideoAutoencoder,
    ):
        self.settings, self.loop = settings, settings.loop
        self._generator, self._data, self._validation = generator, data, validation
        self._autoencoder = autoencoder
        parts = {"transformer": generator.transformer, "text_encoder": generator.text.text_encoder}
        self.roles = {self.name: Role(nn.ModuleDict(parts), settings.optimiser)}

    def role(self, step: int) -> str:
        """There is one role."""
        return self.name

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Weighted flow-matching loss; captions are dropped now and then, for guidance."""
        settings, schedule = self.settings, self._generator.schedule
        shot = self._data.draw(self.loop.batch, generator, settings.first_shot_share, settings.drop_context)
        silent = torch.rand(self.loop.batch, 1, 1, generator=generator) < settings.drop_text
        ids = torch.where(silent, self._data.no_text, shot.ids)
        mask = torch.where(silent, (self._data.no_text != 0).long(), shot.mask)

        entry = (stratified(self.loop.batch, generator) * len(schedule.timesteps)).long()
        timestep = schedule.timesteps[entry]
        noise = torch.randn(shot.target.shape, generator=generator)
        noisy = schedule.add_noise(shot.target, noise, timestep)
        flow = self._generator.flow(noisy, timestep, shot, self._generator.captions(ids, mask))
        weight = schedule.training_weight[entry] if settings.weight_timesteps else None
        return flow_matching_loss(flow, shot.target, noise, weight), {}

    def sample(self) -> np.ndarray:
        """First and fourth shots of held-out stories, the true ones beside the teacher's."""

        def make(shot: NextShot, number: int) -> Tensor:
            noise = torch.randn(shot.target.shape, generator=step_generator(2, number))
            return self._generator.sample(shot, self._data.no_text, noise, steps=20, guidance=3.0)[0]

        return sample_sheet(self._validation, self._autoencoder, make)

    def export(self, folder: Path) -> None:
        """Save transformer and text encoder."""
        self._generator.transformer.save_pretrained(folder / "transformer")
        self._generator.text.text_encoder.save_pretrained(folder / "text_encoder")
        self._generator.text.tokenizer.save_pretrained(folder / "tokenizer")
