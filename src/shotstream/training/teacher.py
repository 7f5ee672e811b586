"""Stage 1: the bidirectional next-shot generator, with its caption encoder (paper section 3.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..data.next_shot import NextShot, NextShots
from ..diffusion.losses import flow_matching_loss, stratified
from ..diffusion.samplers import guided, sample_ode
from ..diffusion.schedule import FlowSchedule
from ..models.autoencoder import VideoAutoencoder
from ..models.captions import Captions
from ..models.text import CaptionEncoder
from ..models.transformer import CausalWanTransformer3DModel
from .autoencoder import picture_grid
from .settings import TeacherStage
from .stage import Role, step_generator


class Generator:
    """A transformer with its captions and schedule, asked for the flow of a `NextShot`.

    The teacher uses it bidirectionally, the student's stages block-causally.
    """

    def __init__(self, transformer: CausalWanTransformer3DModel, text: CaptionEncoder, schedule: FlowSchedule):
        self.transformer, self.text, self.schedule = transformer, text, schedule

    def captions(self, ids: Tensor, mask: Tensor) -> Captions:
        """Encode tokens [B, S, L]."""
        embedded = self.text.embed(ids.flatten(0, 1), mask.flatten(0, 1)).unflatten(0, ids.shape[:2])
        return self.transformer.encode_captions(embedded)

    def flow(
        self, noisy: Tensor, timestep: Tensor, shot: NextShot, captions: Captions, *, causal: bool = False
    ) -> Tensor:
        """Predict the flow of a shot's noisy latents [B, F, C, h, w], given its context.

        Args:
            noisy: The shot's latents.
            timestep: [B] for all frames, or [B, K + F] for context and shot together.
            shot: Gives context and indices.
            captions: From `captions`.
            causal: Whether chunks see only what comes before them.
        """
        output = self.transformer(
            torch.cat([shot.context, noisy], dim=1),
            timestep,
            captions,
            shot_index=shot.shot_index,
            caption_index=shot.caption_index,
            context_frames=shot.context_frames if causal else None,
        )
        return output.sample[:, shot.context_frames :]

    @torch.no_grad()
    def sample(
        self, shot: NextShot, no_text: Tensor, noise: Tensor, steps: int, guidance: float, keep: tuple[int, ...] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """Make shots by following the ODE with guidance; also return the states before the steps in `keep`."""
        captions = self.captions(shot.ids, shot.mask)
        nothing = self.captions(no_text.expand_as(shot.ids), (no_text != 0).long().expand_as(shot.ids))

        def flow(x: Tensor, timestep: Tensor) -> Tensor:
            with_text = self.flow(x, timestep, shot, captions)
            return guided(with_text, self.flow(x, timestep, shot, nothing), guidance)

        return sample_ode(flow, noise, self.schedule, steps, keep)


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
        """Second and fourth shots of held-out stories: what is remembered, and what the teacher makes."""
        return sample_sheet(self._generator, self._validation, self._autoencoder)

    def export(self, folder: Path) -> None:
        """Save transformer and text encoder."""
        self._generator.transformer.save_pretrained(folder / "transformer")
        self._generator.text.text_encoder.save_pretrained(folder / "text_encoder")
        self._generator.text.tokenizer.save_pretrained(folder / "tokenizer")


def sample_sheet(generator: Generator, data: NextShots, autoencoder: VideoAutoencoder, guidance: float = 3.0) -> np.ndarray:
    """Draw shots of held-out stories: first, middle and last frame of the true shot, then of the teacher's."""
    rows = []
    for shot_number in (0, 3):
        shot = data.pick(torch.arange(4), shot_number)
        noise = torch.randn(shot.target.shape, generator=step_generator(2, shot_number))
        made, _ = generator.sample(shot, data.no_text, noise, steps=20, guidance=guidance)
        for true, own in zip(shot.target, made, strict=True):
            pair = autoencoder.open_decoder().decode(torch.stack([true, own]))
            picked = [0, pair.shape[1] // 2, pair.shape[1] - 1]
            rows.append([*pair[0, picked], *pair[1, picked]])
    return picture_grid(rows)
