"""Stages 3 and 4: the student learns on its own rollouts, by distribution matching (paper section 3.3).

Three roles: the *student* tells shots through the cache, as users are served; the frozen *teacher* says how
true latents would change what it made; the *critic*, a second teacher that keeps learning what the student
makes, says how the student's own would.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shotstream.data.next_shot import NextShot, NextShots
from shotstream.diffusion.losses import distribution_matching_loss, flow_matching_loss
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.training.generator import Generator, sample_sheet
from shotstream.training.settings import SelfForcingStage
from shotstream.training.stage import Role, step_generator


class LearnFromOwnShots:
    """Distribution matching distillation: `critic_updates` steps of the critic for each of the student's."""

    name = "intra-shot"

    def __init__(
        self,
        settings: SelfForcingStage,
        student: Generator,
        teacher: Generator,
        critic: Generator,
        data: NextShots,
        validation: NextShots,
        autoencoder: VideoAutoencoder,
        first_shot_share: float,
    ):
        self.settings, self.loop = settings, settings.loop
        self._student, self._teacher, self._critic = student, teacher, critic
        self._data, self._validation, self._autoencoder = data, validation, autoencoder
        self._first_shot_share = first_shot_share
        self._device = student.transformer.device
        for frozen in (teacher.transformer, *(role.text.text_encoder for role in (student, teacher, critic))):
            frozen.requires_grad_(False)
        self.roles = {
            "student": Role(student.transformer, settings.optimiser),
            "critic": Role(critic.transformer, settings.critic_optimiser, averaged=False),
        }

    def role(self, step: int) -> str:
        """The critic goes first, and stays ahead."""
        return "student" if (step + 1) % (self.settings.critic_updates + 1) == 0 else "critic"

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Distribution matching loss of the student, or flow-matching loss of the critic, on new rollouts."""
        learning = self.role(step)
        shot = self._data.draw(self.loop.batch, generator, self._first_shot_share, drop_context=0)
        shot = shot.to(self._device)
        count = len(self._student.schedule.student_steps())
        steps = 1 + int(torch.randint(count, (), generator=generator))
        with torch.set_grad_enabled(learning == "student"):
            rollout = self._student.roll_out(shot, generator, steps)
        noise = torch.randn(rollout.shape, generator=generator).to(rollout)
        timestep = self._draw_timestep(generator)
        noisy = self._student.schedule.add_noise(rollout.detach(), noise, timestep)
        if learning == "student":
            loss, figures = self._student_loss(shot, rollout, noisy, timestep)
            return loss, {"student_loss": float(loss.detach()), **figures}
        captions = self._critic.captions(shot.ids, shot.mask)
        loss = flow_matching_loss(self._critic.flow(noisy, timestep, shot, captions), rollout, noise)
        return loss, {"critic_loss": float(loss.detach())}

    def _draw_timestep(self, generator: torch.Generator) -> Tensor:
        """One timestep of the table for each sample [B], never the ends, where scores say nothing."""
        timesteps = self._student.schedule.timesteps
        entry = torch.randint(len(timesteps), (self.loop.batch,), generator=generator)
        return timesteps[entry].clamp(*self.settings.timestep_range).to(self._device)

    def _student_loss(
        self, shot: NextShot, rollout: Tensor, noisy: Tensor, timestep: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        schedule = self._student.schedule
        with torch.no_grad():
            real_flow = self._teacher.guided_flow(shot, self.settings.guidance)(noisy, timestep)
            real = schedule.to_x0(noisy, real_flow.float(), timestep)
            captions = self._critic.captions(shot.ids, shot.mask)
            fake_flow = self._critic.flow(noisy, timestep, shot, captions)
            fake = schedule.to_x0(noisy, fake_flow.float(), timestep)
        figures = {"deviation": float(rollout.detach().std())}
        return distribution_matching_loss(rollout, real, fake), figures

    def sample(self) -> np.ndarray:
        """First and last shots of held-out stories told through the cache, the true ones beside them."""
        return sample_sheet(
            self._validation,
            self._autoencoder,
            lambda shot, number: self._student.roll_out(shot, step_generator(2, number)),
            self._device,
        )

    def export(self, folder: Path) -> None:
        """Save the student's transformer."""
        self._student.transformer.save_pretrained(folder / "transformer")
